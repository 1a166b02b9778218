"""MemoryStore: bounds, age, and many threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plugins.cache.stores import Clock

from qonduit_cache.memory import MemoryStore


def store(entries: int = 3, size: int = 100, clock: Clock | None = None) -> MemoryStore:
    return MemoryStore(max_entries=entries, max_bytes=size, clock=clock or Clock())


def test_the_least_recently_used_goes_first() -> None:
    """Reading counts as use."""
    kept = store()
    for key in "abc":
        kept.put(key, b"x", 9)
    kept.get("a")
    kept.put("d", b"x", 9)
    assert kept.keys(9) == ["d", "a", "c"]
    assert kept.get("b") is None
    assert kept.keys(1) == ["d"]


def test_an_entry_that_is_too_large_is_not_kept() -> None:
    """It drives nothing else out; what stood under its key is gone."""
    kept = store()
    kept.put("a", b"x", 9)
    kept.put("b", b"y", 9)
    kept.put("b", b"y" * 101, 9)
    assert kept.keys(9) == ["a"]


def test_entries_die() -> None:
    """After their own time, by a clock that is not the wall's."""
    clock = Clock()
    kept = store(clock=clock)
    kept.put("a", b"x", 9)
    clock.now += 9
    assert kept.get("a") is None
    assert kept.stats().bytes == 0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60), st.sampled_from(["put", "get", "delete"]))))
def test_the_bounds_hold(steps: list[tuple[str, int, str]]) -> None:
    """Whatever is done, entries and bytes stay within, and the count of bytes is right."""
    kept = store()
    for key, size, what in steps:
        match what:
            case "put":
                kept.put(key, b"x" * size, 9)
            case "get":
                kept.get(key)
            case _:
                kept.delete(key)
        stats = kept.stats()
        assert stats.entries <= 3
        assert stats.bytes == sum(len(kept.get(key) or b"") for key in kept.keys(9)) <= 100
    count = kept.stats().entries
    assert kept.clear() == count
    assert (kept.stats().entries, kept.stats().bytes) == (0, 0)


def test_many_threads() -> None:
    """Eight threads leave the counts right."""
    kept = store(50, 10_000)

    def work(thread: int) -> None:
        for number in range(500):
            kept.put(str((thread * 7 + number) % 80), b"x" * (number % 90), 9)
            kept.get(str(number % 80))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert kept.stats().bytes == sum(len(kept.get(key) or b"") for key in kept.keys(99))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_begins_anew() -> None:
    """A lock that another thread of the parent held does not stop it."""
    kept = store()
    kept.put("a", b"x", 9)
    with kept._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if kept.get("a") is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kept.get("a") == b"x"

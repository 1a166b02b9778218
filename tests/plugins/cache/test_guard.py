"""A store that fails, is slow or comes back: calls go on, within their deadline, and one warning is said."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import Mode
from tests.plugins.cache.stores import AsyncDictStore, Clock, DictStore, cache

from qonduit_cache.breaker import FAILURES, PAUSE, Breaker


@pytest.mark.parametrize("store", [DictStore, AsyncDictStore])
async def test_a_store_that_fails_is_a_miss(mode: Mode, store: type[DictStore], caplog: Any) -> None:
    """Each call is answered by the provider; after some failures in a row the store is left alone."""
    broken = store()
    broken.broken = OSError("redis://:hunter2@host refused")
    client = mode.client(MemoryTransport(said("Hello")), cache(broken))
    for _ in range(10):
        told = await mode.ask(client)
        assert (told.response.text, told.response.cached) == ("Hello", False)
    assert broken.calls == FAILURES
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("qonduit.cache", logging.WARNING)
    assert "OSError" in record.getMessage()
    assert "hunter2" not in caplog.text


class SlowStore(AsyncDictStore):
    """Never answers; the sync form keeps the limit that it is handed."""

    def get(self, key: str, timeout: float = 9) -> Any:
        self.calls += 1
        self.limit = timeout
        raise TimeoutError

    async def aget(self, key: str) -> Any:
        self.calls += 1
        await asyncio.Event().wait()


async def test_a_slow_store_is_a_miss(mode: Mode) -> None:
    """After its own limit, which is handed to the sync form and enforced on the async one."""
    store = SlowStore()
    client = mode.client(MemoryTransport(said("Hello")), cache(store, timeout=0.02))
    assert (await mode.ask(client)).response.text == "Hello"
    assert store.calls == 2, "asked, and given the answer"
    assert mode.asynchronous or store.limit == 0.02


async def test_a_call_with_little_time_left_passes_the_store(mode: Mode) -> None:
    """The cache never makes a call late."""
    store = DictStore()
    client = mode.client(MemoryTransport(said("Hello")), cache(store, timeout=5))
    assert (await mode.ask(client, deadline=4)).response.text == "Hello"
    assert store.calls == 0
    await mode.ask(client, deadline=60)
    assert store.calls == 2


async def test_a_store_that_raises_in_a_thread_of_its_own_is_no_error_of_the_call() -> None:
    """Nor does it stop the loop: a store without async forms runs in a worker thread."""
    store = DictStore()
    seen: list[int] = []
    plain = store.get
    store.get = lambda key: (seen.append(threading.get_ident()), plain(key))[1]  # type: ignore[method-assign]
    mode = Mode(asynchronous=True, streamed=False)
    await mode.ask(mode.client(MemoryTransport(said("Hello")), cache(store)))
    assert seen
    assert threading.get_ident() not in seen


def outage(breaker: Breaker, failures: int) -> None:
    for _ in range(failures):
        breaker.failed(OSError())


def test_the_breaker() -> None:
    """Open after failures in a row; then one access in a while tries the store; an answer closes it."""
    clock = Clock()
    breaker = Breaker("redis", clock)
    outage(breaker, FAILURES - 1)
    breaker.succeeded()
    outage(breaker, FAILURES - 1)
    assert breaker.allows()
    outage(breaker, 1)
    assert [breaker.allows() for _ in range(2)] == [False, False]
    clock.now += PAUSE
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.failed(OSError())
    clock.now += PAUSE - 1
    assert not breaker.allows()
    clock.now += 1
    assert breaker.allows()
    breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]
    assert breaker.failures == FAILURES * 2


def test_one_warning_an_outage(caplog: Any) -> None:
    """The end of it is said too, and the next outage again."""
    caplog.set_level(logging.INFO)
    clock = Clock()
    breaker = Breaker("redis", clock)
    outage(breaker, 1)
    breaker.succeeded()
    outage(breaker, FAILURES + 3)
    assert len(caplog.records) == 1
    breaker.succeeded()
    outage(breaker, 1)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


def test_a_probe_that_is_never_heard_of_again_is_followed_by_another() -> None:
    """A cancelled one, for example: the store is tried again after the same pause."""
    clock = Clock()
    breaker = Breaker("redis", clock)
    outage(breaker, FAILURES)
    for _ in range(3):
        clock.now += PAUSE
        assert [breaker.allows(), breaker.allows()] == [True, False]

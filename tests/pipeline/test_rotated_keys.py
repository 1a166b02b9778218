"""A key that is changed while a client lives: read again after a 401, once, however many calls were refused."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.pipeline.memory import MemoryTransport, Reply, refused, said
from tests.pipeline.modes import Mode

from qonduit import AuthenticationError, MissingCredentialsError, QonduitError, WireRequest, WireResponse
from qonduit.credentials import Credentials

OLD, NEW = "sk-old", "sk-new"
HERD = 50


class Keys:
    """A function that gives keys: the first ones in turn, the last for ever. `threads` are those that asked."""

    def __init__(self, *keys: str | Exception) -> None:
        self._keys = list(keys)
        self.threads: list[threading.Thread] = []

    def __call__(self) -> str:
        self.threads.append(threading.current_thread())
        key = self._keys.pop(0) if len(self._keys) > 1 else self._keys[0]
        if isinstance(key, Exception):
            raise key
        return key

    @property
    def reads(self) -> int:
        """How often a key was asked for, but for the one that the client begins with."""
        return len(self.threads) - 1


class Door(MemoryTransport):
    """Refuses all keys but one. `before` is called before a call with a refused key is answered."""

    def __init__(self, key: str, before: Callable[[], None] = lambda: None) -> None:
        super().__init__(said("ok"))
        self.key = key
        self.before = before
        self.arrived = 0
        self.all_arrived = asyncio.Event()
        self.together = 1

    def _next(self, wire: WireRequest) -> Reply:
        super()._next(wire)
        return said("ok") if wire.headers["authorization"] == f"Bearer {self.key}" else refused(401)

    def send(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        if not wire.headers["authorization"].endswith(self.key):
            self.before()
        return super().send(wire, deadline)

    async def asend(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        if not wire.headers["authorization"].endswith(self.key):
            self.arrived += 1
            if self.arrived == self.together:
                self.all_arrived.set()
            await self.all_arrived.wait()
        return await super().asend(wire, deadline)


async def test_a_rotated_key(mode: Mode) -> None:
    """A call with the old key is refused, the key is read once more, and the call is answered as one attempt."""
    keys, door = Keys(OLD, NEW), Door(NEW)
    client = mode.client(door, api_key=keys)
    assert (await mode.ask(client)).response.text == "ok"
    assert (await mode.ask(client)).response.text == "ok"
    assert [wire.headers["authorization"][-3:] for wire in door.sent] == ["old", "new", "new"]
    assert keys.reads == 1
    assert [stream.ended for stream in door.streams] == (["closed", "finished", "finished"] if mode.streamed else [])


async def test_a_key_that_is_refused_again(mode: Mode) -> None:
    """When the new key is refused, too, that is the error: one more reading, two requests, one attempt, no retry."""
    keys, door = Keys(OLD, NEW, "sk-third"), Door("sk-fourth")
    with pytest.raises(AuthenticationError) as caught:
        await mode.ask(mode.client(door, api_key=keys, max_retries=5))
    assert (keys.reads, len(door.sent), caught.value.attempts) == (1, 2, 1)
    assert all(stream.ended for stream in door.streams)


async def test_a_key_that_has_not_changed(mode: Mode) -> None:
    """The same key is not sent again; the refusal is read and raised."""
    keys, door = Keys(OLD), Door(NEW)
    with pytest.raises(AuthenticationError) as caught:
        await mode.ask(mode.client(door, api_key=keys))
    assert (keys.reads, len(door.sent), caught.value.status_code) == (1, 1, 401)
    assert all(stream.ended for stream in door.streams)


@pytest.mark.parametrize(
    "failure", [MissingCredentialsError("gone"), OSError("gone"), ""], ids=["typed", "any", "none"]
)
async def test_a_key_that_cannot_be_read_again(mode: Mode, failure: Exception | str) -> None:
    """The reading's failure is the error, typed; the stream that carried the 401 is closed."""
    keys, door = Keys(OLD, failure), Door(NEW)
    with pytest.raises(QonduitError):
        await mode.ask(mode.client(door, api_key=keys))
    assert len(door.sent) == 1
    assert all(stream.ended for stream in door.streams)


def test_a_herd_of_threads() -> None:
    """Fifty threads are refused with one key at once: it is read again once, and all of them are answered."""
    keys = Keys(OLD, NEW)
    barrier = threading.Barrier(HERD, timeout=10)
    door = Door(NEW, before=lambda: barrier.wait() and None)
    mode = Mode(False, False)
    client = mode.client(door, api_key=keys)
    with ThreadPoolExecutor(HERD) as pool:
        asked = [
            pool.submit(client.chat.completions.create, messages=[{"role": "user", "content": "Hello"}])
            for _ in range(HERD)
        ]
        assert [one.result().text for one in asked] == ["ok"] * HERD
    assert keys.reads == 1
    assert len(door.sent) == 2 * HERD


async def test_a_herd_of_tasks() -> None:
    """The same of fifty tasks; the key is read in a thread of its own, so that the loop goes on meanwhile."""
    keys, door = Keys(OLD, NEW), Door(NEW)
    door.together = HERD
    mode = Mode(True, False)
    client = mode.client(door, api_key=keys)
    told = await asyncio.gather(*(mode.ask(client) for _ in range(HERD)))
    assert [one.response.text for one in told] == ["ok"] * HERD
    assert keys.reads == 1
    assert len(door.sent) == 2 * HERD
    assert keys.threads[1] is not threading.main_thread()


class Lock:
    """A lock that says when `expected` threads have come to it."""

    def __init__(self, expected: int) -> None:
        self._lock = threading.Lock()
        self._expected = expected
        self._came = itertools.count(1)
        self.all_came = threading.Event()

    def __enter__(self) -> None:

        if next(self._came) == self._expected:
            self.all_came.set()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.mark.parametrize("found", [OLD, NEW], ids=["unchanged", "changed"])
def test_who_waits_for_a_reading_takes_what_it_found(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    """While one thread reads the key the others wait, and do not read it again: changed or not."""
    lock = Lock(8)
    reads: list[str] = []

    def read() -> str:
        reads.append("")
        if len(reads) == 1:
            return OLD
        lock.all_came.wait(10)
        return found

    monkeypatch.setattr("qonduit.credentials.threading.Lock", lambda: lock)
    credentials = Credentials(read, "a test")
    monkeypatch.undo()
    with ThreadPoolExecutor(8) as pool:
        results = {one.result() for one in [pool.submit(credentials.refresh, OLD) for _ in range(8)]}
    assert results == {found != OLD}
    assert len(reads) == 2
    assert credentials.value == found


def test_a_key_that_is_newer_than_the_one_that_was_refused() -> None:
    """Nothing is read where another key than the refused one is there already."""
    keys = Keys(OLD, NEW)
    credentials = Credentials(keys, "a test")
    assert credentials.refresh(OLD) is True
    assert credentials.refresh(OLD) is True
    assert keys.reads == 1
    assert credentials.refresh() is False
    assert keys.reads == 2

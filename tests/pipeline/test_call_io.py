"""`call.io`: I/O of middleware, in the form that the call has."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import weakref

import pytest
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import Mode

from qonduit import middleware


class Store:
    """A store with both forms, which notes who called and in which thread."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def get(self, *arguments: object) -> str:
        self.calls.append(("get", threading.current_thread(), *arguments))
        return "sync"

    async def aget(self, *arguments: object) -> str:
        self.calls.append(("aget", threading.current_thread(), *arguments))
        return "async"


def client(mode: Mode, io, seen: list[object]):
    @middleware("io")
    def layer(call):
        try:
            seen.append((yield from io(call)))
        except Exception as error:
            seen.append(error)
        return (yield call.request)

    return mode.client(MemoryTransport(said("Hi")), layer)


async def test_the_form_is_the_calls_own(mode: Mode) -> None:
    """The sync form runs in sync calls and the async form in async ones, in the caller's thread."""
    store, seen = Store(), []
    await mode.ask(client(mode, lambda call: call.io(store.get, store.aget, "key", 1), seen))
    name = "aget" if mode.asynchronous else "get"
    assert store.calls == [(name, threading.current_thread(), "key", 1)]
    assert seen == ["async" if mode.asynchronous else "sync"]


async def test_a_function_with_one_form_runs_in_a_worker_thread(mode: Mode) -> None:
    """A function that exists in sync form only is run in a worker thread in async calls."""
    store, seen = Store(), []
    await mode.ask(client(mode, lambda call: call.io(store.get, None, "key"), seen))
    ((_, thread, key),) = store.calls
    assert (thread is not threading.current_thread()) == mode.asynchronous
    assert (key, seen) == ("key", ["sync"])


async def test_io_after_the_answer(mode: Mode) -> None:
    """A layer may do I/O after its yield, too: a store is written once the answer is there."""
    store = Store()

    @middleware("writer")
    def writer(call):
        response = yield call.request
        yield from call.io(store.get, store.aget, response.text)

    await mode.ask(mode.client(MemoryTransport(said("Hel", "lo")), writer))
    assert [call[2:] for call in store.calls] == [("Hello",)]


async def test_what_io_raises_is_raised_at_the_yield(mode: Mode) -> None:
    """An exception of the function comes out where the layer waits for it, the same object."""
    error = KeyError("lost")
    seen: list[object] = []

    def fail():
        raise error

    async def afail():
        raise error

    await mode.ask(client(mode, lambda call: call.io(fail, afail), seen))
    assert seen == [error]


@pytest.mark.F72
@pytest.mark.parametrize("mode", [Mode(True, False), Mode(True, True)], ids=lambda mode: mode.name)
async def test_a_time_limit_is_enforced_in_async_calls(mode: Mode) -> None:
    """In async calls I/O that takes longer than its time limit is cancelled and raises TimeoutError at the yield."""
    cancelled: list[bool] = []
    seen: list[object] = []

    async def forever():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with asyncio.timeout(5):
        await mode.ask(client(mode, lambda call: call.io(lambda: None, forever, timeout=0.001), seen))
    assert [type(error) for error in seen] == [TimeoutError]
    assert cancelled == [True]


@pytest.mark.parametrize(("given", "expected"), [({}, 5.0), ({"timeout": 0.25}, 0.25)])
async def test_the_time_limit_is_handed_over(mode: Mode, given: dict[str, float], expected: float) -> None:
    """A sync form with a keyword `timeout` is handed the time limit, in a worker thread as well."""
    limits: list[float] = []

    def get(key: str, *, timeout: float) -> None:
        limits.append(timeout)

    await mode.ask(client(mode, lambda call: call.io(get, None, "key", **given), []))
    assert limits == [expected]


class WithMethod:
    def get(self, key: str, timeout: float = 0) -> tuple[str, float]:
        return key, timeout


async def test_the_time_limit_is_handed_to_methods(mode: Mode) -> None:
    """A bound method is looked at as well; one and the same limit serves every instance."""
    seen: list[object] = []
    await mode.ask(client(mode, lambda call: call.io(WithMethod().get, None, "key", timeout=2), seen))
    assert seen == [("key", 2)]


async def test_a_builtin_without_a_signature(mode: Mode) -> None:
    """A builtin whose signature cannot be read is called without a time limit of its own."""
    seen: list[object] = []
    await mode.ask(client(mode, lambda call: call.io(dict, None, {"a": 1}), seen))
    assert seen == [{"a": 1}]


class Unhashable:
    __hash__ = None

    def __call__(self, key: str, timeout: float = 0) -> tuple[str, float]:
        return key, timeout


async def test_a_callable_without_a_hash(mode: Mode) -> None:
    """A callable object that cannot be hashed serves as any other."""
    seen: list[object] = []
    await mode.ask(client(mode, lambda call: call.io(Unhashable(), None, "key", timeout=2), seen))
    assert seen == [("key", 2)]


async def test_the_time_limit_is_handed_to_what_a_decorator_wraps(mode: Mode) -> None:
    """A decorated function is looked at where it was written."""
    seen: list[object] = []

    @functools.wraps(WithMethod.get)
    def wrapper(*arguments, **named):
        return WithMethod().get(*arguments, **named)

    await mode.ask(client(mode, lambda call: call.io(wrapper, None, "key", timeout=2), seen))
    assert seen == [("key", 2)]


async def test_nothing_of_a_function_is_kept(mode: Mode) -> None:
    """A closure that was handed over is collected with its call, and what it holds with it."""

    class Held:
        pass

    references: list[weakref.ref[Held]] = []

    def io(call):
        held = Held()
        references.append(weakref.ref(held))
        return call.io(lambda: held, None)

    seen: list[object] = []
    await mode.ask(client(mode, io, seen))
    assert [type(value) for value in seen] == [Held]
    seen.clear()
    await asyncio.sleep(0)
    gc.collect()
    assert [reference() for reference in references] == [None]

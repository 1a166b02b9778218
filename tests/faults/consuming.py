"""Consuming: what callers do with a stream, sync and async; each function reads `stream` into `told`."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tests.faults.told import Told

PAUSE = 0.05


class Consumer(NamedTuple):
    """One behaviour, sync and async; None where there is no such thing."""

    sync: Callable[[Any, Told], None] | None
    asynchronous: Callable[[Any, Told], Awaitable[None]] | None


class OwnError(Exception):
    """What a caller's own code raises."""


def _all(stream: Any, told: Told) -> None:
    with stream:
        for chunk in stream:
            told.take(chunk)


async def _aall(stream: Any, told: Told) -> None:
    async with stream:
        async for chunk in stream:
            told.take(chunk)


def _first(stream: Any, told: Told) -> None:
    """Read up to the first text."""
    for chunk in stream:
        told.take(chunk)
        if told.pieces:
            break


async def _afirst(stream: Any, told: Told) -> None:
    async for chunk in stream:
        told.take(chunk)
        if told.pieces:
            break


def _break(stream: Any, told: Told) -> None:
    with stream:
        _first(stream, told)


async def _abreak(stream: Any, told: Told) -> None:
    async with stream:
        await _afirst(stream, told)


def _close_twice(stream: Any, told: Told) -> None:
    _first(stream, told)
    stream.close()
    stream.close()
    assert list(stream) == []


async def _aclose_twice(stream: Any, told: Told) -> None:
    await _afirst(stream, told)
    await stream.aclose()
    await stream.close()
    assert [chunk async for chunk in stream] == []


def _unread(stream: Any, told: Told) -> None:
    with stream:
        pass


async def _aunread(stream: Any, told: Told) -> None:
    async with stream:
        pass


def _raise(stream: Any, told: Told) -> None:
    with stream:
        _first(stream, told)
        raise OwnError


async def _araise(stream: Any, told: Told) -> None:
    async with stream:
        await _afirst(stream, told)
        raise OwnError


def _interrupt(stream: Any, told: Told) -> None:
    with stream:
        _first(stream, told)
        raise KeyboardInterrupt


def _slowly(stream: Any, told: Told) -> None:
    with stream:
        for chunk in stream:
            told.take(chunk)
            time.sleep(PAUSE)


async def _aslowly(stream: Any, told: Told) -> None:
    async with stream:
        async for chunk in stream:
            told.take(chunk)
            await asyncio.sleep(PAUSE)


def _close_elsewhere(stream: Any, told: Told) -> None:
    """Another thread closes the stream while this one waits for its next chunk."""
    _first(stream, told)
    timer = threading.Timer(PAUSE, stream.close)
    timer.start()
    assert list(stream) == []
    timer.join()


async def _aclose_elsewhere(stream: Any, told: Told) -> None:
    """Another task closes it."""

    async def close() -> None:
        await asyncio.sleep(PAUSE)
        await stream.aclose()

    await _afirst(stream, told)
    task = asyncio.create_task(close())
    assert [chunk async for chunk in stream] == []
    await task


async def _acancel(stream: Any, told: Told) -> None:
    """The task is cancelled while it waits for the next chunk."""
    await _afirst(stream, told)
    task = asyncio.create_task(_aall(stream, told))
    await asyncio.sleep(PAUSE)
    task.cancel()
    await task


async def _atime_out(stream: Any, told: Told) -> None:
    """A limit of the caller's own passes."""
    async with stream:
        await _afirst(stream, told)
        async with asyncio.timeout(PAUSE):
            async for chunk in stream:
                told.take(chunk)


def _hold(stream: Any, told: Told) -> None:
    _first(stream, told)


async def _ahold(stream: Any, told: Told) -> None:
    await _afirst(stream, told)


CONSUMERS = {
    "all": Consumer(_all, _aall),
    "break": Consumer(_break, _abreak),
    "close-twice": Consumer(_close_twice, _aclose_twice),
    "unread": Consumer(_unread, _aunread),
    "raise": Consumer(_raise, _araise),
    "interrupt": Consumer(_interrupt, None),
    "slowly": Consumer(_slowly, _aslowly),
    "close-elsewhere": Consumer(_close_elsewhere, _aclose_elsewhere),
    "cancel": Consumer(None, _acancel),
    "time-out": Consumer(None, _atime_out),
    "drop": Consumer(_hold, _ahold),
}


def dropped(release: Callable[[], None]) -> None:
    """`release` a stream that nobody closed: it warns, once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        release()
    assert [warning.category for warning in caught] == [ResourceWarning]

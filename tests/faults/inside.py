"""Inside: what the transport of a client holds. The one place of these tests that looks behind its public face."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def _stacks(client: Any) -> Iterator[Any]:
    """The connections of its own that it keeps."""
    for route in client._routes:
        transport = route.transport
        if transport._sync is not None:
            yield transport._sync
        yield from transport._async.values()


def _proxied(client: Any) -> Iterator[Any]:
    """Its connections through a proxy."""
    for route in client._routes:
        transport = route.transport
        if transport._proxied is not None:
            yield transport._proxied
        yield from transport._async_proxied.values()


def in_use(client: Any) -> int:
    """How many connections are in use, and how many slots are taken."""
    stacks, proxied = list(_stacks(client)), list(_proxied(client))
    busy = sum(len(stack._busy) for stack in stacks)
    taken = sum(each._limit - _free(each._slots) for each in (*stacks, *proxied))
    pooled = [connection for each in proxied for connection in each._transport._pool.connections]
    return busy + taken + sum(not (connection.is_idle() or connection.is_closed()) for connection in pooled)


def waiting(client: Any) -> int:
    """How many calls wait for a connection."""
    return sum(
        len(getattr(_semaphore(stack._slots), "_waiters", None) or ())
        for stack in (*_stacks(client), *_proxied(client))
    )


def _semaphore(slots: Any) -> Any:
    """What counts the slots of async calls; of sync ones their queue."""
    return getattr(slots, "_semaphore", None) or slots._free


def _free(slots: Any) -> int:
    counter = _semaphore(slots)
    value: int = counter.qsize() if hasattr(counter, "qsize") else counter._value
    return value

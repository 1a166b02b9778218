"""Stacks of idle connections: how requests reach the network by default, sync and async.

One stack an origin, last in first out, under a limit on the connections in use. httpx's own pool scans all of its
connections for every request, which grows with the square of the load, and loses slots when a task is cancelled at
certain points (encode/httpcore#830, #1093). The connection, its TLS and its protocol are httpcore's public
HTTPConnection and AsyncHTTPConnection.

A connection that was idle may have been closed by the server a moment ago. When it is found dead before a byte of the
answer has come, the request is sent once more on a new connection: it cannot have been answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import ssl
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

from qonduit._network import AsyncBackend, Link, SyncBackend

KEEPALIVE_SECONDS = 10.0
"""How long an idle connection is kept: shorter than the 15 s after which common load balancers close one."""

RawHeaders = list[tuple[bytes, bytes]]


class Target(NamedTuple):
    """Where a request goes: httpcore's URL of it, its origin and that as text, and httpcore's extensions."""

    url: Any
    origin: Any
    key: str
    extensions: dict[str, Any]


class Connection:
    """One connection of httpcore's, with its link to the network and whether it has served before."""

    __slots__ = ("core", "link", "used")

    def __init__(self, core: Any, link: Link) -> None:
        self.core = core
        self.link = link
        self.used = False


class _Stack:
    """What both kinds share: where connections lie, how they are made, and what a request becomes."""

    kind: str
    backend: type[SyncBackend] | type[AsyncBackend]
    slots: type[_Slots] | type[asyncio.Semaphore]

    def __init__(self, httpcore: ModuleType, context: Callable[[], ssl.SSLContext], limit: int) -> None:
        self._httpcore = httpcore
        self._context = context
        self._limit = limit
        self._idle: dict[str, list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._stale = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)
        self._slots: Any = self.slots(limit)
        _STACKS.add(self)

    def _take(self, target: Target, deadline: float | None) -> Connection:
        """An idle connection that is still good, or a new one; its link is ready for a request."""
        stack = self._idle.get(target.key)
        connection: Connection | None = None
        while stack and connection is None:
            try:
                connection = stack.pop()
            except IndexError:  # another thread was faster
                break
            if connection.core.has_expired():
                self._close(connection)
                connection = None
        if connection is None:
            link = Link(self._httpcore)
            core = getattr(self._httpcore, self.kind)(
                origin=target.origin,
                ssl_context=self._context() if target.origin.scheme == b"https" else None,
                keepalive_expiry=KEEPALIVE_SECONDS,
                network_backend=self.backend(link),
            )
            connection = Connection(core, link)
        self._busy.add(connection)
        connection.link.deadline = deadline
        connection.link.received = 0
        return connection

    def _request(self, method: str, target: Target, headers: RawHeaders, content: bytes) -> Any:
        return self._httpcore.Request(
            method, target.url, headers=headers, content=content, extensions=target.extensions
        )

    def release(self, key: str | None, connection: Connection | None) -> None:
        """Give a connection back, and its slot; it is kept when it can serve again. `key` None: it cannot."""
        if connection is not None:
            self._busy.discard(connection)
            if key is not None and connection.core.is_idle():
                connection.used = True
                self._idle.setdefault(key, []).append(connection)
            else:
                self._close(connection)
        self._slots.release()

    def _close(self, connection: Connection) -> None:
        self._busy.discard(connection)
        connection.link.abort()

    def close(self) -> None:
        """Close every connection at once, without I/O; works when an event loop is gone, too. Idempotent."""
        for stack in list(self._idle.values()):
            with contextlib.suppress(IndexError):  # another thread was faster
                while stack:
                    self._close(stack.pop())
        for connection in list(self._busy):
            self._close(connection)

    def __del__(self) -> None:
        """A client that was never closed leaves nothing open."""
        with contextlib.suppress(Exception):  # the interpreter may be half gone
            self.close()

    def forget(self) -> None:
        """In a forked child: use none of the parent's connections, and say nothing on their sockets."""
        _INHERITED.append((self._idle, self._busy))
        self._idle = {}
        self._busy = set()
        self._slots = self.slots(self._limit)


_STACKS: weakref.WeakSet[_Stack] = weakref.WeakSet()
_INHERITED: list[Any] = []
"""Connections of a parent process, kept so that nothing closes them by collecting them."""


def _forget_all() -> None:
    for stack in list(_STACKS):
        stack.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


class _Slots:
    """A semaphore for threads. threading's own is written in Python and costs ten times as much."""

    def __init__(self, limit: int) -> None:
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(limit):
            self._free.put(None)

    def acquire(self, timeout: float | None) -> bool:
        """Take a slot within `timeout` seconds; whether there was one."""
        try:
            self._free.get(timeout=timeout)
        except queue.Empty:
            return False
        return True

    def release(self) -> None:
        """Give a slot back."""
        self._free.put(None)


class SyncStack(_Stack):
    """For sync calls; safe to share between threads."""

    kind = "HTTPConnection"
    backend = SyncBackend
    slots = _Slots

    def open(
        self, method: str, target: Target, headers: RawHeaders, content: bytes, deadline: float | None
    ) -> tuple[int, RawHeaders, SyncBody]:
        """Send a request; status, headers and body of the answer. `deadline`: `time.monotonic()` seconds."""
        wait = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        if not self._slots.acquire(timeout=wait):
            raise self._httpcore.PoolTimeout("no connection was free")
        connection: Connection | None = None
        try:
            request = self._request(method, target, headers, content)
            while True:
                connection = self._take(target, deadline)
                try:
                    response = connection.core.handle_request(request)
                    break
                except self._stale:
                    if not connection.used or connection.link.received:
                        raise
                    self._close(connection)
        except BaseException:
            self.release(None, connection)
            raise
        return response.status, response.headers, SyncBody(self, target.key, connection, response.stream)


class AsyncStack(_Stack):
    """For the async calls of one event loop."""

    kind = "AsyncHTTPConnection"
    backend = AsyncBackend
    slots = asyncio.Semaphore

    async def open(
        self, method: str, target: Target, headers: RawHeaders, content: bytes, deadline: float | None
    ) -> tuple[int, RawHeaders, AsyncBody]:
        """`SyncStack.open`, async."""
        await self._acquire(deadline)
        connection: Connection | None = None
        try:
            request = self._request(method, target, headers, content)
            while True:
                connection = self._take(target, deadline)
                try:
                    response = await connection.core.handle_async_request(request)
                    break
                except self._stale:
                    if not connection.used or connection.link.received:
                        raise
                    self._close(connection)
        except BaseException:
            self.release(None, connection)
            raise
        return response.status, response.headers, AsyncBody(self, target.key, connection, response.stream)

    async def _acquire(self, deadline: float | None) -> None:
        if not self._slots.locked():
            await self._slots.acquire()  # at once
            return
        try:
            async with asyncio.timeout(None if deadline is None else max(deadline - time.monotonic(), 0.0)):
                await self._slots.acquire()
        except TimeoutError as error:
            raise self._httpcore.PoolTimeout("no connection was free") from error


class _Body:
    """The body of an answer: gives its connection back when it has been read or closed."""

    __slots__ = ("_connection", "_key", "_stack", "_stream", "link")

    def __init__(self, stack: _Stack, key: str | None, connection: Connection, stream: Any) -> None:
        self._stack = stack
        self._key = key
        self._connection: Connection | None = connection
        self._stream = stream
        self.link = connection.link

    def abort(self) -> None:
        """Drop the connection without I/O. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._stack.release(None, connection)

    def _done(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._stack.release(self._key, connection)


class SyncBody(_Body):
    """A body read by sync code."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        """The bytes as they come."""
        return iter(self._stream)

    def close(self) -> None:
        """Give the connection back. Idempotent."""
        if self._connection is not None:
            try:
                self._stream.close()
            finally:
                self._done()


class AsyncBody(_Body):
    """A body read by async code."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes as they come."""
        return self._stream.__aiter__()  # type: ignore[no-any-return]  # httpcore's own iterator

    async def aclose(self) -> None:
        """Give the connection back. Idempotent."""
        if self._connection is not None:
            try:
                await self._stream.aclose()
            finally:
                self._done()

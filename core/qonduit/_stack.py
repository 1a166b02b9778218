"""Stacks of idle connections: how requests reach the network by default, sync and async.

One stack an origin, last in first out, under a limit on the connections in use. httpx's own pool scans all of its
connections for every request, which grows with the square of the load, and loses slots when a task is cancelled at
certain points (encode/httpcore#830, #1093). The connection, its TLS and its protocol are httpcore's public
HTTPConnection and AsyncHTTPConnection, or `qonduit._httptools` where httptools serves.

A connection that was idle may have been closed by the server a moment ago. When it is found dead before a byte of the
answer has come, the request is sent once more on a new connection: it cannot have been answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

from qonduit import _httptools
from qonduit._async_network import AsyncBackend
from qonduit._forks import forget_in_children
from qonduit._httptools_answer import RawHeaders
from qonduit._link import Link
from qonduit._network import SyncBackend
from qonduit._slots import AsyncSlots, SyncSlots
from qonduit._templates import Head, Target

KEEPALIVE_SECONDS = 10.0
"""How long an idle connection is kept: shorter than the 15 s after which common load balancers close one."""


class Connection:
    """One connection of httpcore's kind, with its link to the network and whether it has served before."""

    __slots__ = ("core", "link", "used")

    def __init__(self, core: Any, link: Link) -> None:
        self.core = core
        self.link = link
        self.used = False


class _Stack:
    """What both kinds share: where connections lie, how they are made, and what a request becomes."""

    kind: str
    parsed: type[_httptools.SyncConnection] | type[_httptools.AsyncConnection]
    backend: type[SyncBackend] | type[AsyncBackend]
    slots: type[SyncSlots] | type[AsyncSlots]

    def __init__(
        self,
        httpcore: ModuleType,
        context: Callable[[], ssl.SSLContext],
        limit: int,
        httptools: ModuleType | None = None,
    ) -> None:
        self._httpcore = httpcore
        self.whole_reads = httptools is not None
        self._make = functools.partial(self.parsed, httptools, httpcore) if httptools else getattr(httpcore, self.kind)
        self._context = context
        self._limit = limit
        self._idle: dict[str, list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._open = True
        self.lock = threading.RLock()  # for who takes a connection from a body; collecting garbage may re-enter it
        self._stale = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)
        self._slots: Any = self.slots(limit)
        forget_in_children(self)

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
            core = self._make(
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

    def _request(self, target: Target, head: Head, content: bytes) -> Any:
        if self.whole_reads:
            made = head.made
            if made is None:
                made = head.made = _httptools.serialized(self._httpcore, head.method, target.url.target, head.headers)
            return made.request(content, target.extensions["timeout"]["connect"])
        request = self._httpcore.Request(head.method, target.url, content=content, extensions=target.extensions)
        # They are bytes: given to the constructor, each would be checked for that.
        request.headers = head.whole(content)
        return request

    def release(self, key: str | None, connection: Connection | None) -> None:
        """Give a connection back, and its slot; it is kept when it can serve again. `key` None: it cannot."""
        try:
            if connection is not None:
                self._busy.discard(connection)
                if key is not None and self._open and connection.core.is_idle() and not _has_more(connection.core):
                    connection.used = True
                    self._idle.setdefault(key, []).append(connection)
                else:
                    self._close(connection)
        finally:
            self._slots.release()

    def _close(self, connection: Connection) -> None:
        self._busy.discard(connection)
        connection.link.abort()

    def close(self) -> None:
        """Close every connection at once, without I/O; works when an event loop is gone, too. Idempotent.

        What is being read comes to its end now, and is closed by who reads it.
        """
        self._open = False
        for stack in list(self._idle.values()):
            with contextlib.suppress(IndexError):  # another thread was faster
                while stack:
                    self._close(stack.pop())
        for connection in list(self._busy):
            connection.link.interrupt()

    def __del__(self) -> None:
        """A client that was never closed leaves nothing open."""
        with contextlib.suppress(Exception):  # the interpreter may be half gone
            self.close()
            for connection in list(self._busy):
                self._close(connection)

    def forget(self) -> None:
        """In a forked child: use none of the parent's connections, and say nothing on their sockets."""
        for connection in (*self._busy, *itertools.chain.from_iterable(self._idle.values())):
            connection.link.disown()
        self._idle = {}
        self._busy = set()
        self._slots = self.slots(self._limit)
        self.lock = threading.RLock()


def _has_more(core: Any) -> bool:
    """Whether more came than the answer: it would be taken for the answer to the next request on this connection.

    httpcore does not look, and has no public way to; where its insides are others, nobody can tell.
    """
    state = getattr(getattr(core, "_connection", None), "_h11_state", None)
    return state is not None and state.trailing_data[0] != b""


class SyncStack(_Stack):
    """For sync calls; safe to share between threads."""

    kind = "HTTPConnection"
    parsed = _httptools.SyncConnection
    backend = SyncBackend
    slots = SyncSlots

    def open(
        self, target: Target, head: Head, content: bytes, deadline: float | None
    ) -> tuple[int, RawHeaders, SyncBody]:
        """Send a request; status, headers and body of the answer. `deadline`: `time.monotonic()` seconds."""
        if not self._slots.acquire(_left(deadline)):
            raise self._httpcore.PoolTimeout("no connection was free")
        connection: Connection | None = None
        try:
            request = self._request(target, head, content)
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
    parsed = _httptools.AsyncConnection
    backend = AsyncBackend
    slots = AsyncSlots

    def __init__(
        self,
        httpcore: ModuleType,
        context: Callable[[], ssl.SSLContext],
        limit: int,
        httptools: ModuleType | None = None,
    ) -> None:
        super().__init__(httpcore, context, limit, httptools)
        self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()

    def close(self) -> None:
        """`_Stack.close`, from any thread."""
        if not self.elsewhere(super().close):
            super().close()

    def forget(self) -> None:
        """`_Stack.forget`: the parent's loop is not run here."""
        super().forget()
        self.loop = None

    def elsewhere(self, function: Callable[[], None]) -> bool:
        """Have `function` called in this stack's loop, when that runs in another thread; False when it does not."""
        loop = self.loop
        if loop is None or not loop.is_running():
            return False
        try:
            if asyncio.get_running_loop() is loop:
                return False
        except RuntimeError:  # no loop runs in this thread
            pass
        try:
            loop.call_soon_threadsafe(function)
        except RuntimeError:  # closed meanwhile
            return False
        return True

    async def open(
        self, target: Target, head: Head, content: bytes, deadline: float | None
    ) -> tuple[int, RawHeaders, AsyncBody]:
        """`SyncStack.open`, async."""
        if not await self._slots.acquire(_left(deadline)):
            raise self._httpcore.PoolTimeout("no connection was free")
        connection: Connection | None = None
        try:
            request = self._request(target, head, content)
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


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)


class _Body:
    """The body of an answer: gives its connection back when it has been read or closed."""

    __slots__ = ("_connection", "_key", "_stack", "_stream", "link", "whole_reads")

    def __init__(self, stack: _Stack, key: str | None, connection: Connection, stream: Any) -> None:
        self._stack = stack
        self._key = key
        self._connection: Connection | None = connection
        self._stream = stream
        self.link = connection.link
        self.whole_reads = stack.whole_reads

    def abort(self) -> None:
        """Drop the connection without I/O. Idempotent."""
        if (connection := self._taken()) is not None:
            self._stack.release(None, connection)

    def interrupt(self) -> None:
        """End a read that is under way; who reads drops the connection then."""
        with self._stack.lock:  # or the connection might serve somebody else by now
            if self._connection is not None:
                self._connection.link.interrupt()

    def _done(self) -> None:
        if (connection := self._taken()) is not None:
            self._stack.release(self._key, connection)

    def _taken(self) -> Connection | None:
        """The connection, to the first who asks."""
        with self._stack.lock:
            connection, self._connection = self._connection, None
        return connection


class SyncBody(_Body):
    """A body read by sync code."""

    __slots__ = ()

    drop = _Body.abort
    """`abort`, by the garbage collector."""

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
    _stack: AsyncStack

    def abort(self) -> None:
        """Drop the connection without I/O, from any thread. Idempotent."""
        if not self._stack.elsewhere(super().abort):
            super().abort()

    def drop(self) -> None:
        """`abort`, by the garbage collector, which may strike in the midst of the loop's own code."""
        if self._stack.loop is not None:
            try:
                self._stack.loop.call_soon_threadsafe(self.abort)
            except RuntimeError:  # the loop is closed
                self.abort()

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

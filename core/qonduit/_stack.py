"""Stacks of idle connections: the default transports under httpx's interface, sync and async.

One stack an origin, last in first out, under a limit on the connections in use. httpx's own pool scans all of its
connections for every request, which grows with the square of the load, and loses slots when a task is cancelled at
certain points (encode/httpcore#830, #1093). The connection, its TLS and its protocol are httpcore's public
HTTPConnection and AsyncHTTPConnection.

A connection that was idle may have been closed by the server a moment ago. When it is found dead before a byte of the
answer has come, the request is sent once more on a new connection: it cannot have been answered.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

from qonduit._network import AsyncBackend, Link, SyncBackend

KEEPALIVE_SECONDS = 10.0
"""How long an idle connection is kept: shorter than the 15 s after which common load balancers close one."""

Origin = tuple[bytes, bytes, int]
PORTS = {b"http": 80, b"https": 443}


class Connection:
    """One connection of httpcore's, with its link to the network and whether it has served before."""

    __slots__ = ("core", "link", "used")

    def __init__(self, core: Any, link: Link) -> None:
        self.core = core
        self.link = link
        self.used = False


class _Stacks:
    """What both kinds share: where connections lie, how they are made, and what a request becomes."""

    def __init__(
        self,
        httpcore: ModuleType,
        make_response: Callable[..., Any],
        context: Callable[[], ssl.SSLContext],
        limit: int,
    ) -> None:
        self._httpcore = httpcore
        self._make_response = make_response
        self._context = context
        self._limit = limit
        self._idle: dict[Origin, list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._stale = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)
        _STACKS.add(self)

    def _connection(self, origin: Origin, kind: Any, backend: Any) -> Connection:
        link = Link()
        scheme, host, port = origin
        core = kind(
            origin=self._httpcore.Origin(scheme, host, port),
            ssl_context=self._context() if scheme == b"https" else None,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=backend(self._httpcore, link),
        )
        return Connection(core, link)

    def _request(self, request: Any) -> tuple[Origin, Any]:
        url = request.url
        scheme, host = url.raw_scheme, url.raw_host
        origin = (scheme, host, url.port or PORTS[scheme])
        core = self._httpcore.Request(
            request.method,
            self._httpcore.URL(scheme=scheme, host=host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        return origin, core

    def _pop(self, origin: Origin) -> Connection | None:
        stack = self._idle.get(origin)
        while stack:
            connection = stack.pop()
            if not connection.core.has_expired():
                return connection
            self._discard(connection)
        return None

    def _response(self, core: Any, stream: Any) -> Any:
        return self._make_response(
            core.status, headers=core.headers, stream=stream, extensions=core.extensions
        )

    def _discard(self, connection: Connection) -> None:
        raise NotImplementedError

    def forget(self) -> None:
        """In a forked child: use none of the parent's connections, and say nothing on their sockets."""
        _INHERITED.append((self._idle, self._busy))
        self._idle = {}
        self._busy = set()


_STACKS: weakref.WeakSet[_Stacks] = weakref.WeakSet()
_INHERITED: list[Any] = []
"""Connections of a parent process, kept so that nothing closes them by collecting them."""


def _forget_all() -> None:
    for stacks in list(_STACKS):
        stacks.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


class StackTransport(_Stacks):
    """The sync transport; safe to share between threads."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._slots = threading.Semaphore(self._limit)

    def handle_request(self, request: Any) -> Any:
        """Send one request; `extensions["deadline"]` is its time limit in `time.monotonic()` seconds."""
        deadline = request.extensions.get("deadline")
        wait = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        if not self._slots.acquire(timeout=wait):
            raise self._httpcore.PoolTimeout("no connection was free")
        connection: Connection | None = None
        try:
            origin, core_request = self._request(request)
            while True:
                connection = self._pop(origin) or self._connection(
                    origin, self._httpcore.HTTPConnection, SyncBackend
                )
                self._busy.add(connection)
                connection.link.deadline = deadline
                connection.link.received = 0
                try:
                    core_response = connection.core.handle_request(core_request)
                    break
                except self._stale:
                    if not connection.used or connection.link.received:
                        raise
                    self._discard(connection)
        except BaseException:
            self.release(None, connection)
            raise
        return self._response(core_response, SyncBody(self, origin, connection, core_response.stream))

    def release(self, origin: Origin | None, connection: Connection | None) -> None:
        """Give a connection back, and its slot; it is kept when it can serve again."""
        if connection is not None:
            self._busy.discard(connection)
            if origin is not None and connection.core.is_idle():
                connection.used = True
                self._idle.setdefault(origin, []).append(connection)
            else:
                connection.core.close()
        self._slots.release()

    def _discard(self, connection: Connection) -> None:
        self._busy.discard(connection)
        connection.core.close()

    def forget(self) -> None:
        """See `_Stacks.forget`."""
        super().forget()
        self._slots = threading.Semaphore(self._limit)

    def close(self) -> None:
        """Close every connection. Idempotent."""
        for stack in self._idle.values():
            while stack:
                stack.pop().core.close()
        for connection in list(self._busy):
            self._discard(connection)


class SyncBody:
    """The body of a response: gives its connection back when it has been read or closed."""

    __slots__ = ("_connection", "_iterator", "_origin", "_stream", "_transport", "connection")

    def __init__(
        self, transport: StackTransport, origin: Origin, connection: Connection, stream: Any
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: Connection | None = connection
        self._stream = stream
        self._iterator: Iterator[bytes] | None = None
        self.connection = connection

    def __iter__(self) -> Iterator[bytes]:
        """The bytes as they come."""
        return iter(self._stream)

    def close(self) -> None:
        """Give the connection back. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                self._stream.close()
            finally:
                self._transport.release(self._origin, connection)


class AsyncStackTransport(_Stacks):
    """The async transport, of one event loop."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._slots = asyncio.Semaphore(self._limit)

    async def handle_async_request(self, request: Any) -> Any:
        """See `StackTransport.handle_request`."""
        deadline = request.extensions.get("deadline")
        await self._acquire(deadline)
        connection: Connection | None = None
        try:
            origin, core_request = self._request(request)
            while True:
                connection = self._pop(origin) or self._connection(
                    origin, self._httpcore.AsyncHTTPConnection, AsyncBackend
                )
                self._busy.add(connection)
                connection.link.deadline = deadline
                connection.link.received = 0
                try:
                    core_response = await connection.core.handle_async_request(core_request)
                    break
                except self._stale:
                    if not connection.used or connection.link.received:
                        raise
                    self._discard(connection)
        except BaseException:
            self.release(None, connection)
            raise
        return self._response(core_response, AsyncBody(self, origin, connection, core_response.stream))

    async def _acquire(self, deadline: float | None) -> None:
        if not self._slots.locked():
            await self._slots.acquire()  # at once
            return
        try:
            async with asyncio.timeout(None if deadline is None else max(deadline - time.monotonic(), 0.0)):
                await self._slots.acquire()
        except TimeoutError as error:
            raise self._httpcore.PoolTimeout("no connection was free") from error

    def release(self, origin: Origin | None, connection: Connection | None) -> None:
        """See `StackTransport.release`."""
        if connection is not None:
            self._busy.discard(connection)
            if origin is not None and connection.core.is_idle():
                connection.used = True
                self._idle.setdefault(origin, []).append(connection)
            else:
                abort(connection)
        self._slots.release()

    def _discard(self, connection: Connection) -> None:
        self._busy.discard(connection)
        abort(connection)

    def forget(self) -> None:
        """See `_Stacks.forget`."""
        super().forget()
        self._slots = asyncio.Semaphore(self._limit)

    def abort(self) -> None:
        """Close every connection at once; works when the loop is gone, too. Idempotent."""
        for stack in self._idle.values():
            while stack:
                abort(stack.pop())
        for connection in list(self._busy):
            self._discard(connection)

    async def aclose(self) -> None:
        """`abort`, and let the loop take note of it."""
        self.abort()
        await asyncio.sleep(0)


class AsyncBody:
    """`SyncBody`, async."""

    __slots__ = ("_connection", "_origin", "_stream", "_transport", "connection")

    def __init__(
        self, transport: AsyncStackTransport, origin: Origin, connection: Connection, stream: Any
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: Connection | None = connection
        self._stream = stream
        self.connection = connection

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes as they come."""
        return self._stream.__aiter__()  # type: ignore[no-any-return]  # httpcore's own iterator

    async def aclose(self) -> None:
        """Give the connection back. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await self._stream.aclose()
            finally:
                self._transport.release(self._origin, connection)

    def abort(self) -> None:
        """Drop the connection without I/O. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.release(None, connection)


def abort(connection: Connection) -> None:
    """Close an async connection without awaiting."""
    if connection.link.stream is not None:
        connection.link.stream.abort()

"""Network backends for httpcore's connections: deadlines in place of timeouts, and asyncio in place of anyio.

httpcore hands a backend the timeout of each single read, so an answer that drips a byte at a time never times out.
Here each connection has one deadline, set by the transport before it asks for something, and every operation gets what
is left of it. A count of the bytes read tells a connection that died idle from one that died with an answer under way.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import time
from collections.abc import Iterable
from types import ModuleType
from typing import Any

HIGH_WATER = 1 << 18
"""Bytes waiting to be read at which an async connection stops reading from its socket."""


class Link:
    """What a transport and the network under one connection share.

    `deadline` is in `time.monotonic()` seconds, None for no limit; `received` counts the bytes of the answer so far;
    `stream` is the async stream, once there is one.
    """

    __slots__ = ("deadline", "received", "stream")

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.received = 0
        self.stream: AsyncStream | None = None

    def remaining(self, timeout: float | None) -> float | None:
        """Seconds left, at most `timeout`."""
        if self.deadline is None:
            return timeout
        left = max(self.deadline - time.monotonic(), 0.0)
        return left if timeout is None or left < timeout else timeout


class SyncBackend:
    """Opens blocking sockets."""

    def __init__(self, httpcore: ModuleType, link: Link) -> None:
        self._httpcore = httpcore
        self._link = link

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> SyncStream:
        core = self._httpcore
        try:
            sock = socket.create_connection((host, port), self._link.remaining(timeout))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError as error:
            raise core.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise core.ConnectError(str(error)) from error
        return SyncStream(core, sock, self._link)


class SyncStream:
    """A blocking socket, plain or TLS."""

    def __init__(self, httpcore: ModuleType, sock: socket.socket, link: Link) -> None:
        self._httpcore = httpcore
        self._socket = sock
        self._link = link

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        remaining = self._link.remaining(timeout)
        if remaining == 0.0:
            raise self._httpcore.ReadTimeout("the time was up")
        try:
            self._socket.settimeout(remaining)
            data = self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise self._httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise self._httpcore.ReadError(str(error)) from error
        self._link.received += len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        remaining = self._link.remaining(timeout)
        if remaining == 0.0:
            raise self._httpcore.WriteTimeout("the time was up")
        try:
            self._socket.settimeout(remaining)
            self._socket.sendall(buffer)
        except TimeoutError as error:
            raise self._httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise self._httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> SyncStream:
        try:
            self._socket.settimeout(self._link.remaining(timeout))
            self._socket = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError as error:
            self.close()
            raise self._httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            self.close()
            raise self._httpcore.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._socket.fileno() < 0 or bool(_readable(self._socket))
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        return self._socket if info == "socket" else None


def _readable(sock: socket.socket) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


class AsyncBackend:
    """Opens connections of the running asyncio loop."""

    def __init__(self, httpcore: ModuleType, link: Link) -> None:
        self._httpcore = httpcore
        self._link = link

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncStream:
        core = self._httpcore
        stream = self._link.stream = AsyncStream(core, self._link)
        try:
            async with asyncio.timeout(self._link.remaining(timeout)):
                await asyncio.get_running_loop().create_connection(lambda: stream, host, port)
        except TimeoutError as error:
            raise core.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise core.ConnectError(str(error)) from error
        return stream


class AsyncStream(asyncio.Protocol):
    """An asyncio transport with a buffer; one reader and one writer at a time, as HTTP/1.1 has."""

    def __init__(self, httpcore: ModuleType, link: Link) -> None:
        self._httpcore = httpcore
        self._link = link
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._ended = False
        self._failure: Exception | None = None
        self._reading_paused = False
        self._writing_paused = False
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._link.received += len(data)
        if len(self._buffer) > HIGH_WATER and self._transport is not None and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._failure = exc
        self._wake()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, timeout: float | None) -> bool:
        """Wait for something to happen; False when the time was up first."""
        loop = asyncio.get_running_loop()
        remaining = self._link.remaining(timeout)
        self._waiter = waiter = loop.create_future()
        timer = None if remaining is None else loop.call_later(remaining, _expire, waiter)
        try:
            await waiter
        except TimeoutError:
            return False
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        return True

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while not self._buffer:
            if self._failure is not None:
                raise self._httpcore.ReadError(str(self._failure)) from self._failure
            if self._ended:
                return b""
            if not await self._wait(timeout):
                raise self._httpcore.ReadTimeout("the time was up")
        data = bytes(self._buffer[:max_bytes])
        del self._buffer[:max_bytes]
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        if self._transport is None or self._ended or self._transport.is_closing():
            raise self._httpcore.WriteError("the connection is closed")
        self._transport.write(buffer)
        while self._writing_paused and not self._ended:
            if not await self._wait(timeout):
                raise self._httpcore.WriteTimeout("the time was up")

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        """Close at once, without waiting for the peer; works when the loop is gone, too."""
        if self._transport is None:
            return
        self._ended = True
        try:
            self._transport.abort()
        except RuntimeError:  # the loop is closed: what is left is the socket
            sock = self._transport.get_extra_info("socket")
            if sock is not None and hasattr(sock, "_sock"):
                sock._sock.close()  # asyncio wraps the socket and refuses close() on the wrapper

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncStream:
        loop = asyncio.get_running_loop()
        assert self._transport is not None
        try:
            async with asyncio.timeout(self._link.remaining(timeout)):
                transport = await loop.start_tls(
                    self._transport, self, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            self.abort()
            raise self._httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            self.abort()
            raise self._httpcore.ConnectError(str(error)) from error
        self._transport = transport
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return bool(
                self._ended or self._buffer or self._transport is None or self._transport.is_closing()
            )
        return None if self._transport is None else self._transport.get_extra_info(info)


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())

"""Network backends for httpcore's connections: deadlines in place of timeouts, and asyncio in place of anyio.

httpcore hands a backend the timeout of each single read, so an answer that drips a byte at a time never times out.
Here each connection has one deadline, set by the transport before it asks for something, and every operation gets what
is left of it. A count of the bytes read tells a connection that died idle from one that died with an answer under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import time
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from qonduit._forks import INHERITED

HIGH_WATER = 1 << 18
"""Bytes waiting to be read at which an async connection stops reading from its socket."""


class Link:
    """What a stack and the network under one connection share.

    `deadline` is in `time.monotonic()` seconds, None for no limit; `received` counts the bytes of the answer so far,
    `reads` the reads of the connection, and `latest` what the last one brought; `stream` is the open connection, once
    there is one.
    """

    __slots__ = ("deadline", "httpcore", "latest", "reads", "received", "stream")

    def __init__(self, httpcore: ModuleType) -> None:
        self.httpcore = httpcore
        self.deadline: float | None = None
        self.received = 0
        self.reads = 0
        self.latest = b""
        self.stream: SyncStream | AsyncStream | None = None

    def remaining(self, timeout: float | None) -> float | None:
        """Seconds left, at most `timeout`."""
        if self.deadline is None:
            return timeout
        left = max(self.deadline - time.monotonic(), 0.0)
        return left if timeout is None or left < timeout else timeout

    def abort(self) -> None:
        """Close the connection at once, without waiting for the peer."""
        if self.stream is not None:
            self.stream.abort()

    def interrupt(self) -> None:
        """End a read that is under way, in another thread as well; closing is left to who reads."""
        if self.stream is not None:
            self.stream.interrupt()

    def disown(self) -> None:
        """In a forked child: leave the parent's connection as it is, whatever is still done here."""
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.disown()


class SyncBackend:
    """Opens blocking sockets."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> SyncStream:
        """Connect. Raises httpcore's ConnectTimeout and ConnectError."""
        link = self._link
        remaining = link.remaining(timeout)
        if remaining == 0.0:  # to a socket, this would mean that nothing may block
            raise link.httpcore.ConnectTimeout("the time was up")
        try:
            sock = socket.create_connection((host, port), remaining)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError as error:
            raise link.httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise link.httpcore.ConnectError(str(error)) from error
        link.stream = SyncStream(link, sock)
        return link.stream


class SyncStream:
    """A blocking socket, plain or TLS. What is written waits until something is read, so a request is one packet."""

    def __init__(self, link: Link, sock: socket.socket) -> None:
        self._link = link
        self._socket = sock
        self._pending = b""
        self._poll: Any = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send what waits, then the next bytes; b"" at the end. Raises httpcore's ReadTimeout and ReadError."""
        link = self._link
        remaining = link.remaining(timeout)
        if remaining == 0.0:
            raise link.httpcore.ReadTimeout("the time was up")
        try:
            self._socket.settimeout(remaining)
            if self._pending:
                self._flush()
            data = self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise link.httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise link.httpcore.ReadError(str(error)) from error
        link.received += len(data)
        link.reads += 1
        link.latest = data
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Take bytes to be sent by the next read, or at once when they are many."""
        self._pending = self._pending + buffer if self._pending else buffer
        if len(self._pending) < HIGH_WATER:
            return
        remaining = self._link.remaining(timeout)
        if remaining == 0.0:
            raise self._link.httpcore.WriteTimeout("the time was up")
        try:
            self._socket.settimeout(remaining)
            self._flush()
        except TimeoutError as error:
            raise self._link.httpcore.WriteTimeout(str(error)) from error

    def _flush(self) -> None:
        pending, self._pending = self._pending, b""
        try:
            self._socket.sendall(pending)
        except TimeoutError:
            raise
        except OSError:
            # A server may refuse a request before it has read it all: its answer, if any, is there to be read.
            return

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self._socket.close()

    abort = close

    def interrupt(self) -> None:
        """Shut the socket down: a reader sees the end. Its number stays taken, so that no read can meet another's."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # SSLSocket's own would take the reader's TLS away

    def disown(self) -> None:
        """Let go of the socket without a word to the peer: to this process it is closed."""
        INHERITED.append(self._socket)
        self._socket = socket.socket()
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> SyncStream:
        """Put TLS on the connection. Raises httpcore's ConnectTimeout and ConnectError."""
        core = self._link.httpcore
        remaining = self._link.remaining(timeout)
        if remaining == 0.0:
            self.close()
            raise core.ConnectTimeout("the time was up")
        try:
            self._socket.settimeout(remaining)
            self._socket = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
            self._poll = None
        except TimeoutError as error:
            self.close()
            raise core.ConnectTimeout(str(error)) from error
        except OSError as error:
            self.close()
            raise core.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks: whether a byte, or the end, waits to be read; the TLS object."""
        if info == "is_readable":
            return self._socket.fileno() < 0 or self._readable()
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        return None

    def _readable(self) -> bool:
        if not hasattr(select, "poll"):
            return bool(select.select([self._socket], [], [], 0)[0])
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
        return bool(self._poll.poll(0))


class AsyncBackend:
    """Opens connections of the running asyncio loop."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncStream:
        """Connect. Raises httpcore's ConnectTimeout and ConnectError."""
        core = self._link.httpcore
        stream = self._link.stream = AsyncStream(self._link)
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

    def __init__(self, link: Link) -> None:
        self._link = link
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._pending = b""
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
        if remaining == 0.0:  # else a server that never stops talking would win against every timer
            return False
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

    def _flush(self) -> None:
        pending, self._pending = self._pending, b""
        if self._transport is None or self._ended or self._transport.is_closing():
            return  # what is there to be read, or the end, tells why
        self._transport.write(pending)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send what waits, then the next bytes; b"" at the end. Raises httpcore's ReadTimeout and ReadError."""
        if self._pending:
            self._flush()
        while not self._buffer:
            if self._failure is not None:
                raise self._link.httpcore.ReadError(str(self._failure)) from self._failure
            if self._ended:
                return b""
            if not await self._wait(timeout):
                raise self._link.httpcore.ReadTimeout("the time was up")
        if len(self._buffer) <= max_bytes:
            data = bytes(self._buffer)
            self._buffer.clear()
        else:
            data = bytes(self._buffer[:max_bytes])
            del self._buffer[:max_bytes]
        self._link.reads += 1
        self._link.latest = data
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Take bytes to be sent by the next read, or at once when they are many."""
        self._pending = self._pending + buffer if self._pending else buffer
        if len(self._pending) < HIGH_WATER:
            return
        self._flush()
        while self._writing_paused and not self._ended:
            if not await self._wait(timeout):
                raise self._link.httpcore.WriteTimeout("the time was up")

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        """Close at once, without waiting for the peer; works when the loop is gone, too."""
        if self._transport is None:
            return
        self._ended = True
        try:
            self._transport.abort()
        except RuntimeError:  # the loop is closed: what it would have done is left to do
            under = getattr(getattr(self._transport, "_ssl_protocol", None), "_transport", None)
            lost = getattr(under or self._transport, "_call_connection_lost", None)
            if lost is not None:
                lost(None)  # closes the socket; asyncio has no public way to a transport of a closed loop

    interrupt = abort

    def disown(self) -> None:
        """Let go of the transport, whose loop shares its poll object with the parent: to this process it has ended."""
        INHERITED.append(self._transport)
        self._transport = None
        self._ended = True

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncStream:
        loop = asyncio.get_running_loop()
        assert self._transport is not None
        try:
            async with asyncio.timeout(self._link.remaining(timeout)):
                transport = await loop.start_tls(self._transport, self, ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            self.abort()
            raise self._link.httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            self.abort()
            raise self._link.httpcore.ConnectError(str(error)) from error
        self._transport = transport
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return bool(self._ended or self._buffer or self._transport is None or self._transport.is_closing())
        return None if self._transport is None else self._transport.get_extra_info(info)


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())

"""The network backend of async connections: see `_network`. asyncio in place of anyio."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

from qonduit._forks import INHERITED
from qonduit._link import HIGH_WATER, Link


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

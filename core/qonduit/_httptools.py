"""HTTP/1.1 by httptools: what httpcore and h11 do for a connection, done in C.

`SyncConnection` and `AsyncConnection` have what a stack uses of httpcore's connections, over the same network backends,
and raise httpcore's errors.
"""

from __future__ import annotations

import ssl
import time
from types import ModuleType
from typing import Any, NamedTuple

from qonduit._async_network import AsyncBackend, AsyncStream
from qonduit._httptools_answer import VALUE, Answer, RawHeaders
from qonduit._network import SyncBackend, SyncStream

READ_BYTES = 1 << 14
"""A record of TLS. What a read brought is decoded together, and more of it cools the caches."""

_VISIBLE = bytes(range(0x21, 0x7F))
_TOKEN = bytes(set(_VISIBLE) - set(b'"(),/:;<=>?@[\\]{}'))


class Request(NamedTuple):
    """A request as it is sent, and what its answer depends on. `connect` is the time for a new connection."""

    data: bytes
    bodiless: bool
    closing: bool
    connect: float | None


class Head(NamedTuple):
    """What requests with the same headers begin with: all but the length of their content, and the content."""

    data: bytes
    bodiless: bool
    closing: bool

    def request(self, content: bytes, connect: float | None) -> Request:
        """The request with `content`."""
        data = b"%b%d\r\n\r\n%b" % (self.data, len(content), content)
        return Request(data, self.bodiless, self.closing, connect)


class Response(NamedTuple):
    """The beginning of an answer; `stream` gives the bytes of its body."""

    status: int
    headers: RawHeaders
    stream: Any


def serialized(core: ModuleType, method: str, target: bytes, headers: RawHeaders) -> Head:
    """The head of requests. Raises httpcore's LocalProtocolError where it would say more than was meant."""
    names = [name.lower() for name, _ in headers]
    values = [value for _, value in headers]
    if (
        b"".join(names).translate(None, _TOKEN)
        or b"" in names
        or b"".join(values).translate(None, VALUE)
        or [value.strip(b" \t") for value in values] != values
        or not method
        or method.encode().translate(None, _TOKEN)
        or target.translate(None, _VISIBLE)
    ):
        raise core.LocalProtocolError("characters that HTTP forbids")
    if names.count(b"host") != 1 or b"content-length" in names or b"transfer-encoding" in names:
        raise core.LocalProtocolError("a second host, or a second length")
    closing = b"connection" in names and any(
        name == b"connection" and b"close" in value.lower() for name, value in zip(names, values, strict=True)
    )
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    data = b"%b %b HTTP/1.1\r\n%bcontent-length: " % (method.encode(), target, lines)
    return Head(data, method == "HEAD", closing)


class _SyncAnswer(Answer):
    """An answer that sync code reads: an iterator of its body."""

    __slots__ = ("stream",)
    stream: SyncStream

    def __iter__(self) -> _SyncAnswer:
        return self

    def __next__(self) -> bytes:
        """What the next read brings."""
        while not (data := self.taken()):
            if self.complete:
                raise StopIteration
            self.feed(self.stream.read(READ_BYTES))
        return data

    def close(self) -> None:
        """The body has been read, or nobody wants it: from now on the connection idles, if it may."""
        self.rested = time.monotonic()


class _AsyncAnswer(Answer):
    """An answer that async code reads."""

    __slots__ = ("stream",)
    stream: AsyncStream

    def __aiter__(self) -> _AsyncAnswer:
        return self

    async def __anext__(self) -> bytes:
        """`_SyncAnswer.__next__`, async."""
        while not (data := self.taken()):
            if self.complete:
                raise StopAsyncIteration
            self.feed(await self.stream.read(READ_BYTES))
        return data

    async def aclose(self) -> None:
        """`_SyncAnswer.close`."""
        self.rested = time.monotonic()


class _Connection:
    """What both kinds share: the state of one connection, as a stack asks for it."""

    __slots__ = ("_answer", "_backend", "_context", "_core", "_keepalive", "_origin", "_stream", "_tools")

    def __init__(
        self,
        tools: ModuleType,
        core: ModuleType,
        *,
        origin: Any,
        ssl_context: ssl.SSLContext | None,
        keepalive_expiry: float,
        network_backend: Any,
    ) -> None:
        self._tools = tools
        self._core = core
        self._stream: Any = None
        self._origin = origin
        self._context = ssl_context
        self._keepalive = keepalive_expiry
        self._backend = network_backend
        self._answer: Answer | None = None

    def is_idle(self) -> bool:
        """Whether the last answer was whole and left the connection as it was."""
        answer = self._answer
        return answer is not None and answer.complete and answer.reusable

    def has_expired(self) -> bool:
        """Whether it has idled for too long, was closed by the server, or has got what nobody asked for."""
        answer = self._answer
        too_long = answer is None or time.monotonic() > answer.rested + self._keepalive
        return too_long or bool(self._stream.get_extra_info("is_readable"))


class SyncConnection(_Connection):
    """In place of httpcore's HTTPConnection."""

    __slots__ = ()
    _backend: SyncBackend

    def handle_request(self, request: Request) -> Response:
        """Send `request`, and read until the headers of its answer have come. Raises httpcore's errors."""
        answer = self._answer = _SyncAnswer(self._tools, self._core, bodiless=request.bodiless, closing=request.closing)
        stream = answer.stream = self._stream = self._stream or self._connected(request)
        stream.write(request.data)
        while not answer.status:
            answer.feed(stream.read(READ_BYTES))
        return Response(answer.status, answer.headers, answer)

    def _connected(self, request: Request) -> SyncStream:
        host = self._origin.host.decode("ascii")
        stream = self._backend.connect_tcp(host, self._origin.port, request.connect)
        if self._context is None:
            return stream
        self._context.set_alpn_protocols(["http/1.1"])
        return stream.start_tls(self._context, host, request.connect)


class AsyncConnection(_Connection):
    """In place of httpcore's AsyncHTTPConnection."""

    __slots__ = ()
    _backend: AsyncBackend

    async def handle_async_request(self, request: Request) -> Response:
        """`SyncConnection.handle_request`, async."""
        answer = self._answer = _AsyncAnswer(
            self._tools, self._core, bodiless=request.bodiless, closing=request.closing
        )
        stream = answer.stream = self._stream = self._stream or await self._connected(request)
        await stream.write(request.data)
        while not answer.status:
            answer.feed(await stream.read(READ_BYTES))
        return Response(answer.status, answer.headers, answer)

    async def _connected(self, request: Request) -> AsyncStream:
        host = self._origin.host.decode("ascii")
        stream = await self._backend.connect_tcp(host, self._origin.port, request.connect)
        if self._context is None:
            return stream
        self._context.set_alpn_protocols(["http/1.1"])
        return await stream.start_tls(self._context, host, request.connect)

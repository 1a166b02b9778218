"""The default transport: WireRequests over httpx or httpx2. The only module that imports either, or httpcore.

No cookies, no redirects, no compression, one SSL context for all. Everything is made when it is first needed: sync
connections once, async ones per event loop. Behind a proxy httpx's own transport serves; a client that was handed in
is used through its own `send` and never closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import os
import ssl
import threading
import time
import weakref
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from qonduit._stack import AsyncStackTransport, StackTransport
from qonduit.errors import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    ProtocolError,
    QonduitError,
)
from qonduit.profile import Profile
from qonduit.wire import WireRequest, WireResponse

MAX_BODY_BYTES = 64 * 1024 * 1024
USER_AGENT = "qonduit/0.1.0"


class Library(NamedTuple):
    """httpx or httpx2, with the httpcore of its own, and transports that are of its kind."""

    httpx: ModuleType
    httpcore: ModuleType
    sync_transport: type[Any]
    async_transport: type[Any]


@functools.cache
def library(name: str) -> Library:
    """Load httpx or httpx2. Raises: ConfigurationError when it is not installed."""
    try:
        httpx = importlib.import_module(name)
        httpcore = importlib.import_module("httpcore" if name == "httpx" else "httpcore2")
    except ImportError:
        raise ConfigurationError(
            f"http_library = '{name}', but it is not installed: pip install \"qonduit[{name}]\"."
        ) from None
    return Library(
        httpx,
        httpcore,
        type("StackTransport", (StackTransport, httpx.BaseTransport), {}),
        type("AsyncStackTransport", (AsyncStackTransport, httpx.AsyncBaseTransport), {}),
    )


class HttpxTransport:
    """The default `Transport`. `http_client` is a client of httpx or httpx2, sync or async, of the caller's own."""

    def __init__(self, profile: Profile, http_client: Any = None) -> None:
        self._profile = profile
        self._client = http_client
        name = profile.http_library if http_client is None else type(http_client).__module__.partition(".")[0]
        self._library_name = name if name in {"httpx", "httpx2"} else "httpx"
        self._urls: dict[str, Any] = {}
        self._sync: Any = None
        self._async: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    # What a request becomes, and what an answer means: the same for sync and async.

    def _request(self, wire: WireRequest, deadline: float | None) -> Any:
        httpx = library(self._library_name).httpx
        template = self._urls.get(wire.url)
        if template is None:
            url = httpx.URL(wire.url)
            template = self._urls[wire.url] = (
                url,
                {"host": url.netloc.decode("ascii"), "user-agent": USER_AGENT},
            )
        url, headers = template
        remaining = None if deadline is None else max(deadline - time.monotonic(), 0.001)
        return httpx.Request(
            wire.method,
            url,
            headers={
                **headers,
                "accept-encoding": "identity",
                **wire.headers,
                "content-length": str(len(wire.content)),
            },
            stream=httpx.ByteStream(wire.content),
            extensions={
                "deadline": deadline,
                "timeout": {
                    "connect": min(self._profile.connect_timeout, remaining or self._profile.connect_timeout),
                    "read": remaining,
                    "write": remaining,
                    "pool": remaining,
                },
            },
        )

    def _map(self, error: Exception, wire: WireRequest) -> Exception:
        """Our own error for what httpx or httpcore raised: without their request, which holds the key."""
        if isinstance(error, QonduitError):
            return error
        if isinstance(error, RuntimeError) and "closed" in str(error):
            return APIConnectionError(f"The http_client was closed: {error}.", outcome="not_sent")
        host = urlsplit(wire.url).netloc
        profile = self._profile
        names = {kind.__name__ for kind in type(error).__mro__}
        if "ConnectTimeout" in names:
            return APITimeoutError(
                f"{host} did not accept a connection within {profile.connect_timeout:g} s. "
                "Is it the right host, is a proxy needed? The setting is connect_timeout.",
                outcome="not_sent",
                retryable=True,
            )
        if "PoolTimeout" in names:
            return APITimeoutError(
                f"All {profile.max_connections} connections to {host} were busy until the time was up. "
                "Make fewer calls at once, or raise max_connections.",
                outcome="not_sent",
                retryable=True,
            )
        if names & {"ReadTimeout", "WriteTimeout", "TimeoutException"}:
            return APITimeoutError(
                f"{host} did not answer in time. The settings are timeout (seconds of one attempt, or of one gap in a "
                "stream) and deadline (of the whole call).",
                outcome="unknown",
                retryable=True,
            )
        if names & {"ConnectError", "ProxyError"}:
            reason = str(error) or type(error).__name__
            return APIConnectionError(
                f"{host} cannot be reached: {reason}.", outcome="not_sent", retryable=True
            )
        if "LocalProtocolError" in names:
            # h11's own text would quote the header, and the header may be the key.
            return ProtocolError(
                "The request cannot be put on the wire: a header holds characters that HTTP forbids."
            )
        if names & {"RemoteProtocolError", "ReadError", "WriteError", "NetworkError", "TransportError"}:
            return APIConnectionError(
                f"The connection to {host} broke before the answer was whole.",
                outcome="unknown",
                retryable=True,
            )
        return error

    def _head(self, response: Any) -> tuple[int, Mapping[str, str]]:
        """Status and headers; refuses what was not asked for."""
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            raise ProtocolError(
                f"The answer is compressed ({encoding[:20]!r}) though that was not asked for: a proxy on the way does it. "
                "Switch that off, or use another base_url.",
                status_code=response.status_code,
                outcome="unknown",
            )
        return response.status_code, response.headers

    # Sync

    def _send_sync(self, wire: WireRequest, deadline: float | None) -> Any:
        request = self._request(wire, deadline)
        if self._client is not None:
            self._check_client("Client", "AsyncClient")
            return self._client.send(request, stream=True, follow_redirects=False)
        if self._sync is None:
            with self._lock:
                if self._sync is None:
                    self._sync = self._new_transport(wire, asynchronous=False)
        return self._sync.handle_request(request)

    def send(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        """See `qonduit.parts.Transport`."""
        try:
            response = self._send_sync(wire, deadline)
            body = response.stream
            try:
                status, headers = self._head(response)
                parts: list[bytes] = []
                size = 0
                for part in body:
                    size = _bounded(size + len(part))
                    parts.append(part)
            finally:
                body.close()
        except Exception as error:
            raise self._map(error, wire) from None
        return WireResponse(status, headers, parts[0] if len(parts) == 1 else b"".join(parts), wire)

    def stream(self, wire: WireRequest, deadline: float | None) -> HttpxStream:
        """See `qonduit.parts.Transport`."""
        try:
            response = self._send_sync(wire, deadline)
            try:
                status, headers = self._head(response)
            except BaseException:
                response.stream.close()
                raise
        except Exception as error:
            raise self._map(error, wire) from None
        return HttpxStream(self, wire, response, status, headers)

    def close(self) -> None:
        """Close every connection, async ones of loops that are gone included. Idempotent."""
        transport, self._sync = self._sync, None
        if transport is not None:
            transport.close()
        for loop in list(self._async):
            pool = self._async.pop(loop)
            if hasattr(pool, "abort"):
                pool.abort()

    # Async

    async def _send_async(self, wire: WireRequest, deadline: float | None) -> Any:
        request = self._request(wire, deadline)
        if self._client is not None:
            self._check_client("AsyncClient", "Client")
            return await self._client.send(request, stream=True, follow_redirects=False)
        loop = asyncio.get_running_loop()
        transport = self._async.get(loop)
        if transport is None:
            transport = self._async[loop] = self._new_transport(wire, asynchronous=True)
        return await transport.handle_async_request(request)

    async def asend(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        """See `qonduit.parts.Transport`."""
        try:
            response = await self._send_async(wire, deadline)
            body = response.stream
            try:
                status, headers = self._head(response)
                parts: list[bytes] = []
                size = 0
                async for part in body:
                    size = _bounded(size + len(part))
                    parts.append(part)
            finally:
                await body.aclose()
        except Exception as error:
            raise self._map(error, wire) from None
        return WireResponse(status, headers, parts[0] if len(parts) == 1 else b"".join(parts), wire)

    async def astream(self, wire: WireRequest, deadline: float | None) -> HttpxStream:
        """See `qonduit.parts.Transport`."""
        try:
            response = await self._send_async(wire, deadline)
            try:
                status, headers = self._head(response)
            except BaseException:
                await response.stream.aclose()
                raise
        except Exception as error:
            raise self._map(error, wire) from None
        return HttpxStream(self, wire, response, status, headers)

    async def aclose(self) -> None:
        """Close the connections of every loop, and sync ones. Idempotent."""
        with contextlib.suppress(RuntimeError):
            pool = self._async.pop(asyncio.get_running_loop(), None)
            if pool is not None:
                await pool.aclose()
        self.close()

    # Making transports

    def _check_client(self, expected: str, other: str) -> None:
        names = {kind.__name__ for kind in type(self._client).__mro__}
        if expected not in names:
            raise ConfigurationError(
                f"http_client is a {type(self._client).__name__}; this client needs an {self._library_name}.{expected}"
                f" (an {other} serves only the other kind of qonduit client)."
            )

    def _new_transport(self, wire: WireRequest, *, asynchronous: bool) -> Any:
        lib = library(self._library_name)
        proxy = self._proxy(wire.url)
        if proxy is not None:
            kind = lib.httpx.AsyncHTTPTransport if asynchronous else lib.httpx.HTTPTransport
            limits = lib.httpx.Limits(max_connections=self._profile.max_connections)
            try:
                return kind(proxy=proxy, trust_env=False, limits=limits, verify=self._ssl_context())
            except (ImportError, ValueError) as error:
                scheme = urlsplit(proxy).scheme
                raise ConfigurationError(
                    f"The proxy cannot be used ({scheme}://…): {type(error).__name__}. A socks proxy needs "
                    "'pip install \"httpx[socks]\"'; to ignore the environment's proxies set trust_env = false."
                ) from None
        made = lib.async_transport if asynchronous else lib.sync_transport
        return made(lib.httpcore, lib.httpx.Response, self._ssl_context, self._profile.max_connections)

    def _proxy(self, url: str) -> str | None:
        """The proxy for `url`: the profile's, or the environment's but for NO_PROXY."""
        if self._profile.proxy is not None:
            return self._profile.proxy.get_secret_value()
        if not self._profile.trust_env or not any(
            name.lower() in {"http_proxy", "https_proxy", "all_proxy"} for name in os.environ
        ):
            return None
        import urllib.request  # noqa: PLC0415  # only who has a proxy pays for it

        parts = urlsplit(url)
        if parts.hostname is None or urllib.request.proxy_bypass(parts.netloc):
            return None
        proxies = urllib.request.getproxies()
        return proxies.get(parts.scheme) or proxies.get("all")

    def _ssl_context(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = library(self._library_name).httpx.create_ssl_context(
                trust_env=self._profile.trust_env
            )
        return self._context

    def __reduce__(self) -> tuple[object, ...]:
        """Refused: connections are not pickled."""
        raise TypeError("A transport is not pickled. Build the client where it is used.")


def _bounded(size: int) -> int:
    if size > MAX_BODY_BYTES:
        raise ProtocolError(
            f"The answer is larger than {MAX_BODY_BYTES} bytes; it was given up.", outcome="unknown"
        )
    return size


class HttpxStream:
    """An opened stream, sync or async as it was opened. See `qonduit.parts.WireStream`."""

    def __init__(
        self,
        transport: HttpxTransport,
        wire: WireRequest,
        response: Any,
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        self.status = status
        self.headers = headers
        self._transport = transport
        self._host = wire
        self._body = response.stream
        connection = getattr(self._body, "connection", None)
        self._link = connection.link if connection is not None else None
        self._iterator: Any = None

    def read(self, deadline: float | None) -> bytes:
        """The next bytes, b"" at the end."""
        if self._link is not None:
            self._link.deadline = deadline
        if self._iterator is None:
            self._iterator = iter(self._body)
        try:
            return next(self._iterator)  # type: ignore[no-any-return]
        except StopIteration:
            return b""
        except Exception as error:
            raise self._transport._map(error, self._host) from None  # noqa: SLF001

    async def aread(self, deadline: float | None) -> bytes:
        """`read`, async."""
        if self._link is not None:
            self._link.deadline = deadline
        if self._iterator is None:
            self._iterator = self._body.__aiter__()
        try:
            return await self._iterator.__anext__()  # type: ignore[no-any-return]
        except StopAsyncIteration:
            return b""
        except Exception as error:
            raise self._transport._map(error, self._host) from None  # noqa: SLF001

    def finish(self, deadline: float) -> None:
        """Read the little that is left and give the connection back; close it when that fails."""
        with contextlib.suppress(APIConnectionError):
            while self.read(deadline) and time.monotonic() < deadline:
                pass
        self.close()

    async def afinish(self, deadline: float) -> None:
        """`finish`, async."""
        with contextlib.suppress(APIConnectionError):
            while await self.aread(deadline) and time.monotonic() < deadline:
                pass
        await self.aclose()

    def close(self) -> None:
        """Close. Idempotent; drops an async stream's connection without I/O."""
        close = getattr(self._body, "abort", None) or getattr(self._body, "close", None)
        if close is not None:
            close()

    async def aclose(self) -> None:
        """`close`, async."""
        await self._body.aclose()

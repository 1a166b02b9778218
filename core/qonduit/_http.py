"""The default transport: wire requests over HTTP.

No cookies, no redirects, no compression, one SSL context for all. Everything is made when it is first needed: sync
connections once, async ones per event loop. By default stacks of httpcore's connections serve; behind a proxy httpx's
own transport; a client that was handed in is used through its own `send` and never closed.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import ssl
import threading
import time
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from qonduit._failures import bare, explain
from qonduit._forks import INHERITED, forget_in_children
from qonduit._http_stream import HttpStream
from qonduit._httptools_answer import new_enough
from qonduit._httpx import HttpxBody, check_client, http_library, request_of
from qonduit._proxied import POOL_SECONDS, AsyncProxied, SyncProxied, transport_through
from qonduit._proxies import environment_proxy
from qonduit._stack import AsyncStack, RawHeaders, SyncStack, Target
from qonduit.classification import shown
from qonduit.errors import (
    APITimeoutError,
    BadRequestError,
    ConfigurationError,
    ProtocolError,
)
from qonduit.profile import Profile
from qonduit.wire import Headers, WireRequest, WireResponse

MAX_BODY_BYTES = 64 * 1024 * 1024
USER_AGENT = b"qonduit/0.1.0"


@functools.cache
def library(name: str) -> ModuleType:
    """Import httpx or httpx2, httpcore or httpcore2, or httptools. Raises: ConfigurationError without it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        extra = "httptools" if name == "httptools" else "httpx2"
        raise ConfigurationError(
            f'http_library = "{extra}", but {name} is not installed: pip install "qonduit[{extra}]".'
        ) from None


def check_library(name: str) -> None:
    """Raises: ConfigurationError, where what `http_library = name` needs is not installed or too old."""
    if name == "httptools":
        new_enough(library(name))
    elif name == "httpx2":
        library("httpcore2")


class _Template(NamedTuple):
    """What all requests to one URL share; `proxy` is None for a direct connection."""

    target: Target
    headers: RawHeaders
    proxy: str | None


class HttpTransport:
    """The default `Transport`. `http_client` is a client of httpx or httpx2, sync or async, of the caller's own."""

    def __init__(self, profile: Profile, http_client: Any = None) -> None:
        self._profile = profile
        self._client = http_client
        second = profile.http_library == "httpx2"
        self._core_name = "httpcore2" if second else "httpcore"
        self._httpx_name = (http_client is not None and http_library(http_client)) or ("httpx2" if second else "httpx")
        self._templates: dict[str, _Template] = {}
        self._lock = threading.Lock()
        self._sync: SyncStack | None = None
        self._async: dict[asyncio.AbstractEventLoop, AsyncStack] = {}
        self._proxied: SyncProxied | None = None
        self._async_proxied: dict[asyncio.AbstractEventLoop, AsyncProxied] = {}
        self._context: ssl.SSLContext | None = None
        forget_in_children(self)

    # What a request becomes, and what an answer means: the same for sync and async.

    def _template(self, url: str) -> _Template:
        template = self._templates.get(url)
        if template is None:
            core = library(self._core_name)
            core_url = core.URL(url)
            host = urlsplit(url).netloc.encode("ascii")
            headers = [(b"host", host), (b"user-agent", USER_AGENT), (b"accept-encoding", b"identity")]
            timeout = {"timeout": {"connect": self._profile.connect_timeout}}
            target = Target(core_url, core_url.origin, str(core_url.origin), timeout)
            template = self._templates[url] = _Template(target, headers, self._proxy(url))
        return template

    @staticmethod
    def _headers(template: _Template, wire: WireRequest) -> RawHeaders:
        try:
            given = [(name.encode("ascii"), value.encode("ascii")) for name, value in wire.headers.items()]
        except UnicodeEncodeError:
            raise BadRequestError(
                "The request was not sent: a header holds characters outside ASCII. Look at extra_headers."
            ) from None
        return [*template.headers, *given, (b"content-length", b"%d" % len(wire.content))]

    def _httpx_request(self, template: _Template, wire: WireRequest, deadline: float | None) -> Any:
        headers = self._headers(template, wire)
        httpx = library(self._httpx_name)
        connect = self._profile.connect_timeout
        pool = POOL_SECONDS if self._client is None else None
        return request_of(httpx, wire.method, wire.url, headers, wire.content, connect, deadline, pool)

    def _opened(self, wire: WireRequest, status: int, pairs: RawHeaders, body: Any) -> HttpStream:
        return HttpStream(wire, self._profile, status, Headers(pairs), body)

    @staticmethod
    def _check(stream: HttpStream) -> None:
        """Refuse an encoding that was not asked for."""
        encoding = stream.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            raise ProtocolError(
                f"The answer is compressed ('{shown(encoding, 20)}') though that was not asked for: a proxy on the way "
                "does it. Switch that off, or use another base_url.",
                status_code=stream.status,
                outcome="unknown",
            )

    def _failure(self, error: Exception, wire: WireRequest) -> Exception:
        """What to raise for `error`; a handed-in client's own defect keeps its frames, which show no key."""
        template = self._templates.get(wire.url) if self._client is None else None
        failure = explain(error, wire, self._profile, template and template.proxy)
        if failure is error and self._client is None:
            bare(failure)
        return failure

    # Sync

    def _open(self, wire: WireRequest, deadline: float | None) -> HttpStream:
        template = self._template(wire.url)
        if self._client is None and template.proxy is None:
            if self._sync is None:
                with self._lock:
                    self._sync = self._sync or self._stack(SyncStack)
            headers = self._headers(template, wire)
            opened = self._sync.open(wire.method, template.target, headers, wire.content, deadline)
            return self._opened(wire, *opened)
        request = self._httpx_request(template, wire, deadline)
        if self._client is not None:
            check_client(self._client, "Client", "AsyncClient")
            response = self._client.send(request, stream=True, follow_redirects=False)
            body = HttpxBody(response)
        else:
            if self._proxied is None:
                with self._lock:
                    self._proxied = self._proxied or self._through(SyncProxied, template)
            response, body = self._proxied.open(request, deadline)
        return self._opened(wire, response.status_code, response.headers.raw, body)

    def stream(self, wire: WireRequest, deadline: float | None) -> HttpStream:
        """See `qonduit.parts.Transport`."""
        try:
            stream = self._open(wire, deadline)
            try:
                self._check(stream)
            except BaseException:
                stream.close()
                raise
            return stream
        except Exception as error:  # noqa: BLE001  # explained
            failure = self._failure(error, wire)
        except BaseException as leaving:  # noqa: BLE001  # goes on, without frames that hold the key
            raise bare(leaving)  # noqa: B904
        raise failure

    def send(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        """See `qonduit.parts.Transport`."""
        stream = self.stream(wire, deadline)
        parts: list[bytes] = []
        size = 0
        try:
            for part in stream.body:
                size = _bounded(size + len(part), deadline)
                parts.append(part)
            content = parts[0] if len(parts) == 1 else b"".join(parts)
            return WireResponse(stream.status, stream.headers, content, wire)
        except Exception as error:  # noqa: BLE001  # explained
            failure = self._failure(error, wire)
        except BaseException as leaving:  # noqa: BLE001  # goes on, without frames that hold the key
            raise bare(leaving)  # noqa: B904
        finally:
            stream.body.close()
        raise failure

    def close(self) -> None:
        """Close every connection, async ones of every loop included. Idempotent."""
        stack, self._sync = self._sync, None
        if stack is not None:
            stack.close()
        proxied, self._proxied = self._proxied, None
        if proxied is not None:
            proxied.close()
        with self._lock:
            stacks, proxied_by_loop = list(self._async.values()), list(self._async_proxied.items())
            self._async.clear()
            self._async_proxied.clear()
        for one in stacks:
            one.close()
        for loop, one_proxied in proxied_by_loop:
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(one_proxied.aclose(), loop)

    # Async

    async def _aopen(self, wire: WireRequest, deadline: float | None) -> HttpStream:
        template = self._template(wire.url)
        if self._client is None and template.proxy is None:
            loop = asyncio.get_running_loop()
            stack = self._async.get(loop)
            if stack is None:
                stack = self._stack(AsyncStack)
                self._arrive(self._async, stack)
            headers = self._headers(template, wire)
            opened = await stack.open(wire.method, template.target, headers, wire.content, deadline)
            return self._opened(wire, *opened)
        request = self._httpx_request(template, wire, deadline)
        if self._client is not None:
            check_client(self._client, "AsyncClient", "Client")
            response = await self._client.send(request, stream=True, follow_redirects=False)
            body = HttpxBody(response)
        else:
            loop = asyncio.get_running_loop()
            proxied = self._async_proxied.get(loop)
            if proxied is None:
                proxied = self._through(AsyncProxied, template)
                self._arrive(self._async_proxied, proxied)
            response, body = await proxied.open(request, deadline)
        return self._opened(wire, response.status_code, response.headers.raw, body)

    def _arrive(self, carriers: dict[asyncio.AbstractEventLoop, Any], new: Any) -> None:
        """Keep what carries the calls of this loop, and let go of what carried those of loops that are closed."""
        with self._lock:
            carriers[asyncio.get_running_loop()] = new
            gone = [self._async.pop(old) for old in list(self._async) if old.is_closed()]
            for old in list(self._async_proxied):
                if old.is_closed():
                    del self._async_proxied[old]
        for stack in gone:
            stack.close()

    async def astream(self, wire: WireRequest, deadline: float | None) -> HttpStream:
        """See `qonduit.parts.Transport`."""
        try:
            stream = await self._aopen(wire, deadline)
            try:
                self._check(stream)
            except BaseException:
                await stream.aclose()
                raise
            return stream
        except Exception as error:  # noqa: BLE001  # explained
            failure = self._failure(error, wire)
        except BaseException as leaving:  # noqa: BLE001  # goes on, without frames that hold the key
            raise bare(leaving)  # noqa: B904
        raise failure

    async def asend(self, wire: WireRequest, deadline: float | None) -> WireResponse:
        """See `qonduit.parts.Transport`."""
        stream = await self.astream(wire, deadline)
        parts: list[bytes] = []
        size = 0
        try:
            async for part in stream.body:
                size = _bounded(size + len(part), deadline)
                parts.append(part)
            content = parts[0] if len(parts) == 1 else b"".join(parts)
            return WireResponse(stream.status, stream.headers, content, wire)
        except Exception as error:  # noqa: BLE001  # explained
            failure = self._failure(error, wire)
        except BaseException as leaving:  # noqa: BLE001  # goes on, without frames that hold the key
            raise bare(leaving)  # noqa: B904
        finally:
            await stream.body.aclose()
        raise failure

    def forget(self) -> None:
        """In a forked child: no loop of the parent's runs here, and no thread of its holds the lock."""
        INHERITED.append((self._async, self._async_proxied))
        self._async, self._async_proxied = {}, {}
        self._lock = threading.Lock()

    async def aclose(self) -> None:
        """Close the connections of every loop, and sync ones. Idempotent."""
        proxied = self._async_proxied.pop(asyncio.get_running_loop(), None)
        if proxied is not None:
            await proxied.aclose()
        self.close()
        await asyncio.sleep(0)  # the loop takes note of the connections that were closed

    # Making what carries

    def _stack(self, kind: type[Any]) -> Any:
        httptools = new_enough(library("httptools")) if self._profile.http_library == "httptools" else None
        return kind(library(self._core_name), self._ssl_context, self._profile.max_connections, httptools)

    def _through(self, kind: type[Any], template: _Template) -> Any:
        assert template.proxy is not None
        httpx, limit = library(self._httpx_name), self._profile.max_connections
        make = functools.partial(
            transport_through,
            httpx,
            template.proxy,
            asynchronous=kind is AsyncProxied,
            limit=limit,
            context=self._ssl_context(),
        )
        return kind(httpx, make, limit)

    def _proxy(self, url: str) -> str | None:
        """The proxy for `url`: the profile's, or the environment's."""
        if self._profile.proxy is not None:
            return self._profile.proxy.get_secret_value()
        return environment_proxy(url) if self._profile.trust_env else None

    def _ssl_context(self) -> ssl.SSLContext:
        """One context for all connections: certifi's authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR."""
        if self._context is None:
            file, folder = None, None
            if self._profile.trust_env:
                file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
            if not file and not folder:
                import certifi  # noqa: PLC0415  # only who uses TLS pays for it

                file = certifi.where()
            try:
                self._context = ssl.create_default_context(cafile=file or None, capath=folder or None)
            except OSError as error:
                reason = error.strerror or "it holds no certificates"
                raise ConfigurationError(
                    f"The authorities for TLS cannot be read from {file or folder}: {reason}. Look at the variables "
                    "SSL_CERT_FILE and SSL_CERT_DIR, or set trust_env = false."
                ) from None
        return self._context

    def __reduce__(self) -> tuple[object, ...]:
        """Refused: connections are not pickled."""
        raise TypeError("A transport is not pickled. Build the client where it is used.")


def _bounded(size: int, deadline: float | None) -> int:
    """`size`, while neither it nor the time is too much: a client that was handed in limits each read by itself."""
    if size > MAX_BODY_BYTES:
        raise ProtocolError(f"The answer is larger than {MAX_BODY_BYTES} bytes; it was given up.", outcome="unknown")
    if deadline is not None and time.monotonic() >= deadline:
        raise APITimeoutError("The answer did not end in time.", outcome="unknown", retryable=True)
    return size

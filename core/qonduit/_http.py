"""The default transport: wire requests over HTTP.

No cookies, no redirects, no compression, one SSL context for all. Everything is made when it is first needed: sync
connections once, async ones per event loop. By default stacks of connections serve, whose protocol is httptools' or
httpcore's; behind a proxy httpx's own transport; a client that was handed in is used through its own `send` and never
closed.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
import threading
import time
from types import ModuleType
from typing import Any

from qonduit._failures import bare, explain
from qonduit._forks import INHERITED, forget_in_children
from qonduit._http_stream import HttpStream
from qonduit._httpx import HttpxBody, check_client, http_library, request_of
from qonduit._libraries import core_name, httptools_for, library
from qonduit._proxied import POOL_SECONDS, AsyncProxied, SyncProxied, transport_through
from qonduit._proxies import environment_proxy
from qonduit._stack import AsyncStack, SyncStack
from qonduit._templates import Template
from qonduit.classification import shown
from qonduit.errors import (
    APITimeoutError,
    ConfigurationError,
    ProtocolError,
)
from qonduit.profile import Profile
from qonduit.wire import Headers, WireRequest, WireResponse

MAX_BODY_BYTES = 64 * 1024 * 1024


class _Opened:
    """An answer whose body is to be read. No tuple: who prints a frame shall not see what a server says in headers."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: Any) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class HttpTransport:
    """The default `Transport`. `http_client` is a client of httpx or httpx2, sync or async, of the caller's own."""

    def __init__(self, profile: Profile, http_client: Any = None) -> None:
        self._profile = profile
        self._client = http_client
        self._core_name = core_name(profile.http_library)
        own = "httpx2" if profile.http_library == "httpx2" else "httpx"
        self._httpx_name = (http_client is not None and http_library(http_client)) or own
        self._templates: dict[str, Template] = {}
        self._lock = threading.Lock()
        self._sync: SyncStack | None = None
        self._async: dict[asyncio.AbstractEventLoop, AsyncStack] = {}
        self._proxied: SyncProxied | None = None
        self._async_proxied: dict[asyncio.AbstractEventLoop, AsyncProxied] = {}
        self._context: ssl.SSLContext | None = None
        forget_in_children(self)

    # What a request becomes, and what an answer means: the same for sync and async.

    def _template(self, url: str) -> Template:
        template = self._templates.get(url)
        if template is None:
            core, proxy = library(self._core_name), self._proxy(url)
            template = self._templates[url] = Template(core, url, self._profile.connect_timeout, proxy)
        return template

    def _httpx_request(self, template: Template, wire: WireRequest, deadline: float | None) -> Any:
        headers = template.head(wire).whole(wire.content)
        httpx = library(self._httpx_name)
        connect = self._profile.connect_timeout
        pool = POOL_SECONDS if self._client is None else None
        return request_of(httpx, wire.method, wire.url, headers, wire.content, connect, deadline, pool)

    @staticmethod
    def _check(answer: _Opened) -> None:
        """Refuse an encoding that was not asked for."""
        encoding = answer.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            raise ProtocolError(
                f"The answer is compressed ('{shown(encoding, 20)}') though that was not asked for: a proxy on the way "
                "does it. Switch that off, or use another base_url.",
                status_code=answer.status,
                outcome="unknown",
            )

    def _failure(self, error: Exception, wire: WireRequest) -> Exception:
        """What to raise for `error`; a handed-in client's own defect keeps its frames, which show no key."""
        template = self._templates.get(wire.url) if self._client is None else None
        proxy = template.proxy if template is not None else None
        failure = explain(error, wire, self._profile, proxy)
        if failure is error and self._client is None:
            bare(failure)
        return failure

    # Sync

    def _open(self, wire: WireRequest, deadline: float | None) -> _Opened:
        template = self._template(wire.url)
        if self._client is None and template.proxy is None:
            if self._sync is None:
                with self._lock:
                    self._sync = self._sync or self._stack(SyncStack)
            head = template.head(wire)
            status, pairs, body = self._sync.open(template.target, head, wire.content, deadline)
            return _Opened(status, Headers(pairs), body)
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
        return _Opened(response.status_code, Headers(response.headers.raw), body)

    def stream(self, wire: WireRequest, deadline: float | None) -> HttpStream:
        """See `qonduit.parts.Transport`."""
        try:
            answer = self._open(wire, deadline)
            stream = HttpStream(wire, self._profile, answer.status, answer.headers, answer.body)
            try:
                self._check(answer)
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
        answer: _Opened | None = None
        parts: list[bytes] = []
        size = 0
        try:
            answer = self._open(wire, deadline)
            self._check(answer)
            for part in answer.body:
                size = _bounded(size + len(part), deadline)
                parts.append(part)
            content = parts[0] if len(parts) == 1 else b"".join(parts)
            return WireResponse(answer.status, answer.headers, content, wire)
        except Exception as error:  # noqa: BLE001  # explained
            failure = self._failure(error, wire)
        except BaseException as leaving:  # noqa: BLE001  # goes on, without frames that hold the key
            raise bare(leaving)  # noqa: B904
        finally:
            if answer is not None:
                answer.body.close()
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

    async def _aopen(self, wire: WireRequest, deadline: float | None) -> _Opened:
        template = self._template(wire.url)
        if self._client is None and template.proxy is None:
            loop = asyncio.get_running_loop()
            stack = self._async.get(loop)
            if stack is None:
                stack = self._stack(AsyncStack)
                self._arrive(self._async, stack)
            head = template.head(wire)
            status, pairs, body = await stack.open(template.target, head, wire.content, deadline)
            return _Opened(status, Headers(pairs), body)
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
        return _Opened(response.status_code, Headers(response.headers.raw), body)

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
            answer = await self._aopen(wire, deadline)
            stream = HttpStream(wire, self._profile, answer.status, answer.headers, answer.body)
            try:
                self._check(answer)
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
        answer: _Opened | None = None
        parts: list[bytes] = []
        size = 0
        try:
            answer = await self._aopen(wire, deadline)
            self._check(answer)
            async for part in answer.body:
                size = _bounded(size + len(part), deadline)
                parts.append(part)
            content = parts[0] if len(parts) == 1 else b"".join(parts)
            return WireResponse(answer.status, answer.headers, content, wire)
        except Exception as error:  # noqa: BLE001  # explained
            failure = self._failure(error, wire)
        except BaseException as leaving:  # noqa: BLE001  # goes on, without frames that hold the key
            raise bare(leaving)  # noqa: B904
        finally:
            if answer is not None:
                await answer.body.aclose()
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

    @functools.cached_property
    def _httptools(self) -> ModuleType | None:
        """What parses answers in place of httpcore: decided by the first call that needs it, for all of them."""
        return httptools_for(self._profile.http_library)

    def _stack(self, kind: type[Any]) -> Any:
        return kind(library(self._core_name), self._ssl_context, self._profile.max_connections, self._httptools)

    def _through(self, kind: type[Any], template: Template) -> Any:
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

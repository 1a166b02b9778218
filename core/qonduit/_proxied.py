"""Proxied: httpx's own transport through a proxy, under slots of our own.

No more requests are under way than httpx's pool has places. A pool without a free place has lost one, which happens
when a task is cancelled at certain points (encode/httpcore#830, #1093): the transport is replaced, and the request,
which was not sent, goes by the new one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from qonduit._forks import INHERITED, forget_in_children
from qonduit._httpx import HttpxBody
from qonduit._slots import AsyncSlots, SyncSlots
from qonduit.errors import ConfigurationError

POOL_SECONDS = 1.0
"""How long a pool that has a free place may take to give it."""


class _Proxied:
    """What both kinds share. `make` gives a transport for so many connections."""

    slots: type[SyncSlots] | type[AsyncSlots]

    def __init__(self, httpx: ModuleType, make: Callable[[], Any], limit: int) -> None:
        self._httpx = httpx
        self._make = make
        self._limit = limit
        self._slots: Any = self.slots(limit)
        self._transport = make()
        self._retired: list[Any] = []
        forget_in_children(self)

    def _replace(self, transport: Any) -> None:
        """Go on without `transport`; what is under way on it is not disturbed."""
        if self._transport is transport:
            self._transport = self._make()
            self._retired.append(transport)

    def _all(self) -> list[Any]:
        retired, self._retired = self._retired, []
        return [self._transport, *retired]

    def forget(self) -> None:
        """In a forked child: begin with a transport of its own."""
        INHERITED.append(self._all())
        self._transport = self._make()
        self._slots = self.slots(self._limit)


class SyncProxied(_Proxied):
    """For sync calls; safe to share between threads."""

    slots = SyncSlots

    def open(self, request: Any, deadline: float | None) -> tuple[Any, HttpxBody]:
        """Send `request`, whose `pool` timeout is `POOL_SECONDS`; the answer and its body."""
        slots = self._slots
        if not slots.acquire(_left(deadline)):
            raise self._httpx.PoolTimeout("no connection was free")
        try:
            transport = self._transport
            try:
                response = transport.handle_request(request)
            except self._httpx.PoolTimeout:
                self._replace(transport)
                response = self._transport.handle_request(request)
        except BaseException:
            slots.release()
            raise
        return response, HttpxBody(response, slots.release)

    def close(self) -> None:
        """Close every connection."""
        with contextlib.ExitStack() as stack:
            for transport in self._all():
                stack.callback(transport.close)


class AsyncProxied(_Proxied):
    """For the async calls of one event loop."""

    slots = AsyncSlots

    async def open(self, request: Any, deadline: float | None) -> tuple[Any, HttpxBody]:
        """`SyncProxied.open`, async."""
        slots = self._slots
        if not await slots.acquire(_left(deadline)):
            raise self._httpx.PoolTimeout("no connection was free")
        try:
            transport = self._transport
            try:
                response = await transport.handle_async_request(request)
            except self._httpx.PoolTimeout:
                self._replace(transport)
                response = await self._transport.handle_async_request(request)
        except BaseException:
            slots.release()
            raise
        return response, HttpxBody(response, slots.release)

    async def aclose(self) -> None:
        """Close every connection."""
        async with contextlib.AsyncExitStack() as stack:
            for transport in self._all():
                stack.push_async_callback(transport.aclose)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)


def transport_through(httpx: Any, proxy: str, *, asynchronous: bool, limit: int, context: Any) -> Any:
    """httpx's transport through `proxy`. Raises: ConfigurationError; the proxy's password is not shown."""
    kind = httpx.AsyncHTTPTransport if asynchronous else httpx.HTTPTransport
    try:
        address = urlsplit(proxy)
        if not address.hostname or address.port == 0:
            raise ValueError
        return kind(proxy=proxy, trust_env=False, limits=httpx.Limits(max_connections=limit), verify=context)
    except ImportError:
        mend = "A SOCKS proxy needs 'pip install \"httpx[socks]\"'."
    except (ValueError, httpx.InvalidURL):
        mend = "Expected http://host:port, https://host:port or socks5://host:port."
    raise ConfigurationError(
        f"The proxy cannot be used ({_scheme(proxy)}://…). {mend} It is the profile's 'proxy', or HTTP_PROXY, "
        "HTTPS_PROXY or ALL_PROXY of the environment; to ignore the environment's set trust_env = false."
    )


def _scheme(proxy: str) -> str:
    try:
        return urlsplit(proxy).scheme[:10]
    except ValueError:
        return ""

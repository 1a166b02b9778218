"""httpx in the cases that the stacks do not serve: behind a proxy, and for a client that the caller handed in."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

from qonduit.errors import ConfigurationError


def http_library(client: Any) -> str | None:
    """The package of an httpx or httpx2 client; None for anything else."""
    for kind in type(client).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in {"httpx", "httpx2"}:
            return package
    return None


def check_client(client: Any, expected: str, other: str) -> None:
    """Raise ConfigurationError when `client` is not an httpx client of the kind that this qonduit client needs."""
    if expected not in {kind.__name__ for kind in type(client).__mro__}:
        raise ConfigurationError(
            f"http_client is of type {type(client).__name__}; expected httpx.{expected} or httpx2.{expected} "
            f"(an {other} serves the other kind of qonduit client)."
        )


def proxied_transport(httpx: Any, proxy: str, *, asynchronous: bool, limit: int, context: Any) -> Any:
    """httpx's own transport through a proxy. Raises: ConfigurationError; the proxy's password is not shown."""
    kind = httpx.AsyncHTTPTransport if asynchronous else httpx.HTTPTransport
    try:
        return kind(proxy=proxy, trust_env=False, limits=httpx.Limits(max_connections=limit), verify=context)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"The proxy cannot be used ({urlsplit(proxy).scheme}://…): {type(error).__name__}. A socks proxy needs "
            "'pip install \"httpx[socks]\"'; to ignore the environment's proxies set trust_env = false."
        ) from None


def request_of(
    httpx: Any, method: str, url: str, headers: Any, content: bytes, connect_timeout: float, deadline: float | None
) -> Any:
    """An httpx request; each of its operations may take what is left until `deadline`."""
    remaining = None if deadline is None else max(deadline - time.monotonic(), 0.001)
    return httpx.Request(
        method,
        url,
        headers=headers,
        stream=httpx.ByteStream(content),
        extensions={
            "timeout": {
                "connect": connect_timeout if remaining is None else min(connect_timeout, remaining),
                "read": remaining,
                "write": remaining,
                "pool": remaining,
            }
        },
    )


class HttpxBody:
    """The body of an httpx response, as it comes from the wire."""

    link = None

    def __init__(self, response: Any) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        """The bytes as they come."""
        return iter(self._response.stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes as they come."""
        return self._response.stream.__aiter__()  # type: ignore[no-any-return]  # httpx's own iterator

    def close(self) -> None:
        """Close."""
        self._response.close()

    async def aclose(self) -> None:
        """Close."""
        await self._response.aclose()

    def abort(self) -> None:
        """Close, as far as that goes without I/O: an async response whose loop is gone has nothing left to close."""
        if hasattr(self._response.stream, "close"):
            self._response.close()

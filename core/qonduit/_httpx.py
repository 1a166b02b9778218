"""httpx in the cases that the stacks do not serve: behind a proxy, and for a client that the caller handed in."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

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


def request_of(
    httpx: Any,
    method: str,
    url: str,
    headers: Any,
    content: bytes,
    connect_timeout: float,
    deadline: float | None,
    pool_timeout: float | None = None,
) -> Any:
    """An httpx request; each of its operations may take what is left until `deadline`."""
    remaining = None if deadline is None else max(deadline - time.monotonic(), 0.001)
    timeouts = {
        "connect": connect_timeout if remaining is None else min(connect_timeout, remaining),
        "read": remaining,
        "write": remaining,
        "pool": remaining if pool_timeout is None else min(pool_timeout, remaining or pool_timeout),
    }
    return httpx.Request(
        method, url, headers=headers, stream=httpx.ByteStream(content), extensions={"timeout": timeouts}
    )


class HttpxBody:
    """The body of an httpx response, as it comes from the wire. `release` is called once, when it is closed."""

    link = None

    def __init__(self, response: Any, release: Callable[[], None] | None = None) -> None:
        self._response = response
        self._release = release

    @property
    def shared(self) -> bool:
        """Whether the connection serves other requests at the same time, as HTTP/2 has it."""
        return "stream_id" in self._response.extensions

    def __iter__(self) -> Iterator[bytes]:
        """The bytes as they come."""
        return iter(self._response.stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes as they come."""
        return self._response.stream.__aiter__()  # type: ignore[no-any-return]  # httpx's own iterator

    def close(self) -> None:
        """Close."""
        try:
            self._response.close()
        finally:
            self._released()

    async def aclose(self) -> None:
        """Close."""
        try:
            await self._response.aclose()
        finally:
            self._released()

    def abort(self) -> None:
        """Close, as far as that goes without I/O: an async response whose loop is gone has nothing left to close."""
        try:
            if hasattr(self._response.stream, "close"):
                self._response.close()
        finally:
            self._released()

    def interrupt(self) -> None:
        """End a read that is under way, in another thread as well; closing is left to who reads.

        On a shared connection it goes on until its own end: nothing else would spare the others.
        """
        if self.shared:
            return
        network = self._response.extensions.get("network_stream")
        sock = None if network is None else network.get_extra_info("socket")
        with contextlib.suppress(OSError):
            if isinstance(sock, socket.socket):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # SSLSocket's own would take the reader's TLS away
            elif sock is not None:
                sock.shutdown(socket.SHUT_RDWR)

    def _released(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()

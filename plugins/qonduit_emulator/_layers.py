"""Layers around the application: times in the headers, and a journal of what was received."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_REQUESTS = 10_000
"""A journal forgets the oldest of more requests than this."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it came, whatever became of it. Header names are lower case; there is no `authorization`."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: str = ""
    _chunks: list[bytes] = field(default_factory=list, repr=False, compare=False)

    @property
    def body(self) -> bytes:
        """The body, as far as it was read."""
        return b"".join(self._chunks)

    @property
    def json(self) -> Any:
        """The body as JSON; `None` when it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class Journal:
    """The requests received, in the order in which they came. Safe to read from any thread."""

    def __init__(self, limit: int = MAX_REQUESTS) -> None:
        self._lock = threading.Lock()
        self._requests: deque[ReceivedRequest] = deque(maxlen=limit)

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """All of them so far."""
        with self._lock:
            return tuple(self._requests)

    def add(self, request: ReceivedRequest) -> None:
        """One more."""
        with self._lock:
            self._requests.append(request)

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._requests.clear()


class JournalLayer:
    """Writes every request into a journal."""

    def __init__(self, app: ASGIApp, journal: Journal) -> None:
        self._app = app
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the request, and its body while the application reads it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        headers.pop("authorization", None)
        query = scope["query_string"].decode("latin-1")
        request = ReceivedRequest(scope["method"], scope["path"], MappingProxyType(headers), query, chunks)
        self._journal.add(request)

        async def noted() -> Message:
            message = await receive()
            if message["type"] == "http.request" and message.get("body"):
                chunks.append(message["body"])
            return message

        await self._app(scope, noted, send)


class TimingLayer:
    """Adds the vendor's time headers to every answer that has a request id. Times are unix milliseconds.

    Source: captured traffic, 2024-2026: `resp-start-time` minus `req-arrive-time` is `req-cost-time`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the time of arrival, and that of the answer's beginning."""
        arrived = _now_milliseconds()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_times(message, arrived)
            await send(message)

        await self._app(scope, receive, timed)


def _add_times(message: Message, arrived: int) -> None:
    headers = list(message["headers"])
    if any(name == b"x-request-id" for name, _ in headers):
        started = _now_milliseconds()
        headers.append((b"req-cost-time", b"%d" % (started - arrived)))
        headers.append((b"req-arrive-time", b"%d" % arrived))
        headers.append((b"resp-start-time", b"%d" % started))
        message["headers"] = headers


def _now_milliseconds() -> int:
    return time.time_ns() // 1_000_000

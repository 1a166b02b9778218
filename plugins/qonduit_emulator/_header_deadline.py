"""A slow connection must not stay for ever: the headers of a request have to arrive within a time.

They are read before there is anything to answer, so such a connection is closed without a word.
"""

from __future__ import annotations

import asyncio
from typing import Any

HEADER_TIMEOUT_SECONDS = 15.0
"""The default; the vendor's own is not documented."""


class HeaderDeadline(asyncio.Protocol):
    """One connection, in front of the protocol that does its HTTP.

    The time runs from the connection's beginning, and later from a request's first bytes, until the headers are
    there; bytes that come one by one do not prolong it. What is left of a body that was answered unread counts as
    the next request's beginning. Between two requests the inner protocol's own time for idle connections runs.
    """

    def __init__(self, inner: Any, seconds: float) -> None:
        """`inner` is one of uvicorn's protocols: its `cycle` is the latest request, and knows whether it is over."""
        self._inner = inner
        self._seconds = seconds
        self._transport: asyncio.BaseTransport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The time for the first request begins."""
        self._transport = transport
        self._inner.connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, and look whether they were the end of the headers."""
        self._inner.data_received(data)
        cycle = self._inner.cycle
        if cycle is None or cycle.response_complete:
            self._begin()
        else:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind."""
        self._end()
        self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        keep_open: bool | None = self._inner.eof_received()
        return keep_open

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()

    def _begin(self) -> None:
        if self._timer is None and self._transport is not None and not self._transport.is_closing():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._transport.close)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

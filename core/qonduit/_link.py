"""Link: what a stack of connections and the network under one of them share."""

from __future__ import annotations

import time
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qonduit._async_network import AsyncStream
    from qonduit._network import SyncStream

HIGH_WATER = 1 << 18
"""Bytes waiting to be read at which an async connection stops reading from its socket."""


class Link:
    """What a stack and the network under one connection share.

    `deadline` is in `time.monotonic()` seconds, None for no limit; `received` counts the bytes of the answer so far,
    `reads` the reads of the connection, and `latest` what the last one brought; `stream` is the open connection, once
    there is one.
    """

    __slots__ = ("deadline", "httpcore", "latest", "reads", "received", "stream")

    def __init__(self, httpcore: ModuleType) -> None:
        self.httpcore = httpcore
        self.deadline: float | None = None
        self.received = 0
        self.reads = 0
        self.latest = b""
        self.stream: SyncStream | AsyncStream | None = None

    def remaining(self, timeout: float | None) -> float | None:
        """Seconds left, at most `timeout`."""
        if self.deadline is None:
            return timeout
        left = max(self.deadline - time.monotonic(), 0.0)
        return left if timeout is None or left < timeout else timeout

    def abort(self) -> None:
        """Close the connection at once, without waiting for the peer."""
        if self.stream is not None:
            self.stream.abort()

    def interrupt(self) -> None:
        """End a read that is under way, in another thread as well; closing is left to who reads."""
        if self.stream is not None:
            self.stream.interrupt()

    def disown(self) -> None:
        """In a forked child: leave the parent's connection as it is, whatever is still done here."""
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.disown()

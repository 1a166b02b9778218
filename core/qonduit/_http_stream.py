"""An opened answer: its bytes, as they come, and what becomes of its connection."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any

from qonduit._failures import explain
from qonduit.errors import APIError
from qonduit.profile import Profile
from qonduit.wire import Headers, WireRequest

_ZERO = ord("0")
TOGETHER = 16
"""How many chunks are given together at most: more of them at a time cool the caches, fewer cost more calls."""


class HttpStream:
    """An opened answer, sync or async as it was opened. See `qonduit.parts.WireStream`.

    Servers send each event as a chunk of its own, and httpcore gives each chunk by itself, though one read of the
    connection may have brought many. So what one read brought is given together, up to
    `TOGETHER` chunks; `_start` is where the data of the next one begins in the bytes of that read. A body of
    `whole_reads` does so by itself.
    """

    __slots__ = (
        "_failure",
        "_iterator",
        "_link",
        "_profile",
        "_reads",
        "_start",
        "_wire",
        "body",
        "headers",
        "status",
    )

    def __init__(self, wire: WireRequest, profile: Profile, status: int, headers: Headers, body: Any) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._wire = wire
        self._profile = profile
        self._link = body.link
        self._reads = self._link.reads if self._link is not None else 0
        self._start = -1
        self._failure: Exception | None = None
        self._iterator: Any = None

    def _first(self) -> int:
        """Where the data of the first chunk begins in the read that brought the headers."""
        latest: bytes = self._link.latest
        return latest.find(b"\r\n", latest.find(b"\r\n\r\n") + 4) + 2

    def _more(self, data: bytes) -> bool:
        """Whether a further chunk has come with `data`, so that it can be had without waiting.

        It has when the network's last read goes on after `data` with a line end, the next chunk's size line and a byte.
        Where that cannot be seen the answer is no, and the rest is given by the next read.
        """
        link = self._link
        if link is None or self.body.whole_reads:
            return False
        latest: bytes = link.latest
        start = self._start if self._start >= 0 else self._first()
        if link.reads != self._reads:
            self._reads = link.reads
            # The read begins within a chunk, or between two.
            start = 0 if latest.startswith(data) else latest.find(b"\r\n", 2) + 2
        if not latest.startswith(data, start):
            self._start = len(latest)
            return False
        place = start + len(data) + 2
        end = latest.find(b"\r\n", place)
        self._start = end + 2
        return place < end < len(latest) - 2 and latest[place] != _ZERO

    def _brought(self, parts: list[bytes]) -> bytes:
        """What a read brought; a failure is raised once what came before it has been given."""
        if self._failure is not None and not parts:
            raise self._failure from None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read(self, deadline: float | None) -> bytes:
        """The next bytes, b"" at the end."""
        if self._link is not None:
            self._link.deadline = deadline
        if self._iterator is None:
            self._iterator = iter(self.body)
        parts: list[bytes] = []
        try:
            if self._failure is None:
                for data in self._iterator:
                    parts.append(data)
                    if not self._more(data) or len(parts) == TOGETHER:
                        break
        except Exception as error:  # noqa: BLE001  # explained
            self._failure = explain(error, self._wire, self._profile)
        return self._brought(parts)

    async def aread(self, deadline: float | None) -> bytes:
        """`read`, async."""
        if self._link is not None:
            self._link.deadline = deadline
        if self._iterator is None:
            self._iterator = self.body.__aiter__()
        parts: list[bytes] = []
        try:
            if self._failure is None:
                async for data in self._iterator:
                    parts.append(data)
                    if not self._more(data) or len(parts) == TOGETHER:
                        break
        except Exception as error:  # noqa: BLE001  # explained
            self._failure = explain(error, self._wire, self._profile)
        return self._brought(parts)

    def finish(self, deadline: float) -> None:
        """Read the little that is left and give the connection back; close it when that fails."""
        if self._link is None and self.body.shared:  # it serves others, whatever is left here
            self.body.close()
            return
        # httpx was told at the beginning how long each read may take: far longer than these few bytes are worth.
        timer = None if self._link is not None else threading.Timer(deadline - time.monotonic(), self.body.interrupt)
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            with contextlib.suppress(APIError):
                while self.read(deadline) and time.monotonic() < deadline:
                    pass
        finally:
            if timer is not None:
                timer.cancel()
        self.body.close()

    async def afinish(self, deadline: float) -> None:
        """`finish`, async."""
        if self._link is None and self.body.shared:
            await self.aclose()
            return
        timer = None
        if self._link is None:
            timer = asyncio.get_running_loop().call_later(deadline - time.monotonic(), self.body.interrupt)
        try:
            with contextlib.suppress(APIError):
                while await self.aread(deadline) and time.monotonic() < deadline:
                    pass
        finally:
            if timer is not None:
                timer.cancel()
        await self.body.aclose()
        await self._leave()

    def close(self) -> None:
        """Drop the answer and its connection. Idempotent."""
        self.body.abort()

    def interrupt(self) -> None:
        """End a `read` that is under way, from another thread, or an `aread`, from another task."""
        self.body.interrupt()

    def drop(self) -> None:
        """`close`, by the garbage collector; httpx cannot do without I/O, which the client's next call does."""
        if self._link is not None:
            self.body.drop()

    async def aclose(self) -> None:
        """`close`, async."""
        if self._link is None:
            await self.body.aclose()
        self.body.abort()
        await self._leave()

    async def _leave(self) -> None:
        """End the generator that was read from; left to the garbage collector it would be a task of the loop."""
        end = getattr(self._iterator, "aclose", None)
        if end is not None:
            with contextlib.suppress(RuntimeError):  # it is being read
                await end()

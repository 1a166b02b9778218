"""Slots: how many requests may be under way at a time, for threads and for the tasks of one event loop."""

from __future__ import annotations

import asyncio
import queue


class SyncSlots:
    """A semaphore for threads. threading's own is written in Python and costs ten times as much."""

    def __init__(self, limit: int) -> None:
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(limit):
            self._free.put(None)

    def acquire(self, seconds: float | None) -> bool:
        """Take a slot within `seconds`; whether there was one."""
        try:
            self._free.get(timeout=seconds)
        except queue.Empty:
            return False
        return True

    def release(self) -> None:
        """Give a slot back; the garbage collector may do so as well."""
        self._free.put(None)


class AsyncSlots:
    """`SyncSlots` for one event loop."""

    def __init__(self, limit: int) -> None:
        self._semaphore = asyncio.Semaphore(limit)
        self.release = self._semaphore.release

    async def acquire(self, seconds: float | None) -> bool:
        """Take a slot within `seconds`; whether there was one."""
        if not self._semaphore.locked():
            return await self._semaphore.acquire()  # at once
        try:
            async with asyncio.timeout(seconds):
                return await self._semaphore.acquire()
        except TimeoutError:
            return False

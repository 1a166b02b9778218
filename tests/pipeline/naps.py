"""Naps: what stands in for the waits between attempts."""

from __future__ import annotations


class Naps:
    """What stands in for sleeping: `delays` are those asked for, `blocking` those that blocked their thread."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.blocking: list[float] = []

    def sleep(self, delay: float) -> None:
        self.delays.append(delay)
        self.blocking.append(delay)

    async def asleep(self, delay: float) -> None:
        self.delays.append(delay)

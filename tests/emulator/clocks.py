"""Clocks that stand still until they are told."""

import asyncio


class Clock:
    """Unix seconds, from 2027-01-15 16:00 in China."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Timeline(Clock):
    """A clock for one loop whose sleepers wake when it gets to their time."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: dict[asyncio.Future[None], float] = {}

    @property
    def sleepers(self) -> int:
        """How many sleep."""
        return len(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Until the time has come."""
        awake = asyncio.get_running_loop().create_future()
        self._sleepers[awake] = self.now + seconds
        try:
            await awake
        finally:
            del self._sleepers[awake]

    async def go_on(self, seconds: float = 0) -> None:
        """Let so much time pass, and everybody do what is to be done meanwhile."""
        end = self.now + seconds
        await _settle()
        while due := [(time, awake) for awake, time in self._sleepers.items() if time <= end]:
            time, awake = min(due, key=lambda each: each[0])
            self.now = max(self.now, time)
            awake.set_result(None)
            await _settle()
        self.now = end
        await _settle()


async def _settle() -> None:
    for _ in range(200):
        await asyncio.sleep(0)

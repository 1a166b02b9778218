"""Stores that misbehave, and a cache over one."""

from __future__ import annotations

from typing import Any

from qonduit_cache import CacheOptions, CachePlugin, StoreStats


class DictStore:
    """A stranger's store: a dict. `broken` is raised by every access; `calls` are counted."""

    inline = False
    aget = None
    aput = None

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.broken: BaseException | None = None
        self.calls = 0
        self.ttls: list[float] = []
        self.closed = 0

    def _count(self) -> None:
        self.calls += 1
        if self.broken is not None:
            raise self.broken

    def get(self, key: str) -> Any:
        self._count()
        return self.entries.get(key)

    def put(self, key: str, entry: bytes, ttl: float) -> None:
        self._count()
        self.ttls.append(ttl)
        self.entries[key] = entry

    def delete(self, key: str) -> None:
        self._count()
        self.entries.pop(key, None)

    def clear(self) -> int:
        count = len(self.entries)
        self.entries.clear()
        return count

    def keys(self, limit: int) -> list[str]:
        return list(self.entries)[:limit]

    def stats(self) -> StoreStats:
        return StoreStats(where="dict", entries=len(self.entries), bytes=sum(map(len, self.entries.values())))

    def close(self) -> None:
        self.closed += 1


class AsyncDictStore(DictStore):
    """One with async forms."""

    async def aget(self, key: str) -> Any:
        return self.get(key)

    async def aput(self, key: str, entry: bytes, ttl: float) -> None:
        self.put(key, entry, ttl)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def cache(its_store: Any = None, clock: Any = None, **options: Any) -> CachePlugin:
    """The plugin as a client builds it, with a store or a clock of the test's own."""
    clocks = {} if clock is None else {"clock": clock}
    return CachePlugin(CacheOptions(**options), store=its_store, **clocks)

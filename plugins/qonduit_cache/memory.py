"""MemoryStore: entries in the memory of this process; least recently used out first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from qonduit_cache.fork import Forked
from qonduit_cache.store import StoreStats


class MemoryStore(Forked):
    """See `Store`. `clock` gives seconds and never goes back."""

    inline = True
    aget = None
    aput = None

    def __init__(self, *, max_entries: int, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        super().__init__()

    def after_fork(self) -> None:
        """Another thread of the parent may have held the lock: begin anew."""
        self._lock = threading.Lock()
        self._entries = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> bytes | None:
        """See `Store`."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            if found[0] <= self._clock():
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return found[1]

    def put(self, key: str, entry: bytes, ttl: float) -> None:
        """See `Store`. An entry that is larger than all that may be kept is not."""
        with self._lock:
            self._drop(key)
            if len(entry) > self._max_bytes:
                return
            self._entries[key] = (self._clock() + ttl, entry)
            self._bytes += len(entry)
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._bytes -= len(found[1])

    def delete(self, key: str) -> None:
        """See `Store`."""
        with self._lock:
            self._drop(key)

    def clear(self) -> int:
        """See `Store`."""
        with self._lock:
            count = len(self._entries)
            self._entries.clear()
            self._bytes = 0
        return count

    def keys(self, limit: int) -> list[str]:
        """See `Store`; the last used first."""
        with self._lock:
            return list(reversed(self._entries))[:limit]

    def stats(self) -> StoreStats:
        """See `Store`."""
        with self._lock:
            return StoreStats(where="memory", entries=len(self._entries), bytes=self._bytes)

    def close(self) -> None:
        """Nothing is open; the entries stay, for a client that shares them."""

"""A bounded in-memory store: least recently used out first, entries die after their time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from qonduit import Response


class MemoryStore:
    """Answers by key. Safe to share between threads; `clock` gives seconds and never goes back."""

    def __init__(self, max_entries: int, ttl: float, clock: Callable[[], float]) -> None:
        self._entries: OrderedDict[bytes, tuple[float, Response]] = OrderedDict()
        self._max_entries = max_entries
        self._ttl = ttl
        self._clock = clock
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Response | None:
        """The answer of `key`, None when there is none that still lives."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry[0] <= self._clock():
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return entry[1]

    def put(self, key: bytes, response: Response) -> None:
        """Keep an answer, and let the least recently used go when there are too many."""
        with self._lock:
            self._entries[key] = (self._clock() + self._ttl, response)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._entries)

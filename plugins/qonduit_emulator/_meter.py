"""The counts of one account and one model, in memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MINUTE_SECONDS = 60
SHORTEST_WAIT_SECONDS = 0.001
"""Who waits for a place waits so long at least, however the floats are rounded."""


@dataclass(slots=True, eq=False)
class Entry:
    """A call in the window: its tokens are those reserved until it has settled."""

    at: float
    tokens: int
    counted: bool = True


@dataclass(slots=True)
class Meter:
    """Totals, calls under way, and the window of the last minute. Reserved tokens are those of calls under way."""

    requests: int = 0
    day: int = 0
    day_requests: int = 0
    free_used: int = 0
    free_reserved: int = 0
    paid_used: int = 0
    paid_reserved: int = 0
    running: int = 0
    window_tokens: int = 0
    _window: deque[Entry] = field(default_factory=deque)

    def enter(self, at: float, tokens: int) -> Entry:
        """Add a call to the window."""
        entry = Entry(at, tokens)
        self._window.append(entry)
        self.window_tokens += tokens
        return entry

    def correct(self, entry: Entry, tokens: int) -> None:
        """A call has used so many tokens."""
        if entry.counted:
            self.window_tokens += tokens - entry.tokens
        entry.tokens = tokens

    def slide(self, now: float) -> None:
        """Forget what is a minute old."""
        while self._window and self._window[0].at <= now - MINUTE_SECONDS:
            entry = self._window.popleft()
            entry.counted = False
            self.window_tokens -= entry.tokens

    def last_minute(self) -> int:
        """The calls in the window."""
        return len(self._window)

    def last_second(self, now: float) -> int:
        """The calls of the last second."""
        count = 0
        for entry in reversed(self._window):
            if entry.at <= now - 1:
                break
            count += 1
        return count

    def seconds_to_place(self, now: float, limit: int) -> float:
        """How long until fewer than `limit` calls are in the last second; at most a second, 0 when it is so now."""
        if self.last_second(now) < limit:
            return 0
        wait = self._window[-limit].at + 1 - now if limit else 1.0
        return min(max(wait, SHORTEST_WAIT_SECONDS), 1.0)

    def reset(self) -> None:
        """Forget what was used; calls under way stay counted as running and reserved."""
        self.slide(float("inf"))
        self.requests = self.day_requests = self.free_used = self.paid_used = 0

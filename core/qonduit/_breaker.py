"""Breaker: what remembers that a candidate keeps failing, so that calls go past it for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from qonduit.profile import Profile

logger = logging.getLogger("qonduit")


class Breaker:
    """The state of one provider, endpoint and key.

    After `failures` failed calls in a row it is open for `seconds`; then one call at a time is let through as a trial.
    A call that was let through and never told how it ended holds nobody up for longer than another `seconds`.
    """

    def __init__(
        self, name: str, failures: int, seconds: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._failures = failures
        self._seconds = seconds
        self._clock = clock
        self._count = 0
        self._until = 0.0
        self._lock = threading.Lock()

    def lets_through(self) -> bool:
        """Whether a call may be made now; where it is a trial, the next one has to wait for how it ends."""
        if self._count < self._failures:
            return True
        with self._lock:
            now = self._clock()
            if self._count >= self._failures and now < self._until:
                return False
            self._until = now + self._seconds
            return True

    @property
    def left(self) -> float:
        """Seconds until the next trial."""
        return max(self._until - self._clock(), 0.0)

    def succeeded(self) -> None:
        """Note a call that was answered."""
        if self._count:
            with self._lock:
                was_open = self._count >= self._failures
                self._count = 0
            if was_open:
                logger.warning("%s answers again.", self._name)

    def failed(self) -> None:
        """Note a call that failed, and not by the request's own fault."""
        with self._lock:
            self._count += 1
            self._until = self._clock() + self._seconds
            opened = self._count == self._failures
        if opened:
            logger.warning(
                "%s failed %d time(s) in a row: for %g s calls go past it where there is another to turn to.",
                self._name,
                self._failures,
                self._seconds,
            )


class Breakers:
    """The breakers of a client and of those made from it by `with_options`, one for each provider, endpoint and key."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Breaker] = {}

    def of(self, profile: Profile, failures: int, seconds: float) -> Breaker:
        """The breaker of a profile's provider, endpoint and key."""
        name = f"Profile '{profile.name}' ({profile.provider})"
        key = (profile.provider, profile.base_url, profile.key_id)
        return self._known.setdefault(key, Breaker(name, failures, seconds))

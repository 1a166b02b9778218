"""Breaker: leaves a store alone that keeps failing, and tries it again after a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from qonduit_cache.fork import Forked

logger = logging.getLogger("qonduit.cache")

FAILURES = 5
"""Failures in a row after which a store is left alone."""
PAUSE = 30.0
"""Seconds that it is; then one access tries it."""


class Breaker(Forked):
    """Counts the failures of one store. One warning is said for an outage: at its first failure."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._until = 0.0
        self._said = False
        self.failures = 0
        """Failures in all."""
        super().__init__()

    def after_fork(self) -> None:
        """See `Forked`."""
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether the store is left alone."""
        return self._in_a_row >= FAILURES

    def allows(self) -> bool:
        """Whether the store may be asked. While it is left alone, one access in `PAUSE` seconds may, to try it."""
        if self._in_a_row < FAILURES:
            return True
        with self._lock:
            now = self._clock()
            if now < self._until:
                return False
            self._until = now + PAUSE
            return True

    def succeeded(self) -> None:
        """The store has answered."""
        if not self._in_a_row:
            return
        with self._lock:
            was_open, self._in_a_row = self.open, 0
            if not was_open:
                return
            self._said = False
        logger.info("The cache (%s) is back.", self._what)

    def failed(self, error: Exception) -> None:
        """The store has failed, or was too slow."""
        with self._lock:
            self.failures += 1
            self._in_a_row += 1
            if self._in_a_row >= FAILURES:
                self._until = self._clock() + PAUSE
            said, self._said = self._said, True
        if not said:
            # The name of the error only: its text may hold an address with a password.
            logger.warning(
                "The cache (%s) cannot be used, and calls go on without it: %s. After %d failures in a row it is left "
                "alone for %g s at a time. Said once until it is back.",
                self._what,
                type(error).__name__,
                FAILURES,
                PAUSE,
            )

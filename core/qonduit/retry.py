"""Retry: when to try again. Pure decisions; stamina does the looping and the sleeping (see `_retry`)."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from qonduit.errors import APIError

MAX_DELAY = 30.0
MAX_RETRY_AFTER = 60.0
MAX_RETRIES = 5


class ExponentialRetry:
    """The default policy: `min(30, 2**(n-1)) + random(0..1)` seconds before retry n, so at about 1, 3, 7, 15, 31 s.

    What the provider asks for by Retry-After is never undercut; above 60 s it gives up. An error that is not
    `retryable` is not retried. An attempt whose outcome is unknown may have been billed: one more is made, not two.
    """

    def __init__(self, max_retries: int, *, jitter: Callable[[], float] = random.random) -> None:
        self._max_retries = min(max_retries, MAX_RETRIES)
        self._jitter = jitter

    def delay(self, error: APIError, attempt: int) -> float | None:
        """Seconds before the next attempt, None to give up."""
        if not error.retryable or attempt > self._max_retries:
            return None
        if error.retry_after is not None and error.retry_after > MAX_RETRY_AFTER:
            return None
        delay = min(MAX_DELAY, 2.0 ** (attempt - 1)) + self._jitter()
        return max(delay, error.retry_after or 0.0)


class RetryBudget:
    """What keeps a full outage from multiplying load: each retry takes a token, each success gives a tenth back."""

    def __init__(self, capacity: float = 20.0, refund: float = 0.1) -> None:
        self._capacity = capacity
        self._refund = refund
        self._tokens = capacity
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a token for one retry; False when there is none."""
        with self._lock:
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
            return True

    def succeeded(self) -> None:
        """Note a call that was answered."""
        if self._tokens < self._capacity:
            with self._lock:
                self._tokens = min(self._capacity, self._tokens + self._refund)

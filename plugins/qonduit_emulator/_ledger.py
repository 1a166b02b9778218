"""What calls have used, and whether one more fits: quotas and limits that hold under concurrency.

Rules:

1. A call reserves before it is answered and settles after. It reserves its input tokens and the most its
   answer can be: `max_completion_tokens`, or `max_tokens` and `thinking_budget`, or, for what the caller left
   open, the model's maximum as far as the quota reaches; the answer then ends where the quota does.
2. Reserved tokens count as used until the call settles, so a quota is never oversold. A call that settles is
   charged what it used; one that was never answered is charged nothing, but was a request all the same.
3. Free tokens are spent first, then the token quota.
4. Deciding and taking are one step under one lock; no lock is held while a call is answered.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from qonduit_emulator._accounts import Account, Limits
from qonduit_emulator._exchange import Usage
from qonduit_emulator._refusal import Refusal
from qonduit_emulator._refusal_codes import refusal_by_code
from qonduit_emulator._state import CallRow, MemoryState, State, UsageRow

Clock = Callable[[], float]
"""The time in unix seconds."""

MINUTE_SECONDS = 60
CHINA_OFFSET_SECONDS = 8 * 3600
"""The vendor's day begins at midnight in China."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a call may use: its input, and the least and the most output to reserve for it; all in tokens."""

    input_tokens: int = 0
    least_output: int = 0
    most_output: int = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """A call under way, and the tokens taken for it; `bounded` when that is less than it could use."""

    id: int
    account: str
    model: str
    free_tokens: int
    paid_tokens: int
    pays: bool
    bounded: bool

    @property
    def tokens(self) -> int:
        """All tokens taken."""
        return self.free_tokens + self.paid_tokens


@dataclass(slots=True)
class _Entry:
    at: float
    tokens: int


@dataclass(slots=True)
class _Meter:
    """The counts of one account and model. Reserved tokens are those of calls under way."""

    window: deque[_Entry] = field(default_factory=deque)
    window_tokens: int = 0
    running: int = 0
    requests: int = 0
    day: int = 0
    day_requests: int = 0
    free_used: int = 0
    free_reserved: int = 0
    paid_used: int = 0
    paid_reserved: int = 0

    def slide(self, now: float) -> None:
        """Forget what is older than a minute."""
        while self.window and self.window[0].at <= now - MINUTE_SECONDS:
            self.window_tokens -= self.window.popleft().tokens

    def last_second(self, now: float) -> int:
        """The calls of the last second."""
        count = 0
        for entry in reversed(self.window):
            if entry.at <= now - 1:
                break
            count += 1
        return count


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one account has used of one model, for those who look; tokens include no reserved ones."""

    requests: int
    requests_today: int
    running: int
    used_tokens: int
    free_tokens_used: int
    reserved_tokens: int


class Ledger:
    """The counts of all accounts. Safe to use from any thread."""

    def __init__(self, *, clock: Clock = time.time, state: State | None = None) -> None:
        self._clock = clock
        self._state = state or MemoryState()
        self._lock = threading.Lock()
        self._meters: dict[tuple[str, str], _Meter] = {}
        self._running: dict[int, _Entry | None] = {}
        self._last_id = 0
        self._load()

    def _load(self) -> None:
        usage, calls = self._state.load_usage()
        for row in usage:
            self._meters[row.account, row.model] = _Meter(
                requests=row.requests,
                day=row.day,
                day_requests=row.day_requests,
                free_used=row.free_tokens,
                paid_used=row.paid_tokens,
            )
        for call in calls:
            meter = self._meter(call.account, call.model)
            meter.window.append(_Entry(call.at, call.tokens))
            meter.window_tokens += call.tokens
            self._last_id = max(self._last_id, call.id)

    def check_quota(self, account: Account, model: str, demand: Demand) -> None:
        """Refuse a call whose least does not fit into the free tier and the quota. Raises: Refusal."""
        with self._lock:
            self._split(account, model, demand)

    def check_rate(self, account: Account, model: str, demand: Demand) -> None:
        """Refuse a call that comes too fast. Raises: Refusal."""
        with self._lock:
            self._check_rate(account, model, demand, self._clock())

    def reserve(self, account: Account, model: str, demand: Demand) -> Reservation:
        """Check both and take, in one step. Raises: Refusal."""
        with self._lock:
            now = self._clock()
            free, paid, bounded = self._split(account, model, demand)
            limits = account.limits_for(model)
            self._check_rate(account, model, demand, now)
            meter = self._meter(account.name, model)
            number = self._last_id + 1
            day = _day(now)
            today = meter.day_requests + 1 if meter.day == day else 1
            row = CallRow(number, account.name, model, now, free, paid)
            self._state.open_call(row, day, today)  # first: when it fails, nothing was taken
            self._last_id = number
            meter.day, meter.day_requests = day, today
            meter.requests += 1
            meter.running += 1
            meter.free_reserved += free
            meter.paid_reserved += paid
            self._running[number] = self._enter(meter, limits, now, free + paid)
            return Reservation(number, account.name, model, free, paid, account.billing == "paid", bounded)

    def settle(self, reservation: Reservation, usage: Usage | None) -> None:
        """Charge what a call used and give the rest back; a second time does nothing."""
        used = usage.total_tokens if usage is not None else 0
        free = min(used, reservation.free_tokens) if reservation.pays else used
        with self._lock:
            if reservation.id not in self._running:
                return
            paid = used - free
            self._state.settle_call(reservation.id, free, paid, self._clock() - MINUTE_SECONDS)
            entry = self._running.pop(reservation.id)
            meter = self._meter(reservation.account, reservation.model)
            meter.running -= 1
            meter.free_reserved -= reservation.free_tokens
            meter.paid_reserved -= reservation.paid_tokens
            meter.free_used += free
            meter.paid_used += paid
            if entry is not None:
                if entry.at > self._clock() - MINUTE_SECONDS and entry in meter.window:
                    meter.window_tokens += used - entry.tokens
                entry.tokens = used

    def usage(self, account: str) -> dict[str, ModelUsage]:
        """What an account has used, by model."""
        with self._lock:
            today = _day(self._clock())
            return {
                model: ModelUsage(
                    requests=meter.requests,
                    requests_today=meter.day_requests if meter.day == today else 0,
                    running=meter.running,
                    used_tokens=meter.free_used + meter.paid_used,
                    free_tokens_used=meter.free_used,
                    reserved_tokens=meter.free_reserved + meter.paid_reserved,
                )
                for (name, model), meter in self._meters.items()
                if name == account
            }

    def reset(self, account: str) -> None:
        """Forget what an account has used: quotas, free tiers, days and minutes. Calls under way stay counted."""
        with self._lock:
            self._state.reset_usage(account)
            for (name, _), meter in self._meters.items():
                if name == account:
                    meter.window = deque(entry for entry in meter.window if False)
                    meter.window_tokens = 0
                    meter.requests = meter.day_requests = meter.free_used = meter.paid_used = 0

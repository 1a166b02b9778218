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
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from qonduit_emulator._accounts import Account
from qonduit_emulator._exchange import Usage
from qonduit_emulator._meter import MINUTE_SECONDS, Entry, Meter
from qonduit_emulator._refusal_codes import refusal_by_code
from qonduit_emulator._state import CallRow, MemoryState, State

Clock = Callable[[], float]
"""The time in unix seconds."""

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
    """A call under way and the tokens taken for it, which may be less than it could use."""

    id: int
    account: str
    model: str
    free_tokens: int
    paid_tokens: int
    pays: bool

    @property
    def tokens(self) -> int:
        """All tokens taken."""
        return self.free_tokens + self.paid_tokens


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one account has used of one model; used tokens include the free ones, but no reserved ones."""

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
        self._meters: defaultdict[str, dict[str, Meter]] = defaultdict(dict)
        self._running: dict[int, Entry | None] = {}
        self._last_id = 0
        usage, calls = self._state.load_usage()
        for row in usage:
            self._meters[row.account][row.model] = Meter(
                row.requests, row.day, row.day_requests, free_used=row.free_tokens, paid_used=row.paid_tokens
            )
        for call in calls:
            self._meter(call.account, call.model).enter(call.at, call.tokens)
            self._last_id = max(self._last_id, call.id)

    def check_quota(self, account: Account, model: str, demand: Demand) -> None:
        """Refuse a call whose least does not fit into free tier and quota. Raises: Refusal."""
        with self._lock:
            self._share(account, model, demand)

    def check_rate(self, account: Account, model: str, demand: Demand) -> None:
        """Refuse a call that comes too fast. Raises: Refusal."""
        with self._lock:
            self._check_rate(account, model, demand, self._clock())

    def seconds_to_place(self, account: Account, model: str) -> float:
        """How long until the limit of a second lets one more call by; 0 when it does now."""
        limit = account.limits_for(model).requests_per_second
        with self._lock:
            meter = self._meters[account.name].get(model) or Meter()
            return 0 if limit is None else meter.seconds_to_place(self._clock(), limit)

    def reserve(self, account: Account, model: str, demand: Demand) -> Reservation:
        """Check both and take, in one step. Raises: Refusal."""
        with self._lock:
            now = self._clock()
            free, paid = self._share(account, model, demand)
            self._check_rate(account, model, demand, now)
            meter = self._meter(account.name, model)
            number, day = self._last_id + 1, _day(now)
            today = meter.day_requests + 1 if meter.day == day else 1
            # First the state: when that fails, nothing was taken.
            self._state.open_call(CallRow(number, account.name, model, now, free, paid), day, today)
            self._last_id = number
            meter.requests += 1
            meter.day, meter.day_requests = day, today
            meter.running += 1
            meter.free_reserved += free
            meter.paid_reserved += paid
            windowed = account.limits_for(model).windowed
            self._running[number] = meter.enter(now, free + paid) if windowed else None
        return Reservation(number, account.name, model, free, paid, account.billing == "paid")

    def settle(self, reservation: Reservation, usage: Usage | None) -> None:
        """Charge what a call used and give the rest back; a second time does nothing."""
        used = usage.total_tokens if usage is not None else 0
        free = min(used, reservation.free_tokens) if reservation.pays else used
        with self._lock:
            if reservation.id not in self._running:
                return
            entry = self._running.pop(reservation.id)
            meter = self._meter(reservation.account, reservation.model)
            meter.running -= 1
            meter.free_reserved -= reservation.free_tokens
            meter.paid_reserved -= reservation.paid_tokens
            meter.free_used += free
            meter.paid_used += used - free
            if entry is not None:
                meter.correct(entry, used)
            self._state.settle_call(reservation.id, free, used - free, self._clock() - MINUTE_SECONDS)

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
                for model, meter in self._meters[account].items()
            }

    def reset(self, account: str) -> None:
        """Forget what an account has used. Calls under way stay counted, and are charged when they end."""
        with self._lock:
            self._state.reset_usage(account)
            for meter in self._meters[account].values():
                meter.reset()

    def _meter(self, account: str, model: str) -> Meter:
        return self._meters[account].setdefault(model, Meter())

    def _share(self, account: Account, model: str, demand: Demand) -> tuple[int, int]:
        """The free and the paid tokens a call takes. Raises: Refusal."""
        limits, meters = account.limits_for(model), self._meters[account.name]
        meter = meters.get(model) or Meter()
        free_left = max(0, (limits.free_tokens or 0) - meter.free_used - meter.free_reserved)
        least = demand.input_tokens + demand.least_output
        most = demand.input_tokens + demand.most_output
        if account.billing != "paid":
            if least > free_left or free_left == 0:
                raise _free_tier_exhausted(account)
            return min(most, free_left), 0
        free = min(most, free_left)
        if account.token_quota is None:
            return free, most - free
        taken = sum(other.paid_used + other.paid_reserved for other in meters.values())
        paid_left = max(0, account.token_quota - taken)
        if least > free_left + paid_left or free_left + paid_left == 0:
            raise refusal_by_code("Throttling.AllocationQuota")
        return free, min(most - free, paid_left)

    def _check_rate(self, account: Account, model: str, demand: Demand, now: float) -> None:
        """In the order of the seeds: how often, how many at once, how many today."""
        limits = account.limits_for(model)
        meter = self._meters[account.name].get(model) or Meter()
        meter.slide(now)
        if limits.requests_per_second is not None and meter.last_second(now) >= limits.requests_per_second:
            raise refusal_by_code("Throttling.BurstRate")
        if limits.requests_per_minute is not None and meter.last_minute() >= limits.requests_per_minute:
            raise refusal_by_code("Throttling.RateQuota")
        least = demand.input_tokens + demand.least_output
        if limits.tokens_per_minute is not None and meter.window_tokens + least > limits.tokens_per_minute:
            raise refusal_by_code("Throttling.AllocationQuota")
        if limits.concurrency is not None and meter.running >= limits.concurrency:
            raise refusal_by_code("Throttling", "Too many requests in route. Please try again later.")
        today = meter.day_requests if meter.day == _day(now) else 0
        if limits.requests_per_day is not None and today >= limits.requests_per_day:
            raise refusal_by_code("Throttling.RateQuota")


def _free_tier_exhausted(account: Account) -> Exception:
    if account.billing == "free-tier-only":
        return refusal_by_code("AllocationQuota.FreeTierOnly")
    return refusal_by_code("Throttling.AllocationQuota", "Free allocated quota exceeded.")


def _day(now: float) -> int:
    return int((now + CHINA_OFFSET_SECONDS) // 86400)

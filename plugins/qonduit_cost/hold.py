"""Hold: what is set aside in a budget for one attempt, before it is sent."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from qonduit import BudgetExceededError
from qonduit_cost.currency import EXACT


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which attempts of a ledger a budget is about, to add up what was spent before it was kept.

    `since` and `until` are times as the ledger writes them, the second exclusive; None: from the beginning, for ever.
    """

    since: str | None
    until: str | None = None
    profile: str | None
    tag: tuple[str, str] | None
    rate: Callable[[str], Decimal | None]
    """What one unit of a currency is worth in the budget's; None when nobody said."""

    def covers(self, started: str) -> bool:
        """Whether an attempt that was started then is in it."""
        return (self.since is None or started >= self.since) and (self.until is None or started < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a hold is checked against."""

    amount: Decimal
    blocks: bool
    span: Span
    resets_at: datetime.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """`amount` of a budget, in its currency: the counter `name`, `period` ("day 2026-11-21 UTC"), `scope`.

    `rate` is what one unit of the attempt's own currency is worth in the budget's. `limit` is None once the hold was
    read back from a ledger: it was checked when it was made.
    """

    name: str
    period: str
    scope: str
    currency: str
    amount: Decimal
    rate: Decimal
    limit: Limit | None = None

    def check(self, used: Decimal) -> str | None:
        """Whether it fits beside what is used up and set aside. Returns the warning of a budget that only warns.

        Raises: BudgetExceededError.
        """
        if self.limit is None or EXACT.add(used, self.amount) <= self.limit.amount:
            return None
        resets = self.limit.resets_at
        until = f" It begins anew at {resets.isoformat(timespec='minutes')}." if resets is not None else ""
        where = f" ({self.scope})" if self.scope else ""
        figures = (
            f"Budget '{self.name}'{where} allows {self.limit.amount:f} {self.currency} {_PER[self.period.split()[0]]}; "
            f"{used:f} is spent or set aside, and this attempt can cost up to {self.amount:f}.{until}"
        )
        if not self.limit.blocks:
            return f"{figures} The budget only warns."
        raise BudgetExceededError(
            f"The request was not sent. {figures} Give the call a smaller max_tokens, or raise the limit.",
            budget=self.name,
            limit=self.limit.amount,
            spent=used,
            needed=self.amount,
            currency=self.currency,
            resets_at=resets,
        )


_PER = {"call": "a call", "day": "a day", "month": "a month", "total": "in all"}


def plain(amount: Decimal) -> str:
    """All digits, no exponent."""
    text = str(amount)
    return f"{amount:f}" if "E" in text else text


def write_holds(holds: tuple[Hold, ...]) -> str | None:
    """The column `held`; None without holds."""
    if not holds:
        return None
    return json.dumps(
        [[hold.name, hold.period, hold.scope, hold.currency, plain(hold.amount), plain(hold.rate)] for hold in holds],
        ensure_ascii=False,
    )


def read_holds(held: str | None) -> tuple[Hold, ...]:
    """The holds of the column `held`."""
    return tuple(
        Hold(name=name, period=period, scope=scope, currency=currency, amount=Decimal(amount), rate=Decimal(rate))
        for name, period, scope, currency, amount, rate in json.loads(held or "[]")
    )

"""Budgets: which of them a call counts for, and what is set aside for it before it is sent."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

from qonduit import BudgetExceededError, Call, Cost
from qonduit_cost.currency import EXACT, Rates
from qonduit_cost.entry import stamp
from qonduit_cost.hold import Hold, Limit, Span
from qonduit_cost.options import BudgetOptions

_CHARGED = "qonduit_cost.charged"
"""In the state of a call: what its attempts have cost so far, as pairs of amount and currency."""


class Budgets:
    """The budgets of a plugin's options."""

    def __init__(self, options: Sequence[BudgetOptions], rates: Rates | None) -> None:
        self._budgets = [_Budget(budget, rates) for budget in options]

    def of(self, call: Call) -> list[_Budget]:
        """Those that a call counts for."""
        return [budget for budget in self._budgets if budget.is_for(call)] if self._budgets else []


class _Budget:
    def __init__(self, options: BudgetOptions, rates: Rates | None) -> None:
        self.options = options
        self._rates = rates
        self._tag, self._separator, self._value = (options.tag or "").partition("=")
        self._zone = datetime.UTC if options.timezone == "UTC" else ZoneInfo(options.timezone)

    def is_for(self, call: Call) -> bool:
        """Whether a call counts."""
        if self.options.profile is not None and self.options.profile != call.profile.name:
            return False
        if not self._tag:
            return True
        value = call.tags.get(self._tag)
        return value is not None and (not self._separator or value == self._value)

    def hold(self, call: Call, cost: Cost, now: datetime.datetime) -> Hold | None:
        """What is to be set aside for an attempt that can cost `cost`; None where that is not known and allowed.

        Raises: BudgetExceededError where it is not known and not allowed.
        """
        if cost.amount is not None and not cost.amount:
            return None
        rate = None if cost.amount is None or cost.currency is None else self.rate(cost.currency)
        if cost.amount is None or rate is None:
            if self.options.unknown == "allow":
                return None
            raise self._unknown(cost)
        tag = None if not self._tag else (self._tag, call.tags[self._tag])
        period, since, until = self._period(now)
        span = Span(
            since=None if since is None else stamp(since.astimezone(datetime.UTC)),
            until=None if until is None else stamp(until.astimezone(datetime.UTC)),
            profile=self.options.profile,
            tag=tag,
            rate=self.rate,
        )
        limit = Limit(amount=self.options.limit, blocks=self.options.action == "block", span=span, resets_at=until)
        scope = [] if self.options.profile is None else [f"profile {self.options.profile}"]
        scope += [] if tag is None else [f"tag {tag[0]}={tag[1]}"]
        return Hold(
            name=self.options.name,
            period=period,
            scope=", ".join(scope),
            currency=self.options.currency,
            amount=EXACT.multiply(cost.amount, rate),
            rate=rate,
            limit=limit,
        )

    def rate(self, currency: str) -> Decimal | None:
        """What one unit of a currency is worth in the budget's."""
        if currency == self.options.currency:
            return Decimal(1)
        return None if self._rates is None else self._rates.rate(currency, self.options.currency)

    def _period(self, now: datetime.datetime) -> tuple[str, datetime.datetime | None, datetime.datetime | None]:
        """The period's name, when it began and when the next begins."""
        local = now.astimezone(self._zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        match self.options.period:
            case "day":
                return f"day {local.date()} {self.options.timezone}", midnight, midnight + datetime.timedelta(days=1)
            case "month":
                first = midnight.replace(day=1)
                following = (first + datetime.timedelta(days=32)).replace(day=1)
                return f"month {first:%Y-%m} {self.options.timezone}", first, following
            case period:
                return period, None, None

    def _unknown(self, cost: Cost) -> BudgetExceededError:
        options = self.options
        if cost.amount is None:
            what = f"nobody knows what this call can cost: {cost.reason}"
            mend = "Give the model a price by the option 'prices', the call a max_tokens,"
        else:
            what = f"the call is paid in {cost.currency}, the budget is in {options.currency}, and no rate is known"
            mend = "Give the rate by the option 'rates',"
        return BudgetExceededError(
            f"The request was not sent. Budget '{options.name}' cannot be kept: {what}. "
            f'{mend} or let such calls through: unknown = "allow" in the budget.',
            budget=options.name,
            limit=options.limit,
            currency=options.currency,
        )


def set_aside(budgets: Iterable[_Budget], call: Call, cost: Cost) -> tuple[tuple[Hold, ...], list[str]]:
    """What is to be set aside in a ledger for an attempt that can cost `cost`; warnings of budgets of one call.

    Raises: BudgetExceededError.
    """
    now = datetime.datetime.now(datetime.UTC)
    holds: list[Hold] = []
    warnings: list[str] = []
    for budget in budgets:
        hold = budget.hold(call, cost, now)
        if hold is not None and budget.options.period != "call":
            holds.append(hold)
        elif hold is not None:
            rates = [(amount, budget.rate(currency)) for amount, currency in call.state.get(_CHARGED, ())]
            used = sum((EXACT.multiply(amount, rate) for amount, rate in rates if rate is not None), Decimal(0))
            warning = hold.check(used)
            warnings += [] if warning is None else [warning]
    return tuple(holds), warnings


def count(call: Call, amount: Decimal | None, currency: str | None) -> None:
    """Remember what an attempt has cost, for the budgets of one call."""
    if amount is not None and currency is not None:
        call.state.setdefault(_CHARGED, []).append((amount, currency))

"""Currencies: what one is worth in another, on a day that somebody names. Nothing is converted without that."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from qonduit import ConfigurationError, ConvertedAmount, Cost
from qonduit.value import trusted
from qonduit_cost.rows import Currency

EXACT = Context(prec=60)
"""Products and sums of money have far fewer digits: they are exact, whatever the application's own context is."""

RATE_DIGITS = 12


Rate = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]


class Rates(BaseModel):
    """What currencies are worth: one unit of each costs so many units of `base`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    base: Currency
    """The currency that the rates are in."""
    date: datetime.date
    """The day of the rates."""
    source: str | None = None
    """Where they are from."""
    rates: Mapping[Currency, Rate]
    """Units of `base` for one unit of each currency: `{ USD = "7.12" }` with the base "CNY"."""

    def rate(self, currency: str, into: str) -> Decimal | None:
        """What one unit of `currency` is worth in `into`; None when one of the two is not in the table."""
        values = {self.base: Decimal(1), **self.rates}
        if currency not in values or into not in values:
            return None
        with localcontext(Context(prec=RATE_DIGITS)):
            return values[currency] / values[into]


@dataclass(frozen=True, slots=True)
class Display:
    """The currency that costs are shown in besides their own."""

    currency: str
    rates: Rates

    @classmethod
    def of(cls, currency: str | None, rates: Rates | None) -> Display | None:
        """None when no currency is asked for. Raises: ConfigurationError when its rate is missing."""
        if currency is None:
            return None
        if rates is None:
            raise ConfigurationError(
                f"display_currency: expected a table 'rates' with a date to show costs in {currency}; add "
                'rates = { base = "CNY", date = 2026-11-20, rates = { USD = "7.12" } } with today\'s figures.'
            )
        if rates.rate(currency, currency) is None:
            raise ConfigurationError(f"display_currency: the table 'rates' has no {currency}; add it to rates.rates.")
        return cls(currency, rates)

    def show(self, cost: Cost) -> Cost:
        """`cost` with its amount in this currency beside its own, or with the reason why not."""
        if cost.amount is None or cost.currency is None:
            return cost
        rate = self.rates.rate(cost.currency, self.currency)
        if rate is None:
            missing = f"not shown in {self.currency}: the rates have no {cost.currency}"
            reason = missing if cost.reason is None else f"{cost.reason}; {missing}"
            return trusted(Cost, {**cost.__dict__, "reason": reason})
        converted = trusted(
            ConvertedAmount,
            {
                "amount": EXACT.multiply(cost.amount, rate),
                "currency": self.currency,
                "rate": rate,
                "date": self.rates.date,
                "source": self.rates.source,
            },
        )
        return trusted(Cost, {**cost.__dict__, "converted": converted})

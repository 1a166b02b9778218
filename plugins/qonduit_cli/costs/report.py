"""Report: the rows of a ledger added up in groups. Counts are whole, money is exact, currencies stay apart.

What is not known is not 0: attempts of unknown cost are counted beside the sums and are in none of them; so are those
that are open, which have been started and not settled. What was refused, or was never sent, costs nothing.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import get_args

from qonduit import Cost
from qonduit_cli.costs.period import PERIODS, Zone, date_of, label
from qonduit_cli.costs.rows import Row, money, tags_of
from qonduit_cli.failures import UsageError
from qonduit_cost.currency import EXACT, Rates

PROVENANCES: tuple[str, ...] = get_args(Cost.model_fields["provenance"].annotation)
"""How well a cost is known, best first."""
FIELDS = ("model", "provider", "profile")


@dataclass(frozen=True, slots=True)
class Grouping:
    """What a report is by. `key` gives a row's group, None for one that has none."""

    name: str
    key: Callable[[Row], str | None]
    ordered: bool = False
    """Whether its groups follow each other in time."""


def grouping(by: str, zone: Zone) -> Grouping:
    """`day`, `week`, `month`, `model`, `provider`, `profile` or `tag:NAME`. Raises: UsageError."""
    period = next((period for period in PERIODS if period == by), None)
    if period is not None:
        return Grouping(by, lambda row: label(date_of(row.started_at, zone), period), ordered=True)
    if by == "model":
        return Grouping(by, lambda row: row.model or row.response_model)
    if by in FIELDS:
        return Grouping(by, lambda row: str(getattr(row, by)))
    word, _, name = by.partition(":")
    if word == "tag" and name:
        return Grouping(by, lambda row: tags_of(row.tags).get(name))
    raise UsageError(f"--by {by}: expected {', '.join((*PERIODS, *FIELDS))} or tag:NAME.")


@dataclass(slots=True)
class Sums:
    """What a group comes to. Tokens are those that providers reported; money is by currency."""

    calls: int = 0
    attempts: int = 0
    hits: int = 0
    open: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict)
    saved: dict[str, Decimal] = field(default_factory=dict)
    provenance: Counter[str] = field(default_factory=Counter)
    set_aside: dict[str, Decimal] = field(default_factory=dict)
    """What was estimated for the open attempts; it is in no other sum."""
    first: str = ""
    last: str = ""
    """When the first and the last of the rows were started; rows are added in the order of time."""
    _calls: set[str] = field(default_factory=set, repr=False, compare=False)

    def add(self, row: Row) -> None:
        """Count one row. Raises: ConfigurationError when its amounts are none."""
        self.first = self.first or row.started_at
        self.last = row.started_at
        self._calls.add(row.call_id)
        self.calls = len(self._calls)
        if row.kind == "hit":
            self.hits += 1
            _add(self.saved, row.currency, money(row, "saved"))
            return
        self.attempts += 1
        if row.state == "intent":
            self.open += 1
            _add(self.set_aside, row.currency, money(row, "estimate"))
            return
        self.input_tokens += row.input_tokens or 0
        self.output_tokens += row.output_tokens or 0
        self.cached_tokens += (row.cached_tokens or 0) + (row.explicit_cached_tokens or 0)
        self.reasoning_tokens += row.reasoning_tokens or 0
        if row.unbilled:
            return
        amount = money(row, "amount")
        _add(self.cost, row.currency, amount)
        self.provenance["unknown" if amount is None else row.provenance] += 1

    @property
    def unknown(self) -> int:
        """Attempts that may have cost something, nobody knows what."""
        return self.provenance["unknown"]

    @property
    def shares(self) -> dict[str, float]:
        """How the costs that are known are known: parts of 1, by their number."""
        known = {name: self.provenance[name] for name in PROVENANCES if name != "unknown" and self.provenance[name]}
        return {name: count / sum(known.values()) for name, count in known.items()}


@dataclass(frozen=True, slots=True)
class Report:
    """Groups of one grouping in the order to show them, and what all come to.

    A call with attempts in two groups counts in both, and once in the total.
    """

    by: Grouping
    groups: Mapping[str | None, Sums]
    total: Sums

    @property
    def currencies(self) -> list[str]:
        """All that there are sums or savings in."""
        return sorted({*self.total.cost, *self.total.saved})


def add_up(rows: Iterable[Row], groupings: Sequence[Grouping]) -> list[Report]:
    """Read the rows once, and add them up by each of the groupings."""
    total = Sums()
    tables: list[dict[str | None, Sums]] = [{} for _ in groupings]
    for row in rows:
        total.add(row)
        for by, groups in zip(groupings, tables, strict=True):
            key = by.key(row)
            sums = groups.get(key)
            if sums is None:
                sums = groups[key] = Sums()
            sums.add(row)
    return [Report(by, _arranged(by, groups), total) for by, groups in zip(groupings, tables, strict=True)]


def _arranged(by: Grouping, groups: dict[str | None, Sums]) -> dict[str | None, Sums]:
    """In the order of time, or the dearest first; what has no name is last."""
    currencies = sorted({currency for sums in groups.values() for currency in sums.cost})

    def place(item: tuple[str | None, Sums]) -> tuple[bool, list[Decimal], int, str]:
        name, sums = item
        if by.ordered:
            return False, [], 0, name or ""
        amounts = [-sums.cost.get(currency, Decimal(0)) for currency in currencies]
        return name is None, amounts, -sums.calls, name or ""

    return dict(sorted(groups.items(), key=place))


@dataclass(frozen=True, slots=True)
class Conversion:
    """Into one currency, at the rates of one day."""

    currency: str
    rates: Rates | None

    def convert(self, report: Report) -> Report:
        """The report with its money in this currency. Raises: UsageError when a rate is missing."""
        groups = {name: self._convert(sums) for name, sums in report.groups.items()}
        return Report(report.by, _arranged(report.by, groups), self._convert(report.total))

    def _convert(self, sums: Sums) -> Sums:
        return dataclasses.replace(
            sums, cost=self._into(sums.cost), saved=self._into(sums.saved), set_aside=self._into(sums.set_aside)
        )

    def _into(self, amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
        converted: dict[str, Decimal] = {}
        for currency, amount in amounts.items():
            _add(converted, self.currency, EXACT.multiply(amount, self.rate(currency)))
        return converted

    def rate(self, currency: str) -> Decimal:
        """What one unit of `currency` is worth. Raises: UsageError."""
        if currency == self.currency:
            return Decimal(1)
        if self.rates is None:
            raise UsageError(
                f"--currency {self.currency}: the ledger has costs in {currency}, and the configuration no rates. "
                "Add to the options of the plugin 'cost': "
                'rates = { base = "CNY", date = 2026-11-20, rates = { USD = "7.12" } } with today\'s figures.'
            )
        rate = self.rates.rate(currency, self.currency)
        if rate is None:
            raise UsageError(
                f"--currency {self.currency}: the rates of {self.rates.date} do not have both {currency} and "
                f"{self.currency}; add what is missing to rates.rates."
            )
        return rate

    def said(self, currencies: Iterable[str]) -> list[str]:
        """The rates that were used, with their day."""
        if self.rates is None:
            return []
        source = f" ({self.rates.source})" if self.rates.source else ""
        return [
            f"1 {currency} = {self.rate(currency):f} {self.currency} on {self.rates.date}{source}"
            for currency in currencies
            if currency != self.currency
        ]


def _add(sums: dict[str, Decimal], currency: str | None, amount: Decimal | None) -> None:
    """A sum has no currency where nothing was to be paid."""
    if currency is None or amount is None:
        return
    sums[currency] = EXACT.add(sums.get(currency, Decimal(0)), amount)

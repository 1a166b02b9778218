"""Text: a report as a table to read, as CSV, and as JSON."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from qonduit_cli.costs.figures import described, exact, places, rounded
from qonduit_cli.costs.report import PROVENANCES, Report, Sums
from qonduit_cli.output import aligned, one_line, write

NAMELESS = "(none)"
"""What the group of those that have none is called."""
FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes for a formula at the beginning of a cell."""
COUNTS = ("calls", "attempts", "hits", "open", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
ALWAYS = ("calls", "attempts", "input_tokens", "output_tokens")

Column: TypeAlias = tuple[str, Callable[[Sums], str]]


def columns(report: Report) -> list[Column]:
    """The figures to show of each group, with their titles; what is nowhere is left out."""
    total = report.total
    return [
        *(_count(name) for name in COUNTS if name in ALWAYS or getattr(total, name)),
        *(_amount(currency, total.cost, "cost", currency) for currency in sorted(total.cost)),
        *(_amount(f"saved {currency}", total.saved, "saved", currency) for currency in sorted(total.saved)),
        *([_count("unknown")] if total.unknown else []),
    ]


def _count(name: str) -> Column:
    return name.removesuffix("_tokens"), lambda sums: f"{getattr(sums, name):,}"


def _amount(title: str, total: Mapping[str, Decimal], name: str, currency: str) -> Column:
    digits = places([total[currency]])
    return title, lambda sums: rounded(getattr(sums, name).get(currency), digits)


def print_table(report: Report) -> None:
    """A line a group, and the total."""
    shown: list[Column] = [*columns(report), ("provenance", lambda sums: described(sums.shares))]
    lines = [(NAMELESS if name is None else name, sums) for name, sums in report.groups.items()]
    lines.append(("total", report.total))
    aligned(
        (report.by.name.upper(), *(title.upper() for title, _ in shown)),
        [(name, *(figure(sums) for _, figure in shown)) for name, sums in lines],
        right=range(1, len(shown)),
    )


def print_csv(report: Report) -> None:
    """A line a group, without a total; every digit of the amounts."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    currencies = report.currencies
    writer.writerow(
        [
            report.by.name,
            *COUNTS,
            *(f"cost_{currency}" for currency in currencies),
            *(f"saved_{currency}" for currency in currencies),
            *PROVENANCES,
        ]
    )
    for name, sums in report.groups.items():
        writer.writerow(
            [
                _cell(name),
                *(getattr(sums, count) for count in COUNTS),
                *(_digits(sums.cost, currency) for currency in currencies),
                *(_digits(sums.saved, currency) for currency in currencies),
                *(sums.provenance[provenance] for provenance in PROVENANCES),
            ]
        )


def _digits(amounts: Mapping[str, Decimal], currency: str) -> str:
    return exact(amounts[currency]) if currency in amounts else ""


def _cell(name: str | None) -> str:
    text = "" if name is None else one_line(name)
    return f"'{text}" if text.startswith(FORMULA) else text


def as_json(report: Report) -> dict[str, Any]:
    """The groups and the total; amounts are text, with every digit."""
    return {
        "by": report.by.name,
        "groups": [{"group": name} | sums_as_json(sums) for name, sums in report.groups.items()],
        "total": sums_as_json(report.total),
    }


def sums_as_json(sums: Sums) -> dict[str, Any]:
    """Counts, and amounts by currency as text."""
    return {
        **{name: getattr(sums, name) for name in COUNTS},
        **{name: _money(getattr(sums, name)) for name in ("cost", "saved", "set_aside")},
        "provenance": {name: sums.provenance[name] for name in PROVENANCES},
    }


def _money(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {currency: exact(amount) for currency, amount in sorted(amounts.items())}


def write_json(document: dict[str, Any]) -> None:
    """JSON that a terminal can be shown: what it would obey is escaped."""
    text = json.dumps(document, ensure_ascii=False, indent=2)
    write(re.sub(r"[^\n -~]", lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text))
    write("\n")

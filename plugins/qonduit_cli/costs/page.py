"""Page: reports as one HTML file. It has no script, and loads nothing: it says so itself, in its content policy."""

from __future__ import annotations

import datetime
import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from qonduit_cli.costs.chart import HATCH, Bar, draw
from qonduit_cli.costs.figures import NAMES, described, percent, places, rounded
from qonduit_cli.costs.period import PERIODS, Period, Zone, between, date_of
from qonduit_cli.costs.report import Grouping, Report, Sums, grouping
from qonduit_cli.costs.text import NAMELESS, columns
from qonduit_cli.output import one_line

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
MOST_DAYS = 92
MOST_WEEKS = 92 * 7
"""Over how many days a chart has a bar for each day, and for each week; then it has one for each month."""

Span: TypeAlias = tuple[datetime.date, datetime.date]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What stands on the page. The first report is the one that was asked for."""

    reports: Sequence[Report]
    zone: Zone
    filters: Sequence[str]
    notes: Sequence[str]
    ledger: Path

    @property
    def total(self) -> Sums:
        """What all comes to."""
        return self.reports[0].total

    @property
    def span(self) -> Span | None:
        """The days of the first and the last call; None when there is none."""
        first, last = self.total.first, self.total.last
        return (date_of(first, self.zone), date_of(last, self.zone)) if first else None

    @property
    def over_time(self) -> Report:
        """The report that is drawn."""
        return next(report for report in self.reports if report.by.ordered)


def groupings_of(by: Grouping, span: tuple[str, str] | None, zone: Zone) -> list[Grouping]:
    """What a page reports by, besides `by`: time, in periods that fit a chart, model, provider and profile."""
    names = ["model", "provider", "profile"]
    if not by.ordered:
        names.insert(0, _period(span, zone))
    return [by, *(grouping(name, zone) for name in names if name != by.name)]


def _period(span: tuple[str, str] | None, zone: Zone) -> Period:
    days = (date_of(span[1], zone) - date_of(span[0], zone)).days if span else 0
    return "day" if days <= MOST_DAYS else "week" if days <= MOST_WEEKS else "month"


def render(page: Page) -> str:
    """The page as text: HTML that is well-formed XML too."""
    style = resources.files("qonduit_cli.costs").joinpath("page.css").read_text(encoding="utf-8")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8"/>',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>LLM costs, {_text(_dates(page))}</title>",
            f"<style>{style}</style></head><body><main>",
            *_header(page),
            *_tiles(page),
            *_charts(page),
            *_tables(page),
            *_footer(page),
            "</main></body></html>\n",
        ]
    )


def _header(page: Page) -> Iterator[str]:
    chosen = "".join(f" · {_text(words)}" for words in page.filters)
    yield f"<header><h1>LLM costs</h1><p>{_text(_dates(page))}{chosen}</p></header>"


def _dates(page: Page) -> str:
    return "no calls" if page.span is None else " to ".join(dict.fromkeys(day.isoformat() for day in page.span))


def _tiles(page: Page) -> Iterator[str]:
    total = page.total
    yield '<div class="tiles">'
    yield _tile("Cost", *_amounts(total.cost), below=_known(total) + _legend(total))
    if total.hits:
        below = f"<p>{total.hits:,} answers out of {total.calls:,}</p>"
        yield _tile("Saved by the cache", *_amounts(total.saved), below=below, kind="good")
    yield _tile("Calls", f"{total.calls:,}", below=f"<p>{_plural(total.attempts, 'attempt')}{_hit_share(total)}</p>")
    cached = percent(total.cached_tokens / total.input_tokens) if total.input_tokens else "none"
    reasoning = percent(total.reasoning_tokens / total.output_tokens) if total.output_tokens else "none"
    yield _tile(
        "Tokens",
        f"{_short(total.input_tokens)} <small>in</small>",
        f"{_short(total.output_tokens)} <small>out</small>",
        below=f"<p>{cached} of the input cached by providers, {reasoning} of the output reasoning</p>",
    )
    if total.unknown:
        yield _tile("Unknown cost", f"{total.unknown:,}", below="<p>attempts, in none of the sums</p>", kind="warn")
    yield "</div>"


def _tile(title: str, *figures: str, below: str, kind: str = "") -> str:
    lines = "".join(f"<strong>{figure}</strong>" for figure in figures)
    return f'<div class="tile {kind}"><h2>{title}</h2>{lines}{below}</div>'


def _amounts(amounts: Mapping[str, Decimal]) -> list[str]:
    return [
        f"<small>{_text(currency)}</small> {_text(rounded(amount, places([amount])))}"
        for currency, amount in sorted(amounts.items())
    ] or ["-"]


def _known(sums: Sums) -> str:
    """How well the costs of a group are known, as a bar; nothing where there are none."""
    if not sums.shares:
        return ""
    bars = "".join(f'<i class="{name}" style="width:{share:.2%}"></i>' for name, share in sums.shares.items())
    return f'<div class="known" title="{_text(described(sums.shares))}">{bars}</div>'


def _legend(sums: Sums) -> str:
    shares = "".join(f'<span><i class="{n}"></i>{percent(share)} {NAMES[n]}</span>' for n, share in sums.shares.items())
    return f'<p class="legend">{shares}</p>'


def _hit_share(total: Sums) -> str:
    return f"; {percent(total.hits / total.calls)} answered by the cache" if total.hits else ""


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _short(count: int) -> str:
    """A count of tokens for a headline: `1.2M`."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}"
    return str(count)


def _charts(page: Page) -> Iterator[str]:
    if page.span is None:
        return
    yield HATCH
    report = page.over_time
    names = list(between(*page.span, _period_of(report.by)))
    for currency in report.currencies:
        title = f"Cost by {report.by.name}, {currency}"
        bars = [_bar(name, report.groups.get(name, Sums()), currency) for name in names]
        yield f'<section><h2>{_text(title)}</h2><div class="scroll">{draw(bars, one_line(title))}</div>'
        if currency in report.total.saved:
            kinds = {"cost": "paid", "saved": "saved by the cache"}
            yield f'<p class="legend">{"".join(_swatch(kind, words) for kind, words in kinds.items())}</p>'
        yield "</section>"


def _period_of(by: Grouping) -> Period:
    return next(period for period in PERIODS if period == by.name)


def _swatch(kind: str, words: str) -> str:
    return f'<span><svg viewBox="0 0 12 12"><rect width="12" height="12" class="{kind}"/></svg>{words}</span>'


def _bar(name: str, sums: Sums, currency: str) -> Bar:
    cost, saved = (amounts.get(currency, Decimal(0)) for amounts in (sums.cost, sums.saved))
    digits = places([cost + saved])
    words = f"{name}: {rounded(cost, digits)} {currency}, {_plural(sums.calls, 'call')}"
    if saved:
        words += f", {rounded(saved, digits)} {currency} saved"
    return Bar(name, cost, saved, one_line(words))


def _tables(page: Page) -> Iterator[str]:
    """Time comes last: it is the longest, and drawn above. A table of one line says nothing unless asked for."""
    for report in sorted(page.reports, key=lambda report: report.by.ordered):
        if len(report.groups) > 1 or report.by.name in (page.reports[0].by.name, "model"):
            yield from _table(report)


def _table(report: Report) -> Iterator[str]:
    shown = [column for column in columns(report) if column[0] != "open"]
    name = report.by.name.removeprefix("tag:")
    yield f'<section><h2>By {_text(report.by.name.replace(":", " "))}</h2><div class="scroll"><table>'
    titles = "".join(f"<th>{_text(title)}</th>" for title, _ in shown)
    yield f"<thead><tr><th>{_text(name)}</th>{titles}<th>known</th></tr></thead><tbody>"
    for group, sums in report.groups.items():
        cells = "".join(_cell(figure(sums), _share(title, sums, report.total)) for title, figure in shown)
        yield f"<tr>{_cell(NAMELESS if group is None else group)}{cells}<td>{_known(sums)}</td></tr>"
    totals = "".join(_cell(figure(report.total)) for _, figure in shown)
    yield f"</tbody><tfoot><tr><td>total</td>{totals}<td>{_known(report.total)}</td></tr></tfoot>"
    yield "</table></div></section>"


def _cell(text: str, share: float = 0) -> str:
    bar = f'<i style="width:{share:.2%}"></i>' if share else ""
    kind = ' class="none"' if text in ("0", "-") else ""
    return f"<td{kind}>{_text(text)}{bar}</td>"


def _share(title: str, sums: Sums, total: Sums) -> float:
    """What part of all costs in a currency a group has; 0 for other columns."""
    whole = total.cost.get(title)
    return float(sums.cost.get(title, Decimal(0)) / whole) if whole else 0


def _footer(page: Page) -> Iterator[str]:
    if page.notes:
        yield "<section><h2>Notes</h2><ul>"
        yield from (f"<li>{_text(note)}</li>" for note in page.notes)
        yield "</ul></section>"
    yield (
        f"<footer>From the ledger {_text(page.ledger.name)}; days are those of {_text(page.zone.name)}. "
        "Costs are by list prices: the provider's invoice decides.</footer>"
    )


def _text(text: object) -> str:
    return html.escape(one_line(text))

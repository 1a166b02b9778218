"""`qonduit cost` with `explain` and `settle`: find the ledger, and show or do what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qonduit_cli.costs import text
from qonduit_cli.costs.explain import bill, call_of, explain
from qonduit_cli.costs.figures import exact
from qonduit_cli.costs.page import Page, groupings_of, render
from qonduit_cli.costs.period import Zone, moment
from qonduit_cli.costs.report import Conversion, Report, add_up, grouping
from qonduit_cli.costs.rows import BUSY_SECONDS, Filters, LedgerFile, open_ledger
from qonduit_cli.costs.source import find
from qonduit_cli.failures import UsageError
from qonduit_cli.output import note, say, write_file
from qonduit_cost.spool import waiting
from qonduit_cost.sqlite import SQLiteLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What the options of `qonduit cost` say."""

    by: str
    since: str | None
    until: str | None
    profile: str | None
    model: str | None
    tags: Sequence[str]
    timezone: str | None
    currency: str | None

    def filters(self, zone: Zone) -> Filters:
        """Raises: UsageError."""
        return Filters(
            since=None if self.since is None else moment(self.since, "--since", zone),
            until=None if self.until is None else moment(self.until, "--until", zone, end=True),
            profile=self.profile,
            model=self.model,
            tags=dict(map(_tag, self.tags)),
        )

    def described(self) -> list[str]:
        """The filters in words."""
        limits = {"since": self.since, "until": self.until, "profile": self.profile, "model": self.model}
        return [f"{name} {value}" for name, value in limits.items() if value is not None] + [
            f"tag {tag}" for tag in self.tags
        ]


def _tag(words: str) -> tuple[str, str]:
    name, separator, value = words.partition("=")
    if not separator or not name:
        raise UsageError(f"--tag {words}: expected NAME=VALUE.")
    return name, value


def show_report(
    query: Query, form: Literal["text", "csv", "json"], html: Path | None, ledger: Path | None, config: Path | None
) -> int:
    """Print a report, or write it as a page. Raises: UsageError, ConfigurationError, OSError."""
    zone = Zone.named(query.timezone)
    filters = query.filters(zone)
    by = grouping(query.by, zone)
    source = find(ledger, query.profile, config)
    conversion = None if query.currency is None else Conversion(query.currency.upper(), source.rates)
    with open_ledger(source.path) as file:
        groupings = [by] if html is None else groupings_of(by, file.span(filters), zone)
        reports = add_up(file.rows(filters), groupings)
        notes = _notes(reports[0], file, filters)
    if conversion is not None:
        notes += conversion.said(sorted({*reports[0].currencies, *reports[0].total.set_aside}))
        reports = [conversion.convert(report) for report in reports]
    if html is not None:
        page = Page(reports=reports, zone=zone, filters=query.described(), notes=notes, ledger=source.path)
        write_file(html, render(page))
        say(f"Written: {html.absolute()}")
        return 0
    match form:
        case "csv":
            text.print_csv(reports[0])
        case "json":
            text.write_json(
                {
                    "ledger": str(source.path),
                    "timezone": zone.name,
                    "since": filters.since and filters.since.isoformat(),
                    "until": filters.until and filters.until.isoformat(),
                    "profile": filters.profile,
                    "model": filters.model,
                    "tags": dict(filters.tags),
                    "currency": conversion and conversion.currency,
                    **text.as_json(reports[0]),
                    "notes": notes,
                }
            )
            return 0
        case "text" if reports[0].groups:
            text.print_table(reports[0])
    for line in notes:
        note("note", line)
    return 0


def _notes(report: Report, file: LedgerFile, filters: Filters) -> list[str]:
    """What the figures do not say."""
    total, notes = report.total, []
    if not report.groups:
        notes.append(f"{file.path} has no calls that match.")
    if total.open:
        aside = " and ".join(f"{exact(amount)} {currency}" for currency, amount in sorted(total.set_aside.items()))
        notes.append(
            f"open attempts, started and not settled: {total.open}; they are in no sum"
            + (f", {aside} was set aside for them." if aside else ".")
        )
    if total.unknown:
        notes.append(f"attempts of unknown cost: {total.unknown}; they are in no sum. See: qonduit cost explain ID")
    lost = file.lost(filters)
    if lost:
        notes.append(f"attempts that could not be written down: {lost}; they are in no sum.")
    with suppress(FileNotFoundError):  # its writer has just put it into the ledger
        spooled = waiting(file.path)
        if spooled:
            notes.append(
                f"attempts that wait beside the ledger, which could not be written then: {spooled}; they are in no sum "
                "before the next call."
            )
    return notes


def show_explanation(
    identity: str, timezone: str | None, profile: str | None, ledger: Path | None, config: Path | None, *, as_json: bool
) -> int:
    """Print the bill of a call. Raises: UsageError, ConfigurationError."""
    zone = Zone.named(timezone)
    source = find(ledger, profile, config)
    with open_ledger(source.path) as file:
        rows = call_of(file, identity)
        if as_json:
            text.write_json(bill(rows))
        else:
            explain(rows, zone)
    return 0


def settle(profile: str | None, ledger: Path | None, config: Path | None) -> int:
    """Settle what processes left open that are gone. Raises: ConfigurationError."""
    path = find(ledger, profile, config).path
    with open_ledger(path):
        kept = waiting(path)
    writer = SQLiteLedger(path)
    try:
        writer.settle_gone(BUSY_SECONDS)
    finally:
        writer.close()
    say(f"settled, of processes that are gone: {writer.settled_gone}")
    say(f"written, that had waited beside the ledger: {kept - waiting(path)}")
    with open_ledger(path) as file:
        say(f"open, of processes that are there: {file.open()}")
    return 0

"""Counters: what is spent and set aside of budgets, in the ledger's own transactions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

from qonduit_cost.currency import EXACT
from qonduit_cost.entry import Entry, Settlement, charged
from qonduit_cost.hold import Hold, Span, plain, read_holds

ZERO = Decimal(0)
STRAGGLERS = 100
"""Rows that may be older than those before them: threads and clocks are not in step."""

Key: TypeAlias = tuple[str, str, str, str]

_KEY = "name = ? AND period = ? AND scope = ? AND currency = ?"
_COLUMNS = "id, state, started_at, profile, tags, amount, estimate, currency, held"


class Before(NamedTuple):
    """What a ledger's rows come to for a budget that is new to it: those up to the row `last`, without the `open` ones.

    It is added up outside of any transaction, since it may take a while.
    """

    spent: Decimal
    last: int
    open: tuple[int, ...]


class UncountedError(Exception):
    """Budgets are new to the ledger: what was spent of them before is to be added up first."""

    def __init__(self, holds: list[Hold]) -> None:
        super().__init__()
        self.holds = holds


def key_of(hold: Hold) -> Key:
    """The counter of a hold."""
    return hold.name, hold.period, hold.scope, hold.currency


def set_aside(
    connection: sqlite3.Connection, entry: Entry, before: Mapping[Key, Before], *, check: bool = True
) -> list[str]:
    """Make all holds of an entry, once each has been checked. Returns warnings.

    Without `check`, holds of budgets that are new to the ledger are left to who adds up its rows.
    Raises: BudgetExceededError; UncountedError for budgets that are new and not in `before`.
    """
    if check:
        _begin_new(connection, entry.holds, before)
    warnings: list[str] = []
    found = [(hold, figures) for hold in entry.holds if (figures := _read(connection, hold)) is not None]
    for hold, (spent, reserved) in found if check else ():
        warning = hold.check(EXACT.add(spent, reserved))
        if warning is not None:
            warnings.append(warning)
    for hold, (spent, reserved) in found:
        _write(connection, hold, spent, EXACT.add(reserved, hold.amount))
    return warnings


def charge(connection: sqlite3.Connection, entry: Entry, settlement: Settlement, *, held: bool) -> None:
    """Charge the budgets for how an entry ended; `held`: its holds had been made, and are given back."""
    for hold in entry.holds:
        figures = _read(connection, hold)
        if figures is not None:
            spent = EXACT.add(figures[0], charged(hold, settlement, entry.intent.currency))
            _write(connection, hold, spent, EXACT.subtract(figures[1], hold.amount) if held else figures[1])


def count_before(connection: sqlite3.Connection, span: Span) -> Before:
    """Add up what was spent of a budget before it was kept, from the newest row back to the beginning of its period."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM attempts").fetchone()
    (late,) = connection.execute(
        "SELECT coalesce(sum(attempts), 0) FROM spools WHERE written_at >= ?", (span.since or "",)
    ).fetchone()
    patience = late + STRAGGLERS  # what was caught up on has a later number than its time
    spent, still_open = ZERO, []
    for row in connection.execute(
        f"SELECT {_COLUMNS} FROM attempts WHERE id <= ? ORDER BY id DESC",  # noqa: S608  # columns of this module
        (last,),
    ):
        if span.since is not None and row[2] < span.since:
            patience -= 1
            if patience < 0:
                break
        elif not span.covers(row[2]):
            continue  # of a later period: the clock was put back
        elif row[1] == "intent":
            still_open.append(row[0])
        else:
            spent = EXACT.add(spent, _charge_of(row, span))
    return Before(spent, last, tuple(still_open))


def _begin_new(connection: sqlite3.Connection, holds: Iterable[Hold], before: Mapping[Key, Before]) -> None:
    """Enter the counters of budgets that are new to the ledger. Raises: UncountedError."""
    new = [hold for hold in holds if hold.limit is not None and _read(connection, hold) is None]
    missing = [hold for hold in new if key_of(hold) not in before]
    if missing:
        raise UncountedError(missing)
    for hold in new:
        assert hold.limit is not None
        counted, span = before[key_of(hold)], hold.limit.span
        spent, reserved = counted.spent, ZERO
        rows = connection.execute(f"SELECT {_COLUMNS} FROM attempts WHERE id > ?", (counted.last,)).fetchall()  # noqa: S608
        for number in counted.open:
            rows += connection.execute(f"SELECT {_COLUMNS} FROM attempts WHERE id = ?", (number,)).fetchall()  # noqa: S608
        for row in rows:
            aside = [other.amount for other in read_holds(row[8]) if key_of(other) == key_of(hold)]
            if row[1] == "intent" and aside:
                reserved = EXACT.add(reserved, aside[0])  # given back when it is settled
            elif span.covers(row[2]):
                spent = EXACT.add(spent, _charge_of(row, span))
        _write(connection, hold, spent, reserved)


def _charge_of(row: tuple[Any, ...], span: Span) -> Decimal:
    """What one row counts: what it cost, or what it could cost at most where that is not known."""
    _, _, _, profile, tags, amount, estimate, currency, _ = row
    text = amount if amount is not None else estimate
    if text is None or currency is None or span.profile not in {None, profile}:
        return ZERO
    if span.tag is not None and json.loads(tags).get(span.tag[0]) != span.tag[1]:
        return ZERO
    rate = span.rate(currency)
    return ZERO if rate is None else EXACT.multiply(Decimal(text), rate)


def _read(connection: sqlite3.Connection, hold: Hold) -> tuple[Decimal, Decimal] | None:
    """What is spent and what is set aside; None when the budget is new to the ledger."""
    row = connection.execute(f"SELECT spent, reserved FROM budgets WHERE {_KEY}", key_of(hold)).fetchone()  # noqa: S608
    return None if row is None else (Decimal(row[0]), Decimal(row[1]))


def _write(connection: sqlite3.Connection, hold: Hold, spent: Decimal, reserved: Decimal) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO budgets (name, period, scope, currency, spent, reserved) VALUES (?, ?, ?, ?, ?, ?)",
        (*key_of(hold), plain(spent), plain(reserved)),
    )

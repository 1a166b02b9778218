"""Counters: what is spent and set aside of budgets, in the ledger's own transactions."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal

from qonduit_cost.currency import EXACT
from qonduit_cost.entry import Entry, Settlement, charged
from qonduit_cost.hold import Hold, Span, plain

ZERO = Decimal(0)
_KEY = "name = ? AND period = ? AND scope = ? AND currency = ?"


def set_aside(connection: sqlite3.Connection, entry: Entry, *, check: bool = True) -> list[str]:
    """Make all holds of an entry, once each has been checked. Returns warnings. Raises: BudgetExceededError."""
    warnings: list[str] = []
    found = [_read(connection, hold) for hold in entry.holds]
    for hold, (spent, reserved) in zip(entry.holds, found, strict=True) if check else ():
        warning = hold.check(EXACT.add(spent, reserved))
        if warning is not None:
            warnings.append(warning)
    for hold, (spent, reserved) in zip(entry.holds, found, strict=True):
        _write(connection, hold, spent, EXACT.add(reserved, hold.amount))
    return warnings


def charge(connection: sqlite3.Connection, entry: Entry, settlement: Settlement, *, held: bool) -> None:
    """Charge the budgets for how an entry ended; `held`: its holds had been made, and are given back."""
    for hold in entry.holds:
        spent, reserved = _read(connection, hold)
        spent = EXACT.add(spent, charged(hold, settlement, entry.intent.currency))
        _write(connection, hold, spent, EXACT.subtract(reserved, hold.amount) if held else reserved)


def _key(hold: Hold) -> tuple[str, str, str, str]:
    return hold.name, hold.period, hold.scope, hold.currency


def _read(connection: sqlite3.Connection, hold: Hold) -> tuple[Decimal, Decimal]:
    """What is spent and what is set aside; of a budget that is new to the ledger, what its rows come to."""
    row = connection.execute(f"SELECT spent, reserved FROM budgets WHERE {_KEY}", _key(hold)).fetchone()  # noqa: S608
    if row is not None:
        return Decimal(row[0]), Decimal(row[1])
    return ZERO if hold.limit is None else _spent_before(connection, hold.limit.span), ZERO


def _write(connection: sqlite3.Connection, hold: Hold, spent: Decimal, reserved: Decimal) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO budgets (name, period, scope, currency, spent, reserved) VALUES (?, ?, ?, ?, ?, ?)",
        (*_key(hold), plain(spent), plain(reserved)),
    )


def _spent_before(connection: sqlite3.Connection, span: Span) -> Decimal:
    """What the attempts that a budget is about come to; one that is open, with what it can cost at most."""
    terms = [("started_at >= ?", span.since), ("started_at < ?", span.until), ("profile = ?", span.profile)]
    given = [(term, value) for term, value in terms if value is not None]
    clause = " AND ".join(["kind = 'attempt'", *(term for term, _ in given)])
    total = ZERO
    for sent, amount, estimate, currency, tags in connection.execute(
        f"SELECT sent, amount, estimate, currency, tags FROM attempts WHERE {clause}",  # noqa: S608
        [value for _, value in given],
    ):
        text = amount if amount is not None else estimate
        if text is None or currency is None or sent in {"not_sent", "rejected"}:
            continue
        if span.tag is not None and json.loads(tags).get(span.tag[0]) != span.tag[1]:
            continue
        rate = span.rate(currency)
        if rate is not None:
            total = EXACT.add(total, EXACT.multiply(Decimal(text), rate))
    return total

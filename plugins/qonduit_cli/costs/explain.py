"""`qonduit cost explain`: the bill of one call, line by line."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from qonduit_cli.costs.figures import NAMES, exact
from qonduit_cli.costs.period import Zone
from qonduit_cli.costs.report import Sums
from qonduit_cli.costs.rows import LedgerFile, Row, money, tags_of
from qonduit_cli.costs.text import sums_as_json
from qonduit_cli.failures import UsageError
from qonduit_cli.output import aligned, note, one_line, say, write
from qonduit_cost.currency import EXACT


def call_of(ledger: LedgerFile, identity: str) -> list[Row]:
    """The rows of the call that `identity` means. Raises: UsageError when it means no call, or several."""
    calls = ledger.calls(identity)
    if not calls:
        raise UsageError(
            f"{ledger.path} has no row, call or request {identity}. An ID is a row's number, a call's id or its first "
            "four digits or more, or the provider's request id."
        )
    if len(calls) > 1:
        shown = ", ".join(call[:12] for call in calls[:8])
        raise UsageError(f"{identity} may be one of {len(calls)} calls: {shown}{' …' * (len(calls) > 8)}")
    return ledger.call(calls[0])


def bill(rows: Sequence[Row]) -> dict[str, Any]:
    """What a call is charged for, as JSON: times are UTC, amounts text with every digit."""
    return {
        "call_id": rows[0].call_id,
        "rows": [
            {
                **row._asdict(),
                "streamed": bool(row.streamed),
                "tags": dict(tags_of(row.tags)),
                "parts": [
                    {**part, "unit_price": exact(part["unit_price"]), "amount": exact(part["amount"])}
                    for part in _parts(row)
                ],
            }
            for row in rows
        ],
        "total": sums_as_json(_sums(rows)),
    }


def explain(rows: Sequence[Row], zone: Zone) -> None:
    """Print what a call is charged for."""
    _print_call(rows, zone)
    for row in rows:
        say()
        _print_row(row)
    if len(rows) > 1:
        say()
        _print_total(rows)


def _print_call(rows: Sequence[Row], zone: Zone) -> None:
    first = rows[0]
    how = " streamed" if first.streamed else ""
    say(f"call {first.call_id}: {first.operation}{how}, profile {first.profile}, tags {_tags(first.tags)}")
    say(f"started {_when(first.started_at, zone)}")
    aligned(
        ("ROW", "ATTEMPT", "OUTCOME", "STATUS", "SECONDS", "PROVIDER", "MODEL", "REQUEST ID"),
        [
            (
                str(row.id),
                "-" if row.kind == "hit" else str(row.attempt),
                _outcome(row),
                "-" if row.status is None else str(row.status),
                _seconds(row),
                row.provider + (f" ({row.region})" if row.region else ""),
                row.model or row.response_model or "-",
                row.request_id or "-",
            )
            for row in rows
        ],
        right=(0, 1, 3, 4),
    )


def _outcome(row: Row) -> str:
    if row.state == "intent":
        return "open"
    sent = f" ({row.sent.replace('_', ' ')})" if row.sent else ""
    return f"{row.outcome or '-'}{sent}"


def _print_row(row: Row) -> None:
    what = "from the cache" if row.kind == "hit" else f"attempt {row.attempt}, {_outcome(row)}"
    say(f"row {row.id}, {what}")
    if row.error:
        _detail(f"error: {row.error}")
    _print_parts(row)
    currency = f" {row.currency}" if row.currency else ""
    amount = money(row, "amount")
    if row.state == "intent":
        aside = money(row, "estimate")
        _detail(
            "not settled: it is under way, or its process ended; "
            + ("nothing was set aside" if aside is None else f"{exact(aside)}{currency} was set aside")
        )
    elif amount is not None:
        _detail(f"= {exact(amount)}{currency}, {NAMES.get(row.provenance, row.provenance)}")
    else:
        _detail("= unknown")
    saved = money(row, "saved")
    if saved is not None:
        _detail(f"saved: {exact(saved)}{currency}")
    if row.reason:
        _detail(f"because: {row.reason}")
    if row.source:
        _detail(f"prices: {row.source}")


def _print_parts(row: Row) -> None:
    parts = _parts(row)
    aligned_parts = [
        (
            "",
            part["kind"].replace("_", " "),
            f"{part['quantity']:,}",
            f"x {exact(part['unit_price'])} per million",
            f"= {exact(part['amount'])} {row.currency or ''}",
            part["tier"] or "",
        )
        for part in parts
    ]
    if aligned_parts:
        aligned(aligned_parts[0], aligned_parts[1:], right=(2, 3))
    amount = money(row, "amount")
    total = Decimal(0)
    for part in parts:
        total = EXACT.add(total, part["amount"])
    if parts and amount is not None and row.kind != "hit" and total != amount:
        note("warning", f"row {row.id}: its parts come to {exact(total)}, not to its amount.")


def _parts(row: Row) -> Sequence[Mapping[str, Any]]:
    """The parts as they should be; one that is not is left out with a warning."""
    try:
        parts = [
            {
                "kind": str(part["kind"]),
                "quantity": int(part["quantity"]),
                "unit_price": Decimal(part["unit_price"]),
                "amount": Decimal(part["amount"]),
                "tier": part.get("tier"),
            }
            for part in json.loads(row.parts or "[]")
        ]
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
        note("warning", f"row {row.id}: its parts cannot be read.")
        return []
    return parts


def _print_total(rows: Sequence[Row]) -> None:
    sums = _sums(rows)
    amounts = " + ".join(f"{exact(amount)} {currency}" for currency, amount in sorted(sums.cost.items()))
    unknown = f", and {sums.unknown} of unknown cost" if sums.unknown else ""
    say(f"the call: {amounts or '0'} in {sums.attempts} attempts{unknown}")


def _sums(rows: Sequence[Row]) -> Sums:
    sums = Sums()
    for row in rows:
        sums.add(row)
    return sums


def _detail(text: str) -> None:
    write(f"  {one_line(text)}\n")


def _tags(text: str) -> str:
    return ", ".join(f"{name}={value}" for name, value in tags_of(text).items()) or "none"


def _when(stamp: str, zone: Zone) -> str:
    try:
        return zone.local(datetime.datetime.fromisoformat(stamp)).isoformat(sep=" ", timespec="milliseconds")
    except ValueError:
        return stamp


def _seconds(row: Row) -> str:
    try:
        started = datetime.datetime.fromisoformat(row.started_at)
        settled = datetime.datetime.fromisoformat(row.settled_at or "")
    except ValueError:
        return "-"
    return f"{(settled - started).total_seconds():.3f}"

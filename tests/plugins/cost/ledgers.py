"""Rows for a ledger, and what a ledger has of them, read as any SQLite tool would."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from qonduit_cost.entry import Entry, Intent, Settlement, now, settled
from qonduit_cost.hold import Hold, write_holds


def entry(call: str = "c" * 32, *holds: Hold, **fields: Any) -> Entry:
    """What is known of an attempt before it is sent."""
    known: dict[str, Any] = {
        "call_id": call,
        "attempt": 1,
        "kind": "attempt",
        "started_at": now(),
        "profile": "qwen",
        "provider": "qwen",
        "region": "cn-beijing",
        "operation": "chat",
        "model": "qwen-plus",
        "streamed": 0,
        "tags": "{}",
        "tenant": "t",
        "estimate": f"{holds[0].amount:f}" if holds else None,
        "currency": holds[0].currency if holds else None,
        "provenance": "estimated" if holds else "unknown",
        "held": write_holds(holds),
    }
    return Entry(Intent(**{**known, **fields}), holds)


def answered(amount: str | None = "0.5", **fields: Any) -> Settlement:
    """How an attempt ended that was answered."""
    return settled("answered", "exact", amount=amount, currency="CNY", **fields)


def rows(path: Path | str, table: str = "attempts") -> list[dict[str, Any]]:
    """All rows of a table or view."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")]


def counter(path: Path | str) -> dict[str, tuple[Decimal, Decimal]]:
    """What is spent and set aside, by budget and scope."""
    return {
        f"{row['name']} {row['scope']}".strip(): (Decimal(row["spent"]), Decimal(row["reserved"]))
        for row in rows(path, "budgets")
    }


def script(source: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a Python program of the test's own."""
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(source), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


PRELUDE = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from tests.plugins.cost.ledgers import *
    from qonduit_cost.ledger import *
    from qonduit_cost.sqlite import SQLiteLedger
    """
)

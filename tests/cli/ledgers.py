"""Ledgers for tests: files with the rows that are wanted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qonduit_cost.schema import APPLICATION, SCHEMA, VERSION

SETTLED = {
    "attempt": 1,
    "kind": "attempt",
    "state": "settled",
    "outcome": "answered",
    "started_at": "2026-11-20T12:00:00.000Z",
    "settled_at": "2026-11-20T12:00:01.500Z",
    "profile": "qwen",
    "provider": "qwen",
    "region": "cn-beijing",
    "operation": "chat",
    "model": "qwen-plus",
    "streamed": 0,
    "tags": "{}",
    "tenant": "t",
    "process": 0,
    "input_tokens": 100,
    "output_tokens": 10,
    "amount": "0.0001",
    "currency": "CNY",
    "provenance": "exact",
}
"""An attempt that was answered."""
HIT = SETTLED | {"attempt": 0, "kind": "hit", "outcome": "cached", "amount": "0", "saved": "0.0001"}
"""An answer from the cache."""
OPEN = SETTLED | {
    "state": "intent",
    "outcome": None,
    "settled_at": None,
    "amount": None,
    "provenance": "estimated",
    "estimate": "0.02",
    "input_tokens": None,
    "output_tokens": None,
}
"""An attempt that has been started and not settled."""
UNKNOWN = SETTLED | {"amount": None, "currency": None, "provenance": "unknown", "reason": "no price of 'mine' is known"}
"""An attempt whose cost nobody knows."""
REFUSED = SETTLED | {
    "outcome": "failed",
    "sent": "rejected",
    "status": 429,
    "input_tokens": None,
    "output_tokens": None,
    "amount": "0",
    "currency": None,
    "reason": "it was refused",
}
"""An attempt that the provider refused."""


def day(date: str, time: str = "12:00") -> dict[str, str]:
    """When a row was started, UTC."""
    return {"started_at": f"{date}T{time}:00.000Z"}


def tags(**given: str) -> dict[str, str]:
    """Tags as the ledger has them."""
    return {"tags": json.dumps(given, sort_keys=True, ensure_ascii=False)}


def write_ledger(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """A ledger with these rows; each is a call of its own unless it says of which it is."""
    with sqlite3.connect(path) as connection:
        marks = f"PRAGMA user_version = {VERSION}; PRAGMA application_id = {APPLICATION}; PRAGMA journal_mode = WAL"
        connection.executescript(f"{SCHEMA}; {marks}")
        for number, row in enumerate(rows, start=1):
            values = {"call_id": f"{number:032x}", **row}
            names = ", ".join(values)
            marks = ", ".join(f":{name}" for name in values)
            connection.execute(f"INSERT INTO attempts ({names}) VALUES ({marks})", values)
    connection.close()
    return path

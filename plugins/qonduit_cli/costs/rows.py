"""Rows: what a ledger's file says of the attempts and cache hits that a report is about. Reads, never writes."""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from qonduit.errors import ConfigurationError
from qonduit_cost.entry import stamp
from qonduit_cost.schema import APPLICATION, VERSION

BUSY_SECONDS = 5.0
"""How long a file may be held by a writer that is mending it; otherwise readers do not wait for writers."""


class Row(NamedTuple):
    """One attempt or hit; the columns are the ledger's, of each call in the order of time."""

    id: int
    call_id: str
    attempt: int
    kind: str
    state: str
    outcome: str | None
    sent: str | None
    started_at: str
    settled_at: str | None
    profile: str
    provider: str
    region: str | None
    operation: str
    model: str | None
    response_model: str | None
    streamed: int
    tags: str
    request_id: str | None
    status: int | None
    error: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    explicit_cached_tokens: int | None
    reasoning_tokens: int | None
    amount: str | None
    currency: str | None
    provenance: str
    reason: str | None
    source: str | None
    parts: str | None
    estimate: str | None
    saved: str | None

    @property
    def unbilled(self) -> bool:
        """Whether nothing can have been charged: it was not sent, or it was refused."""
        return self.outcome == "failed" and self.sent in ("not_sent", "rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which rows are wanted: all that agree with each of these. `since` is inclusive, `until` is not; both are UTC."""

    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    profile: str | None = None
    model: str | None = None
    tags: Mapping[str, str]

    def clause(self, time: str = "started_at") -> tuple[str, list[str]]:
        """The condition as SQL, but for the tags, and its arguments; `time` is the column that the limits are for."""
        terms = [
            (f"{time} >= ?", None if self.since is None else stamp(self.since)),
            (f"{time} < ?", None if self.until is None else stamp(self.until)),
            ("profile = ?", self.profile),
            ("coalesce(model, response_model) = ?", self.model),
        ]
        given = [(term, value) for term, value in terms if value is not None]
        return " AND ".join(["1", *(term for term, _ in given)]), [value for _, value in given]

    def agree(self, tags: str) -> bool:
        """Whether a row with these tags has all that are wanted."""
        return not self.tags or self.tags.items() <= tags_of(tags).items()


class LedgerFile:
    """An open ledger. Everything is read from one snapshot: calls that end meanwhile are not in it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def rows(self, filters: Filters) -> Iterator[Row]:
        """The rows that are wanted. Raises: ConfigurationError when the file is damaged."""
        clause, arguments = filters.clause()
        for row in self._select(f"{clause} ORDER BY started_at, id", arguments):
            if filters.agree(row.tags):
                yield row

    def span(self, filters: Filters) -> tuple[str, str] | None:
        """The times of the first and the last row, without regard to tags; None without rows."""
        clause, arguments = filters.clause()
        with _explained(self.path):
            first, last = self._connection.execute(
                f"SELECT min(started_at), max(started_at) FROM attempts WHERE {clause}",  # noqa: S608
                arguments,
            ).fetchone()
        return None if first is None else (first, last)

    def lost(self, filters: Filters) -> int:
        """How many attempts could be written nowhere, as was noticed between the limits of time."""
        limits = Filters(since=filters.since, until=filters.until, tags={})
        clause, arguments = limits.clause("noticed_at")
        with _explained(self.path):
            (count,) = self._connection.execute(
                f"SELECT coalesce(sum(attempts), 0) FROM losses WHERE {clause}",  # noqa: S608
                arguments,
            ).fetchone()
        return int(count)

    def open(self) -> int:
        """How many attempts have been started and not settled."""
        with _explained(self.path):
            (count,) = self._connection.execute("SELECT count(*) FROM attempts WHERE state = 'intent'").fetchone()
        return int(count)

    def calls(self, identity: str) -> list[str]:
        """The ids of the calls that `identity` may mean: a row's id, a call's or its beginning, a request's."""
        exact = "SELECT DISTINCT call_id FROM attempts WHERE id = ? OR call_id = ? OR request_id = ?"
        number = int(identity) if identity.isascii() and identity.isdecimal() and len(identity) < 19 else -1
        with _explained(self.path):
            found = self._connection.execute(exact, (number, identity, identity)).fetchall()
            if not found and len(identity) >= 4:
                begun = "SELECT DISTINCT call_id FROM attempts WHERE substr(call_id, 1, ?) = ?"
                found = self._connection.execute(begun, (len(identity), identity.lower())).fetchall()
        return [call for (call,) in found]

    def call(self, call_id: str) -> list[Row]:
        """The rows of one call, in their order."""
        return list(self._select("call_id = ? ORDER BY id", [call_id]))

    def _select(self, condition: str, arguments: list[str]) -> Iterator[Row]:
        columns = ", ".join(Row._fields)
        with _explained(self.path):
            for values in self._connection.execute(
                f"SELECT {columns} FROM attempts WHERE {condition}",  # noqa: S608  # columns and conditions of this module
                arguments,
            ):
                yield Row._make(values)


@contextmanager
def open_ledger(path: Path) -> Iterator[LedgerFile]:
    """Open a ledger for reading. Raises: ConfigurationError when it is none, or one of a newer qonduit."""
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder; name the ledger's file.")
    if not path.exists():
        raise ConfigurationError(
            f"There is no ledger {path} yet. The first call of a profile with the plugin 'cost' and its option "
            "'ledger' writes it; name another with --ledger."
        )
    with _explained(path):
        address = f"{path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        with _explained(path):
            connection.execute("BEGIN")
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION:
            raise ConfigurationError(f"{path} is a SQLite file, but no ledger of qonduit's. Name another.")
        if version > VERSION:
            raise ConfigurationError(
                f"{path} was written by a newer qonduit (schema {version}, this one reads {VERSION}). Upgrade qonduit."
            )
        yield LedgerFile(path, connection)
    finally:
        connection.close()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path} cannot be read as a ledger: {error}.") from None


@lru_cache(maxsize=4096)
def tags_of(text: str) -> Mapping[str, str]:
    """The tags of a row; none where they are not the object that they should be."""
    try:
        tags = json.loads(text)
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in tags.items()} if isinstance(tags, dict) else {}


def money(row: Row, column: str) -> Decimal | None:
    """An amount of a row. Raises: ConfigurationError when it is no number."""
    text = getattr(row, column)
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except (InvalidOperation, TypeError, ValueError):
        amount = Decimal("nan")
    if not amount.is_finite():
        raise ConfigurationError(f"Row {row.id} of the ledger: its {column} is no number. Mend or remove it.")
    return amount

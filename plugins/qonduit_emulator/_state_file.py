"""The books in a SQLite file, for `--state`.

Rules:

1. One process owns the file: it is locked from the opening to the end, so nothing can be counted twice.
2. Every change is one short transaction; none lasts while a call is answered.
3. The journal is a write-ahead log with `synchronous=NORMAL`: what was committed survives the end of the
   process, `kill -9` included, for the log's pages are then the operating system's. Only a power failure may
   take the last moments, and never the file's integrity; `FULL` would make every call wait for the disk twice.
4. A call that was open when the process ended is settled at what it had reserved: its answer may have reached
   the client, and a quota is not oversold.

Keys are kept as they are: an emulator's keys open nothing but the emulator. The file is made readable for
its owner only.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from qonduit_emulator._state import CallRow, Kind, Records, StateError, UsageRow

APPLICATION_ID = 0x716F6E64
SCHEMA_VERSION = 1
LOCK_TIMEOUT_SECONDS = 0.5
"""How long the opening waits for another process to let go of the file."""

_SCHEMA = """
CREATE TABLE records (kind TEXT, name TEXT, record TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE configured (kind TEXT, name TEXT, record TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE usage (
    account TEXT, model TEXT, requests INTEGER NOT NULL, day INTEGER NOT NULL, day_requests INTEGER NOT NULL,
    free_tokens INTEGER NOT NULL, paid_tokens INTEGER NOT NULL, PRIMARY KEY (account, model)
) WITHOUT ROWID;
CREATE TABLE calls (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, model TEXT NOT NULL, at REAL NOT NULL,
    free_tokens INTEGER NOT NULL, paid_tokens INTEGER NOT NULL, open INTEGER NOT NULL
);
CREATE INDEX calls_by_time ON calls (open, at);
"""

_COUNT_CALL = """
INSERT INTO usage VALUES (?, ?, 1, ?, ?, 0, 0)
ON CONFLICT DO UPDATE SET requests = requests + 1, day = excluded.day, day_requests = excluded.day_requests
"""
_CHARGE = """
INSERT INTO usage SELECT account, model, 0, 0, 0, :free, :paid FROM calls WHERE id = :id
ON CONFLICT DO UPDATE
SET free_tokens = free_tokens + excluded.free_tokens, paid_tokens = paid_tokens + excluded.paid_tokens
"""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _named(
    method: Callable[Concatenate[StateFile, _Arguments], _Result],
) -> Callable[Concatenate[StateFile, _Arguments], _Result]:
    """Turn SQLite's errors into ones that name the file."""

    def call(self: StateFile, /, *arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        try:
            return method(self, *arguments, **named)
        except sqlite3.Error as error:
            raise StateError(f"{self.path}: the state cannot be kept: {error}") from error

    return call


class StateFile:
    """An open state file. Not safe to use from two threads at once."""

    def __init__(self, path: Path) -> None:
        """Open a file, or make one.

        Raises:
            StateError: it is locked, read-only, no state file, or from a newer version.
        """
        self.path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StateError(f"{path}: the state file cannot be opened: {error.strerror}") from None
        self._connection = sqlite3.connect(
            path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise StateError(f"{path}: {_explain(error)}") from error
        except StateError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA locking_mode=EXCLUSIVE")
        run("PRAGMA synchronous=NORMAL")
        application = run("PRAGMA application_id").fetchone()[0]
        version = run("PRAGMA user_version").fetchone()[0]
        empty = run("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not (empty and application == 0) and application != APPLICATION_ID:
            raise StateError(f"{self.path}: this is a database of another program, not an emulator's state")
        if version > SCHEMA_VERSION:
            raise StateError(f"{self.path}: written by a newer version of the emulator; it is left as it is")
        run("PRAGMA journal_mode=WAL")
        with self._transaction():
            if empty:
                for statement in _SCHEMA.split(";"):
                    run(statement)
                run(f"PRAGMA application_id={APPLICATION_ID}")
                run(f"PRAGMA user_version={SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            yield run
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                run("ROLLBACK")
            raise

    @_named
    def load_records(self) -> tuple[Records, Records]:
        """All accounts and keys; and what the configuration last said of each."""
        run = self._connection.execute
        return (
            {(kind, name): json.loads(record) for kind, name, record in run("SELECT * FROM records")},
            {(kind, name): json.loads(record) for kind, name, record in run("SELECT * FROM configured")},
        )

    @_named
    def save_record(self, kind: Kind, name: str, record: Mapping[str, Any], *, configured: bool) -> None:
        """Keep an account or a key."""
        row = (kind, name, json.dumps(record))
        with self._transaction() as run:
            run("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", row)
            if configured:
                run("INSERT OR REPLACE INTO configured VALUES (?, ?, ?)", row)

    @_named
    def remove_record(self, kind: Kind, name: str) -> None:
        """Forget an account or a key."""
        with self._transaction() as run:
            run("DELETE FROM records WHERE kind = ? AND name = ?", (kind, name))

    @_named
    def load_usage(self) -> tuple[Sequence[UsageRow], Sequence[CallRow]]:
        """The totals and the calls of late, after settling what the last process left open."""
        with self._transaction() as run:
            left_open = run("SELECT id, free_tokens, paid_tokens FROM calls WHERE open").fetchall()
            for call_id, free, paid in left_open:
                run(_CHARGE, {"id": call_id, "free": free, "paid": paid})
            run("UPDATE calls SET open = 0 WHERE open")
        columns = "id, account, model, at, free_tokens, paid_tokens"
        calls = self._connection.execute(f"SELECT {columns} FROM calls ORDER BY at, id")  # noqa: S608 - ours
        usage = self._connection.execute("SELECT * FROM usage")
        return [UsageRow(*row) for row in usage], [CallRow(*row) for row in calls]

    @_named
    def open_call(self, call: CallRow, day: int, day_requests: int) -> None:
        """Keep a call that begins, and count it."""
        row = (call.id, call.account, call.model, call.at, call.free_tokens, call.paid_tokens)
        with self._transaction() as run:
            run("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, 1)", row)
            run(_COUNT_CALL, (call.account, call.model, day, day_requests))

    @_named
    def settle_call(self, call_id: int, free_tokens: int, paid_tokens: int, forget_before: float) -> None:
        """Charge a call that ends."""
        with self._transaction() as run:
            run(_CHARGE, {"id": call_id, "free": free_tokens, "paid": paid_tokens})
            run(
                "UPDATE calls SET open = 0, free_tokens = ?, paid_tokens = ? WHERE id = ?",
                (free_tokens, paid_tokens, call_id),
            )
            run("DELETE FROM calls WHERE NOT open AND at <= ?", (forget_before,))

    @_named
    def reset_usage(self, account: str) -> None:
        """Forget what an account has used; calls under way stay open."""
        with self._transaction() as run:
            run("DELETE FROM usage WHERE account = ?", (account,))
            run("DELETE FROM calls WHERE account = ? AND NOT open", (account,))

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        self._connection.close()


def _explain(error: sqlite3.Error) -> str:
    match getattr(error, "sqlite_errorname", ""):
        case "SQLITE_BUSY" | "SQLITE_LOCKED":
            return "the state file is in use by another emulator; a file belongs to one at a time"
        case "SQLITE_NOTADB" | "SQLITE_CORRUPT":
            return f"this is no state file, or it is damaged: {error}"
        case name if name.startswith("SQLITE_READONLY"):
            return "the state file is read-only"
        case _:
            return f"the state file cannot be used: {error}"

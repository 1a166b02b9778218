"""Database: a ledger's SQLite file, opened and made ready; its transactions, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qonduit_cost.ledger import LedgerError
from qonduit_cost.schema import APPLICATION, SCHEMA, VERSION

MOST_PAGES = 16_000
"""Pages of the log after which SQLite empties it by itself, in the middle of a call, if nobody has done so before."""


def connect(path: Path | None, *, power: bool) -> sqlite3.Connection:
    """A connection that does not wait; the file is made where there is none. `path` None: in memory.

    Raises: OSError; sqlite3.Error; LedgerError for a file that is no ledger, or one of a newer version.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):  # opening one that is there, and closing it, would drop SQLite's locks
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(path or ":memory:", timeout=0, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path, power=power)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the file for writing; all of it is written, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_busy(error: Exception) -> bool:
    """Whether others held the file."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def explained(path: Path | None, error: Exception) -> LedgerError:
    """What is wrong with the file, and the mend."""
    code = getattr(error, "sqlite_errorcode", None)
    words = _WORDS.get(code & 0xFF) if code is not None else None
    if words is None:
        words = f"cannot be used ({error}); look at the file, or name another"
    return LedgerError(f"The ledger {path} {words}.")


_WORDS = {
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full; make room",
    sqlite3.SQLITE_READONLY: "cannot be written: make the file and its folder writable for this user",
    sqlite3.SQLITE_PERM: "cannot be opened: make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: make its folder writable for this user, or name another file",
    sqlite3.SQLITE_NOTADB: "is no SQLite file; name another, or move it away",
    sqlite3.SQLITE_CORRUPT: "is damaged; save what is left with 'sqlite3 FILE .recover', and name another file",
    sqlite3.SQLITE_IOERR: "cannot be written: the disk has failed or is full, or files may not grow any more",
}


def _prepare(connection: sqlite3.Connection, path: Path | None, *, power: bool) -> None:
    marks = _marks(connection)
    if marks == (0, 0) and connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            if _marks(connection) == (0, 0):  # no other process was faster
                for statement in SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
        marks = _marks(connection)
    if marks[0] != APPLICATION:
        raise LedgerError(f"{path} is a SQLite file, but no ledger of qonduit's. It is left as it is; name another.")
    if marks[1] > VERSION:
        raise LedgerError(
            f"The ledger {path} was written by a newer qonduit (schema {marks[1]}, this one knows {VERSION}). "
            "Upgrade qonduit, or name another file."
        )
    connection.execute(f"PRAGMA synchronous = {'FULL' if power else 'NORMAL'}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {MOST_PAGES}")


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    names = ("application_id", "user_version")
    first, second = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return first, second

"""SQLiteLedger: the ledger in one SQLite file, for all threads and processes of a machine. Exact, also under `kill -9`.

The file is private to its user (0600) and in WAL mode: readers are never in the way. One connection serves all threads
of a ledger, one at a time; it is closed before a fork, since SQLite's locks do not survive one.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from qonduit import BudgetExceededError
from qonduit_cost import attempts, counters, database, membership, spool
from qonduit_cost.entry import Entry, Intent, Settlement, abandoned, now
from qonduit_cost.hold import Hold, read_holds
from qonduit_cost.ledger import LedgerBusyError, LedgerError

T = TypeVar("T")

TIDY_EVERY = 2000
"""Transactions after which the write-ahead log is moved into the file: some 20 MB."""


class SQLiteLedger:
    """See `Ledger`. `path` None keeps it in memory. With `power` a row that was written survives a power cut.

    `self.member` is this writer's number among those of the file; None before the file was opened, and in memory.
    `self.settled_gone` counts the attempts of writers that are gone which this object has settled.
    """

    def __init__(self, path: Path | None, *, power: bool = False) -> None:
        self.path = None if path is None else path.expanduser().absolute()
        self.member: membership.Member | None = None
        self.settled_gone = 0
        self._power = power
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None  # of all rows, so that none is made for each
        self._open_ids: set[int] = set()
        self._writes = 0
        self._forking = False
        _ALL.add(self)

    @property
    def quick(self) -> bool:
        """See `Ledger`: not before the file is open, and not where each row waits for the disk."""
        return self._connection is not None and not self._power

    @property
    def untidy(self) -> bool:
        """See `Ledger`."""
        return self._writes >= TIDY_EVERY

    def begin(self, entry: Entry, wait: float) -> None:
        """See `Ledger`. Before a budget refuses, what processes that are gone had set aside is settled."""
        if not entry.holds:
            self._write(wait, self._open_row, entry)
            return
        try:
            self._begin_counted(entry, wait)
        except BudgetExceededError:
            if self.path is None or not self._write(wait, self._settle_gone):
                raise
            self._begin_counted(entry, wait)

    def _begin_counted(self, entry: Entry, wait: float) -> None:
        """`_begin`; budgets that are new to the ledger are added up first, while others go on writing."""
        try:
            self._write(wait, self._begin, entry, _NOTHING_BEFORE)
        except counters.UncountedError as new:
            if not wait:
                raise LedgerBusyError(f"The ledger {self.path} has to add up what was spent of a new budget.") from None
            self._write(wait, self._begin, entry, self._count_before(new.holds, wait))

    def _count_before(self, holds: Sequence[Hold], wait: float) -> dict[counters.Key, counters.Before]:
        spans = [(counters.key_of(hold), hold.limit.span) for hold in holds if hold.limit is not None]
        if self.path is None:
            return {key: self._write(wait, counters.count_before, span) for key, span in spans}
        try:
            with closing(sqlite3.connect(self.path, timeout=wait)) as connection:
                return {key: counters.count_before(connection, span) for key, span in spans}
        except sqlite3.Error as error:
            raise database.explained(self.path, error) from error

    def settle(self, entry: Entry, settlement: Settlement, wait: float) -> None:
        """See `Ledger`."""
        self._write(wait, self._settle if entry.holds else self._settle_row, entry, settlement)

    def settle_gone(self, wait: float) -> None:
        """Settle what writers left open that are gone, and write what they left in spools. Raises: LedgerError.

        The first access to a file does this too.
        """
        self._write(wait, self._settle_gone)

    def catch_up(self, batch: str, entries: Sequence[Entry], lost: int, wait: float) -> None:
        """See `Ledger`."""
        self._write(wait, self._catch_up, batch, entries, lost)

    def tidy(self) -> None:
        """See `Ledger`. What cannot be done now is done another time."""
        with suppress(LedgerError):
            self._write(0, self._tidy)

    def close(self) -> None:
        """See `Ledger`."""
        with self._lock:
            if self._connection is not None and self.member is not None and not self._open_ids:
                with suppress(sqlite3.Error):
                    self._connection.execute("DELETE FROM processes WHERE id = ?", (self.member.id,))
                    self.member.leave()
                    self.member = None
            self._drop()

    def _write(self, wait: float, work: Callable[..., T], *args: Any) -> T:
        """`work` on the connection, for one thread at a time; tried again while other processes hold the file.

        SQLite's own way of waiting sleeps longer each time, up to a tenth of a second: under load some would wait for
        all of it. What is waited for here takes microseconds.
        """
        until = time.monotonic() + wait if wait else 0.0
        if not (self._lock.acquire(timeout=wait) if wait else self._lock.acquire(blocking=False)):
            raise LedgerBusyError(f"The ledger {self.path} is busy: other threads held it for {wait:g} s.")
        try:
            while True:
                try:
                    return work(self._connection or self._open(), *args)
                except (sqlite3.Error, OSError) as error:
                    if not database.is_busy(error):
                        self._drop()
                        raise database.explained(self.path, error) from error
                    if time.monotonic() >= until:
                        raise LedgerBusyError(
                            f"The ledger {self.path} is locked: another process held it for {wait:g} s."
                        ) from None
                time.sleep(random.uniform(0.0002, 0.002))  # noqa: S311
        finally:
            self._lock.release()

    def _begin(
        self, connection: sqlite3.Connection, entry: Entry, before: Mapping[counters.Key, counters.Before]
    ) -> None:
        if entry.void:
            return
        with database.transaction(connection):
            warnings = counters.set_aside(connection, entry, before)
            number = self._insert(connection, entry)
        entry.warnings += warnings
        entry.id = number
        self._open_ids.add(number)

    def _open_row(self, connection: sqlite3.Connection, entry: Entry) -> None:
        """`_begin` without holds: one statement is a transaction of its own."""
        if not entry.void:
            entry.id = self._insert(connection, entry)
            self._open_ids.add(entry.id)

    def _insert(self, connection: sqlite3.Connection, entry: Entry) -> int:
        self._writes += 1
        return attempts.begin(self._rows(connection), entry.intent, self._number)

    def _rows(self, connection: sqlite3.Connection) -> sqlite3.Cursor:
        """The cursor that writes rows."""
        if self._cursor is None:
            self._cursor = connection.cursor()
        return self._cursor

    @property
    def _number(self) -> int:
        return self.member.id if self.member is not None else 0

    def _settle(self, connection: sqlite3.Connection, entry: Entry, settlement: Settlement) -> None:
        with database.transaction(connection):
            number = self._settle_within(connection, entry, settlement)
        entry.id = number
        self._open_ids.discard(number)

    def _settle_row(self, connection: sqlite3.Connection, entry: Entry, settlement: Settlement) -> None:
        """`_settle` without holds."""
        entry.id = self._settle_within(connection, entry, settlement)
        self._open_ids.discard(entry.id)

    def _settle_within(self, connection: sqlite3.Connection, entry: Entry, settlement: Settlement) -> int:
        """Returns the row's id: once it is the entry's, settling it again changes nothing."""
        self._writes += 1
        if entry.id is None:
            number = attempts.add(self._rows(connection), entry.intent, settlement, self._number)
            counters.charge(connection, entry, settlement, held=False)
            return number
        if attempts.settle(self._rows(connection), entry.id, settlement):
            counters.charge(connection, entry, settlement, held=True)
        return entry.id

    def _catch_up(self, connection: sqlite3.Connection, batch: str, entries: Sequence[Entry], lost: int) -> None:
        opened: list[tuple[Entry, int]] = []
        ended: list[tuple[Entry, int]] = []
        with database.transaction(connection):
            done = connection.execute("INSERT OR IGNORE INTO spools VALUES (?, ?, ?)", (batch, now(), len(entries)))
            if not done.rowcount:
                return
            for entry in entries:
                settlement = entry.settlement  # another thread may be about to settle it
                if settlement is not None:
                    ended.append((entry, self._settle_within(connection, entry, settlement)))
                else:
                    counters.set_aside(connection, entry, {}, check=False)
                    opened.append((entry, self._insert(connection, entry)))
            if lost:
                reason = "neither the ledger nor its spool file could be written"
                connection.execute(
                    "INSERT INTO losses (noticed_at, attempts, reason) VALUES (?, ?, ?)", (now(), lost, reason)
                )
        for entry, number in opened:
            entry.id = number
            self._open_ids.add(number)
        for entry, number in ended:
            entry.id = number
            self._open_ids.discard(number)

    def _settle_gone(self, connection: sqlite3.Connection) -> int:
        """Settle what writers left open that are no more; how many attempts there were."""
        if self.member is None:
            return 0
        writers = connection.execute("SELECT id, last_attempt FROM processes").fetchall()
        gone = [(number, last) for number, last in writers if self.member.gone(number)]
        if not gone:
            return 0
        count = 0
        columns = ", ".join(("id", *Intent._fields))
        with database.transaction(connection):
            for number, last in gone:
                rows = connection.execute(
                    f"SELECT {columns} FROM attempts WHERE id > ? AND process = ? AND state = 'intent'",  # noqa: S608
                    (last, number),
                ).fetchall()
                for row in rows:
                    intent = Intent._make(row[1:])
                    entry = Entry(intent, read_holds(intent.held), row[0])
                    self._settle_within(connection, entry, abandoned(intent))
                connection.execute("DELETE FROM processes WHERE id = ?", (number,))
                count += len(rows)
        self.settled_gone += count
        return count

    def _tidy(self, connection: sqlite3.Connection) -> None:
        self._writes = 0
        if self.member is not None:
            # So that who finds this process gone need not look at all that it ever wrote.
            last = "(SELECT coalesce(max(id), 0) FROM attempts)"
            oldest = min(self._open_ids, default=None)
            connection.execute(
                f"UPDATE processes SET last_attempt = {last if oldest is None else '?'} WHERE id = ?",  # noqa: S608
                (self.member.id,) if oldest is None else (oldest - 1, self.member.id),
            )
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _open(self) -> sqlite3.Connection:
        connection = database.connect(self.path, power=self._power)
        try:
            if self.path is not None:
                self._register(connection, self.path)
        except BaseException:
            self._cursor = None
            connection.close()
            raise
        self._connection = connection
        return connection

    def _register(self, connection: sqlite3.Connection, path: Path) -> None:
        """Become a member; take down what those left in spools who are gone, and settle what they left open."""
        if self.member is None:
            self.member = membership.join(path.with_name(path.name + "-members"))
        connection.execute(
            "INSERT OR IGNORE INTO processes SELECT ?, ?, coalesce(max(id), 0) FROM attempts", (self.member.id, now())
        )
        for file in spool.files(path):
            if self.member.gone(spool.member_of(file)):
                entries, torn = spool.read(file)
                for entry in entries:
                    entry.settlement = entry.settlement or abandoned(entry.intent)
                self._catch_up(connection, file.name, entries, torn)
                file.unlink(missing_ok=True)
        self._settle_gone(connection)

    def _drop(self) -> None:
        if self._connection is not None and self.path is not None:
            connection, self._connection, self._cursor = self._connection, None, None
            connection.close()

    def before_fork(self) -> None:
        """Close the connection, and keep others from opening one."""
        self._forking = self._lock.acquire(timeout=1)  # a signal handler that forks may have interrupted a holder
        if self._forking:
            self._drop()

    def after_fork(self, *, child: bool) -> None:
        """Go on; a child is a writer of its own."""
        if child:
            self._lock = threading.Lock()
            self.member = None
            self._open_ids = set()
        elif self._forking:
            self._lock.release()

    def __del__(self) -> None:
        """A ledger that nobody closed leaves nothing open."""
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()


_NOTHING_BEFORE: Mapping[counters.Key, counters.Before] = {}
_ALL: weakref.WeakSet[SQLiteLedger] = weakref.WeakSet()


def _before_fork() -> None:
    for ledger in list(_ALL):
        ledger.before_fork()


def _after_fork(*, child: bool) -> None:
    for ledger in list(_ALL):
        ledger.after_fork(child=child)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(child=False),
        after_in_child=lambda: _after_fork(child=True),
    )

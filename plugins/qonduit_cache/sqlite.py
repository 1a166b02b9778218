"""SQLiteStore: entries in one SQLite file, for several processes of one machine.

The file is private to its user (0600), in WAL mode. It is marked as the cache's: another application's file is left as
it is. A file that is damaged is left too, for its owner to delete; until then every access is a failure.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qonduit_cache.fork import Forked
from qonduit_cache.store import StoreStats

APPLICATION = 0x716E6463
"""`PRAGMA application_id` of the file."""
VERSION = 1
"""`PRAGMA user_version` of the file."""

_SCHEMA = """
CREATE TABLE entries (
    key TEXT PRIMARY KEY, entry BLOB NOT NULL, size INTEGER NOT NULL, created REAL NOT NULL, expires REAL NOT NULL
);
CREATE INDEX entries_by_age ON entries (created, size, key);
"""
_INHERITED: list[object] = []
"""Connections of a parent process: closing them in a child would release the parent's locks."""


def default_path() -> Path:
    """`cache.sqlite` in the user's cache folder."""
    import platformdirs  # noqa: PLC0415  # who names a path needs none

    return platformdirs.user_cache_path("qonduit") / "cache.sqlite"


class SQLiteStore(Forked):
    """See `Store`. `clock` gives unix seconds: several processes read them.

    `max_entries` and `max_bytes` are held to within a sixty-fourth for each process; the oldest entries go first.
    """

    inline = False
    aget = None
    aput = None

    def __init__(
        self,
        path: Path,
        *,
        max_entries: int,
        max_bytes: int,
        timeout: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path.expanduser()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._new_entries = max_entries  # so that the first put looks at what is there
        self._new_bytes = 0
        super().__init__()

    def after_fork(self) -> None:
        """See `Forked`."""
        _INHERITED.append(self._connection)
        self._connection = None
        self._lock = threading.Lock()

    def get(self, key: str, timeout: float | None = None) -> bytes | None:
        """See `Store`."""
        with self._open(timeout) as connection:
            row = connection.execute(
                "SELECT entry FROM entries WHERE key = ? AND expires > ?", (key, self._clock())
            ).fetchone()
        if row is None:
            return None
        return row[0] if isinstance(row[0], bytes) else str(row[0]).encode()

    def put(self, key: str, entry: bytes, ttl: float, timeout: float | None = None) -> None:
        """See `Store`. An entry that is larger than all that may be kept is not."""
        if len(entry) > self._max_bytes:
            return
        now = self._clock()
        with self._open(timeout) as connection, connection:
            connection.execute(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", (key, entry, len(entry), now, now + ttl)
            )
            self._new_entries += 1
            self._new_bytes += len(entry)
            if self._new_entries > self._max_entries // 64 or self._new_bytes > self._max_bytes // 64:
                self._evict(connection, now)
                self._new_entries = self._new_bytes = 0

    def _evict(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute("DELETE FROM entries WHERE expires <= ?", (now,))
        connection.execute(
            """
            DELETE FROM entries WHERE key IN (
                SELECT key FROM (
                    SELECT key, row_number() OVER newest AS position, sum(size) OVER newest AS total
                    FROM entries WINDOW newest AS (ORDER BY created DESC, key ROWS UNBOUNDED PRECEDING)
                ) WHERE position > ? OR total > ?
            )
            """,
            (self._max_entries, self._max_bytes),
        )

    def delete(self, key: str, timeout: float | None = None) -> None:
        """See `Store`."""
        with self._open(timeout) as connection, connection:
            connection.execute("DELETE FROM entries WHERE key = ?", (key,))

    def clear(self) -> int:
        """See `Store`. The file shrinks."""
        with self._open() as connection:
            with connection:
                count = connection.execute("DELETE FROM entries").rowcount
            connection.execute("VACUUM")
        return count

    def keys(self, limit: int) -> list[str]:
        """See `Store`; the newest first."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT key FROM entries WHERE expires > ? ORDER BY created DESC, key LIMIT ?", (self._clock(), limit)
            ).fetchall()
        return [str(row[0]) for row in rows]

    def stats(self) -> StoreStats:
        """See `Store`."""
        with self._open() as connection:
            count, size = connection.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM entries WHERE expires > ?", (self._clock(),)
            ).fetchone()
        return StoreStats(where=str(self._path), entries=count, bytes=size)

    def close(self) -> None:
        """See `Store`."""
        with self._lock:
            self._drop()

    @contextmanager
    def _open(self, timeout: float | None = None) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time. Half of the time is for other threads, half for other processes.

        Raises: TimeoutError, OSError, sqlite3.Error.
        """
        if not self._lock.acquire(timeout=(timeout or self._timeout) / 2):
            raise TimeoutError("other threads hold the cache's file")
        try:
            if self._connection is None:
                self._connection = self._connect()
            try:
                yield self._connection
            except sqlite3.Error:
                self._drop()
                raise
        finally:
            self._lock.release()

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # An existing file is not opened here: closing it would drop the locks that SQLite holds on it in this process.
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(self._path, timeout=self._timeout / 2, check_same_thread=False)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        marks = self._marks(connection)
        if marks == (0, 0) and connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            if self._marks(connection) == (0, 0):  # no other process was faster
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.commit()
            marks = self._marks(connection)
        if marks != (APPLICATION, VERSION):
            raise sqlite3.DatabaseError("the file is not a cache of this version")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last entries, not the file

    @staticmethod
    def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
        names = ("application_id", "user_version")
        first, second = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
        return first, second

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        """A store that nobody closed leaves nothing open."""
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()

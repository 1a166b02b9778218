"""Books: the ledger that all cases are taken down in, and what it says of each."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from qonduit_cost import CostPlugin


class Row(NamedTuple):
    """What the ledger says of one attempt."""

    id: int
    attempt: int
    state: str
    outcome: str | None
    sent: str | None
    tags: str


class Books:
    """One ledger in one file, written by the one plugin that all clients share. A context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.plugin = CostPlugin(CostPlugin.Options(ledger=str(path)))
        self._reader: sqlite3.Connection | None = None
        self._last = 0
        self._begun = 0

    def begin(self) -> None:
        """From here on it is another case."""
        self.new_rows()
        self._begun = self._last

    def unsettled(self) -> int:
        """How many attempts of the case are open."""
        if self._reader is None:
            return 0
        query = "SELECT count(*) FROM attempts WHERE id > ? AND state = 'intent'"
        count: int = self._reader.execute(query, (self._begun,)).fetchone()[0]
        return count

    def new_rows(self) -> tuple[list[Row], str]:
        """The rows since the last look, and all that stands in them but the tags, as text."""
        if self._reader is None:
            if not self._path.exists():
                return [], ""
            self._reader = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
            self._reader.row_factory = sqlite3.Row
        found = self._reader.execute("SELECT * FROM attempts WHERE id > ? ORDER BY id", (self._last,)).fetchall()
        rows = [Row(*(row[name] for name in Row._fields)) for row in found]
        if rows:
            self._last = rows[-1].id
        return rows, "\n".join(str({name: row[name] for name in row.keys() if name != "tags"}) for row in found)  # noqa: SIM118

    def content(self) -> bytes:
        """All bytes of all of the ledger's files."""
        return b"".join(path.read_bytes() for path in sorted(self._path.parent.iterdir()) if path.is_file())

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self.plugin.close()

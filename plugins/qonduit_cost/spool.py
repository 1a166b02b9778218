"""Spool: what a ledger could not be given, kept beside it until it can: JSON lines in a file of each writer's own.

The file is `LEDGER.spool-NUMBER`, where NUMBER is a member's (`membership`). Who opens the ledger takes down what those
left who are gone; a writer that is still there does so itself.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from qonduit_cost import membership
from qonduit_cost.entry import Entry, Intent, Settlement
from qonduit_cost.hold import read_holds

MAX_BYTES = 16 * 1024 * 1024
"""How large a spool may become: some 15,000 attempts."""

_NAME = re.compile(r"\.spool-(\d+)$")


class Spool:
    """This writer's spool of one ledger. Not safe to share between threads: its owner has a lock.

    `lost` counts the attempts that could not be kept here either.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._member: membership.Member | None = None
        self._process = os.getpid()
        self._running: dict[int, Entry] = {}
        self._size = 0
        self.lost = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be caught up on."""
        return not self._size and not self.lost

    @property
    def path(self) -> Path:
        """The file. Raises: OSError when there cannot be one."""
        if self._member is None or self._process != os.getpid():  # a forked child has a file of its own
            self._member = membership.join(self._ledger.with_name(self._ledger.name + "-members"))
            self._process, self._running, self._size, self.lost = os.getpid(), {}, 0, 0
        return self._ledger.with_name(f"{self._ledger.name}.spool-{self._member.id}")

    def keep(self, entry: Entry) -> bool:
        """Keep an entry, open or settled, in place of an earlier one of its key. False: there is no room for it.

        Of one that is here as open the rest is kept in memory, where it must be, for as long as the process lives.
        """
        try:
            self._append(entry)
        except OSError:
            return entry.key in self._running
        if entry.settlement is None:
            self._running[entry.key] = entry
        else:
            self._running.pop(entry.key, None)
        return True

    def holds(self, entry: Entry) -> bool:
        """Whether it is here as open."""
        return entry.key in self._running

    def _append(self, entry: Entry) -> None:
        """Raises: OSError."""
        words = json.dumps([entry.key, entry.id, entry.intent, entry.settlement], ensure_ascii=False)
        line = words.encode("utf-8", "backslashreplace") + b"\n"
        path = self.path
        if self._size + len(line) > MAX_BYTES:
            raise OSError(errno.EFBIG, "the spool is full")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if os.write(file, line) != len(line):
                os.ftruncate(file, self._size)  # what follows must not be glued to it
                raise OSError(errno.ENOSPC, "the disk is full")
        finally:
            os.close(file)
        self._size += len(line)

    @property
    def batch(self) -> str:
        """A name for what is kept now."""
        return self.path.name if self._size else os.urandom(8).hex()

    def entries(self) -> list[Entry]:
        """What is kept. Of attempts that are under way it is the entries that their calls have. Raises: OSError."""
        kept, torn = read(self.path) if self._size else ([], 0)
        self.lost += torn
        return [self._running.get(entry.key, entry) if entry.settlement is None else entry for entry in kept]

    def clear(self) -> None:
        """The ledger has it all now."""
        with suppress(OSError):
            if self._size:
                self.path.unlink(missing_ok=True)
        self._leave()

    def close(self) -> None:
        """Leave the file to who opens the ledger next; not while attempts that it holds are under way."""
        if not self._running:
            self._leave()

    def _leave(self) -> None:
        self._running, self._size, self.lost = {}, 0, 0
        if self._member is not None:
            self._member.leave()
            self._member = None


def files(ledger: Path) -> Iterator[Path]:
    """The spools beside a ledger, of all writers."""
    for path in ledger.parent.glob(f"{_literal(ledger.name)}.spool-*"):
        if _NAME.search(path.name):
            yield path


def member_of(spool: Path) -> int:
    """The number of the member that writes, or wrote, a spool."""
    found = _NAME.search(spool.name)
    return int(found[1]) if found else 0


def read(spool: Path) -> tuple[list[Entry], int]:
    """What a spool keeps, and how many of its lines cannot be read. Raises: OSError.

    The last line may be torn: its writer had not gone on yet.
    """
    entries: dict[int, Entry] = {}
    torn = 0
    lines = spool.read_bytes().split(b"\n")
    for line in filter(None, lines):
        try:
            key, number, intent, settlement = json.loads(line)
            entries[key] = _entry(key, number, intent, settlement)
        except (ValueError, TypeError, ArithmeticError):
            torn += line is not lines[-1]
    return list(entries.values()), torn


def waiting(ledger: Path) -> int:
    """How many attempts are in spools beside a ledger, for reports. Raises: OSError."""
    return sum(len(read(path)[0]) for path in files(ledger))


def _entry(key: int, number: int | None, intent: list[Any], settlement: list[Any] | None) -> Entry:
    before = Intent(*intent)
    after = None if settlement is None else Settlement(*settlement)
    return Entry(before, read_holds(before.held), number, after, key=key)


def _literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)

"""Attempts that begin and end while a ledger's file is locked, freed, closed and left by writers who die: one row.

Each writer has a recorder of its own, as a plugin has. What the ledger cannot be given is in a spool, and nowhere else.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.plugins.cost.ledgers import answered, counter, entry, rows
from tests.plugins.cost.test_budgets import hold

from qonduit_cost import recorder, spool
from qonduit_cost.entry import Entry, Settlement, settled
from qonduit_cost.recorder import Recorder
from qonduit_cost.spool import Spool
from qonduit_cost.sqlite import SQLiteLedger

HOME = tempfile.TemporaryDirectory()
FOLDER = Path(HOME.name)
"""Of all runs: it goes with the process."""
PLACES = st.integers(0, 9)
"""Which of those there are."""
ENDS: dict[str, Settlement] = {
    "answered": answered("0.25"),
    "refused": settled("failed", "exact", sent="rejected", amount="0", currency="CNY"),
    "unknown": settled("failed", "unknown", sent="unknown"),
    "left": settled("incomplete", "lower_bound", amount="0.125", currency="CNY"),
}


class Here:
    """A call that does its I/O at once, as a sync one does."""

    def io(self, function: Any, _async_function: Any = None, *arguments: Any) -> Generator[Any, Any, Any]:
        return function(*arguments)
        yield


def run(flow: Generator[Any, Any, None]) -> None:
    for _ in flow:
        raise AssertionError("nothing is to be waited for")


@dataclass(eq=False, repr=False)
class Attempt:
    """One attempt, and how it ended: a word of `ENDS`, or "gone" with its writer; None while it is under way."""

    entry: Entry
    aside: Decimal
    end: str | None = None

    @property
    def charge(self) -> Decimal:
        """What its budget is charged."""
        match self.end:
            case "answered":
                return Decimal("0.25")
            case "left":
                return Decimal("0.125")
            case "refused" | None:
                return Decimal(0)
        return self.aside

    def check(self, row: dict[str, Any]) -> None:
        """Its row, if it has been written as far as the attempt has come."""
        if row["state"] == "intent":
            assert (row["outcome"], row["amount"]) == (None, None)
        elif self.end == "gone":
            assert (row["outcome"], row["sent"], row["amount"]) == ("cancelled", "unknown", f"{self.aside:f}")
        else:
            assert self.end is not None
            expected = ENDS[self.end]
            assert (row["outcome"], row["sent"], row["amount"]) == (expected.outcome, expected.sent, expected.amount)


@dataclass(eq=False, repr=False)
class Writer:
    """A recorder and what is under way in it."""

    recorder: Recorder
    open: list[Attempt] = field(default_factory=list)


class Outages(RuleBasedStateMachine):
    """Writers, and what becomes of the file meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(recorder, "WAIT_SECONDS", 0.0005)
        self.patch.setattr(recorder, "PAUSE_SECONDS", 0.0)
        self.path = FOLDER / "ledger.sqlite3"
        self.attempts: list[Attempt] = []
        self.closed: list[Writer] = []
        self.lock: sqlite3.Connection | None = None
        self.writers = [self._writer()]
        self._clean()

    def _clean(self) -> None:
        """What the run before left: a new file each time would be slow."""
        self.writers[0].recorder.ledger.tidy()
        for file in spool.files(self.path):
            file.unlink()
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for table in ("attempts", "budgets", "spools", "losses"):
                connection.execute(f"DELETE FROM {table}")
            connection.execute("UPDATE processes SET last_attempt = 0")

    def _writer(self) -> Writer:
        return Writer(Recorder(SQLiteLedger(self.path), Spool(self.path), strict=False))

    @rule(place=PLACES, aside=st.sampled_from(["0.5", "1"]))
    def begin(self, place: int, aside: str) -> None:
        """Something is set aside in a budget that all have."""
        writer = self.writers[place % len(self.writers)]
        attempt = Attempt(entry(f"call {len(self.attempts)}", hold(aside, "1000")), Decimal(aside))
        self.attempts.append(attempt)
        writer.open.append(attempt)
        run(writer.recorder.begin(Here(), attempt.entry))  # type: ignore[arg-type]

    def _under_way(self) -> list[tuple[Writer, Attempt]]:
        return [(writer, attempt) for writer in (*self.writers, *self.closed) for attempt in writer.open]

    @precondition(lambda self: self._under_way())
    @rule(place=PLACES, end=st.sampled_from(list(ENDS)), leaving=st.booleans())
    def settle(self, place: int, end: str, leaving: bool) -> None:
        """Also with a writer that was closed meanwhile."""
        found = self._under_way()
        writer, attempt = found[place % len(found)]
        writer.open.remove(attempt)
        attempt.end = end
        run(writer.recorder.settle(Here(), attempt.entry, ENDS[end], leaving=leaving))  # type: ignore[arg-type]

    @precondition(lambda self: self.lock is None)
    @rule()
    def lock_the_file(self) -> None:
        """Somebody else has it for long."""
        self.lock = sqlite3.connect(self.path, isolation_level=None)
        self.lock.execute("BEGIN IMMEDIATE")

    @precondition(lambda self: self.lock is not None)
    @rule()
    def free_the_file(self) -> None:
        """It can be written again."""
        assert self.lock is not None
        self.lock.close()
        self.lock = None

    @precondition(lambda self: len(self.writers) < 3)
    @rule()
    def another_writer(self) -> None:
        """A process, or a client with a plugin of its own."""
        self.writers.append(self._writer())

    @rule(place=PLACES)
    def close(self, place: int) -> None:
        """A client is closed, maybe with streams under way, and another begins."""
        writer = self.writers.pop(place % len(self.writers))
        writer.recorder.close()
        self.closed.append(writer)
        self.writers.append(self._writer())

    @rule(place=PLACES)
    def die(self, place: int) -> None:
        """The process is killed: the system gives its locks back."""
        writer = self.writers.pop(place % len(self.writers))
        ledger: Any = writer.recorder.ledger
        kept: Any = writer.recorder._spool
        for member in (ledger.member, kept._member):
            if member is not None:
                member.leave()
        ledger._drop()
        for attempt in writer.open:
            attempt.end = "gone"
        self.writers.append(self._writer())

    @rule()
    def look_back(self) -> None:
        """When all have caught up: no spool is left, each attempt has its row, and the budget is their sum."""
        if self.lock is not None:
            self.free_the_file()
        for writer in [*self.writers, *self.closed]:
            writer.recorder.close()
        last = SQLiteLedger(self.path)
        last.settle_gone(1)
        look = Attempt(entry(f"call {len(self.attempts)}", hold("1", "1000")), Decimal(1), "refused")
        self.attempts.append(look)
        last.begin(look.entry, 1)  # a budget is added up when somebody asks for it
        last.settle(look.entry, ENDS["refused"], 1)
        last.close()
        assert not list(spool.files(self.path))
        assert not rows(self.path, "losses")
        found = {row["call_id"]: row for row in rows(self.path)}
        assert found.keys() == {attempt.entry.intent.call_id for attempt in self.attempts}
        for attempt in self.attempts:
            state = "intent" if attempt.end is None else "settled"
            assert found[attempt.entry.intent.call_id]["state"] == state, (attempt.end, found)
        aside = sum((attempt.aside for attempt in self.attempts if attempt.end is None), Decimal(0))
        spent = sum((attempt.charge for attempt in self.attempts), Decimal(0))
        assert counter(self.path) == {"all": (spent, aside)}

    @invariant()
    def one_row_each(self) -> None:
        """No attempt has two, and what is written is true."""
        found = rows(self.path)
        known = {attempt.entry.intent.call_id: attempt for attempt in self.attempts}
        assert len({row["call_id"] for row in found}) == len(found)
        for row in found:
            known[row["call_id"]].check(row)

    def teardown(self) -> None:
        """Leave nothing behind."""
        if self.lock is not None:
            self.lock.close()
        for writer in (*self.writers, *self.closed):
            writer.open.clear()
            writer.recorder.ledger.close()
        self.patch.undo()


LIMITS = settings(
    max_examples=50,
    stateful_step_count=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # add Phase.shrink for a shorter failure, in minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.F43
@pytest.mark.F45
@pytest.mark.F46
def test_each_attempt_has_one_row_whatever_becomes_of_the_file() -> None:
    """Nothing is lost and nothing is doubled, in rows and in budgets."""
    run_state_machine_as_test(Outages, settings=LIMITS)

"""Recorder: how calls use a ledger. What it cannot be given is refused (strict), or kept and caught up on (lenient)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any

from qonduit import BudgetExceededError, Call
from qonduit_cost.entry import Entry, Settlement, unsent
from qonduit_cost.ledger import Ledger, LedgerError
from qonduit_cost.spool import Spool

logger = logging.getLogger("qonduit.cost")

WAIT_SECONDS = 0.25
"""How long a call waits for others that write."""
PAUSE_SECONDS = 1.0
"""How long a lenient recorder leaves a ledger alone that has failed."""


class Recorder:
    """A ledger, with a spool for what it does not take. `begin` and `settle` are flows, for `yield from`.

    A write takes microseconds and is done at once, on an event loop too. Where others are in the way, the disk is to be
    waited for, or the file is not open yet, it is done by a worker thread in async calls.
    """

    def __init__(self, ledger: Ledger, spool: Spool | None, *, strict: bool) -> None:
        self.ledger = ledger
        self._spool = spool
        self._strict = strict
        self._lock = threading.Lock()
        self._behind = False
        self._leave_until = 0.0
        self._failed: str | None = None

    @property
    def degraded(self) -> str | None:
        """What is wrong with the ledger, while something is to be caught up on; None when all is written."""
        return self._failed if self._behind else None

    def begin(self, call: Call, entry: Entry) -> Generator[Any, Any, None]:
        """Take down what is about to be sent. Raises: BudgetExceededError, and where it is strict LedgerError."""
        if self.ledger.quick and not self._behind:
            try:
                self.ledger.begin(entry, 0)
            except BudgetExceededError:
                raise
            except Exception:  # noqa: BLE001, S110  # busy, or broken: what follows waits, and decides
                pass
            else:
                return
        try:
            yield from call.io(self._begin, None, entry)
        except (LedgerError, BudgetExceededError):
            raise
        except TimeoutError:
            entry.void = True  # the worker thread may be at it yet
            if self._strict:
                yield from self.settle(call, entry, unsent(entry.intent))
                raise LedgerError(
                    "The request was not sent: no worker thread was free to write the ledger, which is strict."
                ) from None
        except BaseException as leaving:
            entry.void = True
            yield from self.settle(call, entry, unsent(entry.intent), leaving=isinstance(leaving, GeneratorExit))
            raise

    def settle(
        self, call: Call, entry: Entry, settlement: Settlement, *, leaving: bool = False
    ) -> Generator[Any, Any, None]:
        """Take down how it ended. Raises nothing: what the ledger does not take is kept or, at the worst, counted.

        `leaving`: the call's generator is being closed, so that it can wait for nobody.
        """
        entry.settlement = settlement
        if self.ledger.quick and not self._behind:
            try:
                self.ledger.settle(entry, settlement, 0)
            except Exception:  # noqa: BLE001, S110  # likewise: an answer that is paid for is given, whatever happens
                pass
            else:
                if self.ledger.untidy and not leaving:
                    yield from call.io(self.ledger.tidy)
                return
        if leaving:
            self._settle(entry, settlement)
            return
        with suppress(TimeoutError):  # a worker thread does it when one is free
            yield from call.io(self._settle, None, entry, settlement)

    def close(self) -> None:
        """Catch up, if that can be; let go of files. Idempotent."""
        with self._lock:
            if self._behind:
                self._catch_up()
            if self._spool is not None:
                self._spool.close()
        self.ledger.close()

    def _begin(self, entry: Entry) -> None:
        """Raises: BudgetExceededError; LedgerError."""
        if self._behind and not self._strict and time.monotonic() < self._leave_until:
            with self._lock:
                self._keep(entry)
            return
        try:
            self.ledger.begin(entry, WAIT_SECONDS)
        except BudgetExceededError:
            raise
        except Exception as failure:  # noqa: BLE001  # also what no ledger should raise
            if entry.void:
                return
            error = _explained(failure)
            if self._strict:
                raise type(error)(f"{error.message} The request was not sent, since the ledger is strict.") from None
            with self._lock:
                self._fell_behind(error)
                self._keep(entry)

    def _settle(self, entry: Entry, settlement: Settlement) -> None:
        with self._lock:
            if self._behind and time.monotonic() < self._leave_until:
                self._keep(entry)
                return
            if self._behind and self._spool is not None and entry.id is None and self._spool.holds(entry):
                if not self._catch_up():  # which takes it down with the others
                    self._keep(entry)
                return
            try:
                self.ledger.settle(entry, settlement, WAIT_SECONDS)
            except Exception as failure:  # noqa: BLE001  # also what no ledger should raise
                self._fell_behind(_explained(failure))
                self._keep(entry)
                return
            if self._behind:
                self._catch_up()

    def _keep(self, entry: Entry) -> None:
        """Put an entry into the spool. One that is under way and finds no place there is tried again when it ends."""
        kept = self._spool is not None and self._spool.keep(entry)
        if not kept and entry.settlement is not None:
            self._lose()

    def _lose(self) -> None:
        if self._spool is not None:
            self._spool.lost += 1
            if self._spool.lost > 1:
                return
        logger.error("What a call cost could be kept neither in the ledger nor beside it; it is lost. %s", self._failed)

    def _fell_behind(self, error: LedgerError) -> None:
        self._leave_until = time.monotonic() + PAUSE_SECONDS
        self._failed = error.message
        if not self._behind:
            self._behind = True
            logger.warning(
                "%s Calls go on; what they cost is kept beside it, and written when it can be (said once).",
                error.message,
            )

    def _catch_up(self) -> bool:
        """Whether the ledger has all now."""
        if self._spool is None:
            self._behind = False
            return True
        try:
            entries = self._spool.entries()
            self.ledger.catch_up(self._spool.batch, entries, self._spool.lost, WAIT_SECONDS)
        except Exception:  # noqa: BLE001  # it is tried again later
            self._leave_until = time.monotonic() + PAUSE_SECONDS
            return False
        lost = self._spool.lost
        self._spool.clear()
        self._behind = False
        logger.warning("The ledger is written again: %d attempts were caught up on, %d are lost.", len(entries), lost)
        return True


def _explained(failure: Exception) -> LedgerError:
    """A failure of a ledger that has not said itself what is wrong."""
    if isinstance(failure, LedgerError):
        return failure
    return LedgerError(f"The ledger has a defect: it raised {type(failure).__name__}.")

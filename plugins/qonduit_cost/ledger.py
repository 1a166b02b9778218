"""Ledger: where every attempt is taken down. A small protocol, so that another database can be had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from qonduit import ConfigurationError
from qonduit_cost.entry import Entry, Settlement


class LedgerError(ConfigurationError):
    """The ledger cannot be read or written. The message names its place, what is wrong with it and the mend.

    A strict ledger raises it before anything is sent.
    """


class LedgerBusyError(LedgerError):
    """Others held the ledger for longer than there was time to wait."""


class Ledger(Protocol):
    """Keeps the rows of attempts. Safe to share between threads; nothing is opened before the first access.

    Each method is one transaction, which is over when it returns: none is open while a request is under way. What was
    written when a method has returned stays written. A method that raises has written nothing.

    `wait` is how many seconds it may wait for others; with 0 it raises LedgerBusyError in place of waiting.
    """

    @property
    def quick(self) -> bool:
        """Whether `begin` and `settle` with a `wait` of 0 take microseconds, so that an event loop need not mind."""
        ...

    def begin(self, entry: Entry, wait: float) -> None:
        """Take down what is about to be sent, and set its holds aside in their budgets; sets `entry.id`.

        All holds are checked by `Hold.check` and made in one step, which nobody can come between. Warnings that the
        check gives are put on the entry. A void entry is not taken down.
        Raises: BudgetExceededError; LedgerError.
        """
        ...

    def settle(self, entry: Entry, settlement: Settlement, wait: float) -> None:
        """Take down how it ended, give back what was set aside, and charge the budgets (`entry.charged`).

        An entry that has no row yet gets a whole one: a cache hit, or one that the ledger could not be given before.
        Raises: LedgerError.
        """
        ...

    def catch_up(self, batch: str, entries: Sequence[Entry], lost: int, wait: float) -> None:
        """Take down what could not be written before, in one transaction, and only once for each name of a `batch`.

        Entries with an id are settled; others get a row, whole or, without a settlement, open. `lost` attempts could
        not be kept anywhere. Raises: LedgerError.
        """
        ...

    @property
    def untidy(self) -> bool:
        """Whether `tidy` should be called."""
        ...

    def tidy(self) -> None:
        """Do what takes longer and may be done another time. Raises nothing."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the next access opens them again. Idempotent."""
        ...

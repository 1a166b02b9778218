"""What outlives a restart: the seam between the books and where they are kept.

The books hold everything in memory and write each change through this seam before they make it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Kind = Literal["account", "key"]
Records = Mapping[tuple[Kind, str], Mapping[str, Any]]


class StateError(Exception):
    """The state file cannot be used. The text names the file and the reason."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The totals of one account and model; `day` counts days in China since 1970."""

    account: str
    model: str
    requests: int
    day: int
    day_requests: int
    free_tokens: int
    paid_tokens: int


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call: its tokens are those reserved while it is open, those used after. `at` is in unix seconds."""

    id: int
    account: str
    model: str
    at: float
    free_tokens: int
    paid_tokens: int

    @property
    def tokens(self) -> int:
        """All its tokens."""
        return self.free_tokens + self.paid_tokens


class State(Protocol):
    """Where the books are kept. Each method is one change, whole or not at all."""

    def load_records(self) -> tuple[Records, Records]:
        """All accounts and keys; and what the configuration last said of each."""
        ...

    def save_record(self, kind: Kind, name: str, record: Mapping[str, Any], *, configured: bool) -> None:
        """Keep an account or a key; `configured` when the configuration says so."""
        ...

    def remove_record(self, kind: Kind, name: str) -> None:
        """Forget an account or a key, but not what the configuration said."""
        ...

    def load_usage(self) -> tuple[Sequence[UsageRow], Sequence[CallRow]]:
        """The totals, and the calls of late in their order; calls left open are settled at what they reserved."""
        ...

    def open_call(self, call: CallRow, day: int, day_requests: int) -> None:
        """Keep a call that begins, and count it."""
        ...

    def settle_call(self, call_id: int, free_tokens: int, paid_tokens: int, forget_before: float) -> None:
        """Charge a call that ends; settled calls from before that time may be forgotten."""
        ...

    def reset_usage(self, account: str) -> None:
        """Forget what an account has used."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class MemoryState:
    """Keeps nothing: what is in memory is all there is."""

    def load_records(self) -> tuple[Records, Records]:
        """Nothing."""
        return {}, {}

    def save_record(self, kind: Kind, name: str, record: Mapping[str, Any], *, configured: bool) -> None:
        """Do nothing."""

    def remove_record(self, kind: Kind, name: str) -> None:
        """Do nothing."""

    def load_usage(self) -> tuple[Sequence[UsageRow], Sequence[CallRow]]:
        """Nothing."""
        return (), ()

    def open_call(self, call: CallRow, day: int, day_requests: int) -> None:
        """Do nothing."""

    def settle_call(self, call_id: int, free_tokens: int, paid_tokens: int, forget_before: float) -> None:
        """Do nothing."""

    def reset_usage(self, account: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

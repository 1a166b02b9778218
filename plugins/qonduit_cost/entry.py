"""Entry: one row of the ledger on its way, from what is known before sending to how it ended."""

from __future__ import annotations

import datetime
import itertools
import time
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

from qonduit_cost.currency import EXACT
from qonduit_cost.hold import Hold

Outcome: TypeAlias = Literal["answered", "incomplete", "failed", "cancelled", "cached"]
Sent: TypeAlias = Literal["not_sent", "rejected", "unknown"]


class Intent(NamedTuple):
    """What is known before an attempt is sent; the fields are columns of the ledger. Amounts are decimals as text."""

    call_id: str
    attempt: int
    kind: Literal["attempt", "hit"]
    started_at: str
    profile: str
    provider: str
    region: str | None
    operation: str
    model: str | None
    streamed: int
    tags: str
    tenant: str
    estimate: str | None
    currency: str | None
    provenance: str
    held: str | None


class Settlement(NamedTuple):
    """How an attempt ended; the fields are columns of the ledger."""

    outcome: Outcome
    sent: Sent | None
    settled_at: str
    response_model: str | None
    request_id: str | None
    status: int | None
    error: str | None
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    cached_tokens: int | None
    explicit_cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    image_tokens: int | None
    audio_tokens: int | None
    video_tokens: int | None
    amount: str | None
    currency: str | None
    provenance: str
    reason: str | None
    source: str | None
    parts: str | None
    saved: str | None


@dataclass(slots=True, eq=False)
class Entry:
    """A row that a ledger is given twice: before sending, and when it has ended.

    Attributes:
        intent: what was known before.
        holds: what was set aside for it in budgets, as the column `held` has it.
        id: its row, once the ledger has it.
        settlement: how it ended; None before.
        void: it ended before the ledger had it, so that it need not be taken down any more.
        warnings: sentences for the caller, of budgets that only warn.
        key: tells it from the others of its writer.
    """

    intent: Intent
    holds: tuple[Hold, ...] = ()
    id: int | None = None
    settlement: Settlement | None = None
    void: bool = False
    warnings: list[str] = field(default_factory=list)
    key: int = field(default_factory=itertools.count().__next__)


def charged(hold: Hold, settlement: Settlement, currency: str | None) -> Decimal:
    """What a budget is charged for an attempt; `currency` is that of its estimate.

    Nothing for what was not sent or was refused; what it cost, at least, where that is known; what was set aside for
    it where it may have cost something and nobody knows what.
    """
    if settlement.sent in {"not_sent", "rejected"}:
        return Decimal(0)
    if settlement.amount is None or settlement.currency not in {None, currency}:
        return hold.amount
    return EXACT.multiply(Decimal(settlement.amount), hold.rate)


def settled(outcome: Outcome, provenance: str, **fields: Any) -> Settlement:
    """A settlement of now; what is not given is None."""
    return Settlement(**{**_NOTHING, "outcome": outcome, "provenance": provenance, "settled_at": now(), **fields})


def unsent(intent: Intent) -> Settlement:
    """How an attempt ended that was given up before it was sent."""
    return settled("cancelled", "exact", sent="not_sent", amount="0", currency=intent.currency, reason=NOT_SENT)


def abandoned(intent: Intent) -> Settlement:
    """How an attempt ended whose process ended before it did: it may have been done and billed."""
    reason = "its process ended before it did: it may have been billed or not"
    if intent.estimate is None:
        return settled("cancelled", "unknown", sent="unknown", currency=intent.currency, reason=reason)
    reason += "; counted as what it could cost at most"
    fields = {"amount": intent.estimate, "currency": intent.currency, "reason": reason}
    return settled("cancelled", "estimated", sent="unknown", **fields)


NOT_SENT = "it was not sent"
_NOTHING: dict[str, Any] = dict.fromkeys(Settlement._fields)


def now() -> str:
    """The time as the ledger writes it."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def stamp(moment: datetime.datetime) -> str:
    """A time of UTC as the ledger writes it: "2026-11-21T12:34:56.789Z"."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"

"""Cost: what a call cost. A value of the core that a cost plugin fills."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from qonduit.value import Value


class CostPart(Value):
    """One line of a bill: `quantity` tokens of `kind` at `unit_price` per million tokens."""

    kind: str
    quantity: int
    unit_price: Decimal
    amount: Decimal


class Cost(Value):
    """The cost of one call.

    `amount` is None when it is not known, and `reason` says why; it is never 0 for want of a price. `provenance`:
    "exact" (reported usage, known price), "estimated", "lower_bound" (an interrupted stream), or "unknown".
    `source` names the price row that was used.
    """

    amount: Decimal | None = None
    currency: str | None = None
    parts: tuple[CostPart, ...] = ()
    provenance: Literal["exact", "estimated", "lower_bound", "unknown"] = "unknown"
    reason: str | None = None
    source: str | None = None

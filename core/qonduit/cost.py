"""Cost: what a call cost. A value of the core that a cost plugin fills."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Literal

from qonduit.value import Value


class CostPart(Value):
    """One line of a bill: `quantity` tokens of `kind` at `unit_price` per million tokens make `amount`.

    `tier` says for which lengths of the input the price holds ("131072 < input <= 262144"); None: for all.
    """

    kind: str
    quantity: int
    unit_price: Decimal
    amount: Decimal
    tier: str | None = None


class ConvertedAmount(Value):
    """An amount in another currency, at a rate that somebody set: for display only, the bill is in the original.

    `rate` is what one unit of the original currency is worth in `currency`, on `date`, as `source` says.
    """

    amount: Decimal
    currency: str
    rate: Decimal
    date: datetime.date
    source: str | None = None


class Cost(Value):
    """The cost of one call.

    `amount` is None when it is not known, and `reason` says why; it is never 0 for want of a price. `provenance`:
    "exact" (reported usage, known price), "estimated" (one of the two is not quite known; `reason` says which),
    "lower_bound" (at least so much: an interrupted stream, or a usage that leaves counts out), or "unknown".
    `source` names the price row that was used, with its date. `saved` is what the answer would have cost had it not
    come from a cache; `amount` is 0 then. `converted` is the amount in the currency that the caller wants to read.
    """

    amount: Decimal | None = None
    currency: str | None = None
    parts: tuple[CostPart, ...] = ()
    provenance: Literal["exact", "estimated", "lower_bound", "unknown"] = "unknown"
    reason: str | None = None
    source: str | None = None
    saved: Decimal | None = None
    converted: ConvertedAmount | None = None

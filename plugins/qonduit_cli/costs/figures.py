"""Figures: amounts, counts and shares as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal

from qonduit_cost.currency import EXACT

NAMES = {"exact": "exact", "estimated": "estimated", "lower_bound": "at least", "unknown": "unknown"}
"""Provenances in a reader's words."""


def exact(amount: Decimal) -> str:
    """All digits, no exponent, no zeros at the end: for programs, and for sums that are to be checked."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def places(amounts: Iterable[Decimal]) -> int:
    """How many digits after the point a column needs: few when its amounts are large."""
    largest = max((abs(amount) for amount in amounts), default=Decimal(0))
    return 2 if largest >= 100 else 4 if largest >= 1 else 6


def rounded(amount: Decimal | None, digits: int) -> str:
    """With so many digits after the point; what would become 0 and is more is `<0.01`."""
    if amount is None:
        return "-"
    step = Decimal(1).scaleb(-digits)
    if 0 < amount <= step / 2:
        return f"<{step:f}"
    return format(amount.quantize(step, ROUND_HALF_EVEN, EXACT), ",f")


def percent(share: float) -> str:
    """A part of 1; never 0 % or 100 % for what is not quite."""
    if 0 < share < 0.01:
        return "<1%"
    if 0.99 < share < 1:
        return ">99%"
    return f"{share:.0%}"


def described(shares: Mapping[str, float]) -> str:
    """`exact`, or `97% exact, 3% estimated`."""
    if not shares:
        return "-"
    if len(shares) == 1:
        return NAMES[next(iter(shares))]
    return ", ".join(f"{percent(share)} {NAMES[name]}" for name, share in shares.items())

"""The sum: what a usage costs by a price row. All of it in Decimal, and exact.

A request pays for all of its output at the thinking price when it ran in thinking mode, and for everything at the tier
that its input falls into. Source: https://help.aliyun.com/zh/model-studio/model-pricing (2026-05-26).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

from qonduit import ChatResponse, Cost, CostPart, Profile, Response, Usage
from qonduit.value import trusted
from qonduit_cost.catalogue import Catalogue
from qonduit_cost.currency import EXACT
from qonduit_cost.rows import PriceRow

Provenance: TypeAlias = Literal["exact", "estimated", "lower_bound", "unknown"]

FREE = frozenset({"models", "count_tokens"})
"""Operations that vendors answer for nothing."""

INPUT_ONLY = frozenset({"embeddings", "rerank"})
"""Operations without output tokens: what some wires report is a total, and all of it is input."""

ZERO = Decimal(0)


class Counts(NamedTuple):
    """Token counts to be priced. `input` and `output` include the others; None is: not reported."""

    input: int | None
    output: int | None
    cached: int = 0
    explicit_cached: int = 0
    cache_write: int = 0
    images: int = 0
    audio: int = 0
    audio_output: int = 0
    thinking: bool = False

    @classmethod
    def of(cls, usage: Usage, operation: str, *, thinking: bool = False) -> Counts:
        """The counts of a reported usage."""
        counted = usage.__dict__  # many attributes of one pydantic model cost more than those of its dict
        input_tokens, output_tokens = counted["input_tokens"], counted["output_tokens"]
        if operation in INPUT_ONLY:
            input_tokens = counted["total_tokens"] if input_tokens is None else input_tokens
            output_tokens = output_tokens or 0
        return cls(
            input_tokens,
            output_tokens,
            counted["cached_tokens"] or 0,
            counted["explicit_cached_tokens"] or 0,
            counted["cache_write_tokens"] or 0,
            (counted["image_tokens"] or 0) + (counted["video_tokens"] or 0),
            counted["audio_tokens"] or 0,
            _spoken(counted["raw"]),
            thinking or bool(counted["reasoning_tokens"]),
        )


def cost_of(catalogue: Catalogue, response: Response, profile: Profile, operation: str) -> Cost:
    """What an answer cost, by its reported usage. One from a cache cost nothing; `saved` says what it would have.

    The amount is None, with the reason, where usage or price is unknown. It is a lower bound where the usage leaves out
    input or output, or the answer is not whole.
    """
    if operation in FREE:
        return trusted(Cost, {**_NOTHING, "amount": ZERO, "provenance": "exact", "reason": f"{operation} is free"})
    usage = response.usage
    if usage is None:
        return _hit(response, unknown("the provider reported no usage"))
    counts = Counts.of(usage, operation, thinking=_has_thought(response))
    cost = price_counts(catalogue, profile, response.model or profile.model, counts, complete=response.complete)
    return _hit(response, cost)


def price_counts(
    catalogue: Catalogue, profile: Profile, model: str | None, counts: Counts, *, complete: bool = True
) -> Cost:
    """What `counts` cost for a model of a profile."""
    if model is None:
        return unknown("the answer does not say which model gave it")
    if counts.input is None and counts.output is None:
        return unknown("the provider reported no token counts")
    row = catalogue.price(profile.provider, model, profile.region, counts.input or 0, profile.base_url)
    if isinstance(row, str):
        return unknown(row)
    cost = bill(row, model, counts, complete=complete)
    return cost if catalogue.display is None else catalogue.display.show(cost)


def bill(row: PriceRow, model: str, counts: Counts, *, complete: bool = True) -> Cost:
    """The sum, line by line, by one row."""
    lines, doubts = _lines(row, counts)
    parts: list[CostPart] = []
    total = ZERO
    gaps: list[str] = []
    if counts.input is None:
        gaps.append("no input tokens were reported")
    if counts.output is None:
        gaps.append("no output tokens were reported")
    for kind, quantity, price in lines:
        if price is None:
            gaps.append(f"no price of {kind} is known")
            continue
        amount = EXACT.multiply(price, quantity).scaleb(-6, EXACT)
        fields = {"kind": kind, "quantity": quantity, "unit_price": price, "amount": amount, "tier": row.tier}
        parts.append(trusted(CostPart, fields))
        total = EXACT.add(total, amount)
    if not complete:
        gaps.append("the answer is not whole")
    if row.model != model:
        doubts.append(f"by the price of its family, '{row.model}'")
    if row.head.community:
        doubts.append("by a list that a community keeps")
    provenance: Provenance = "lower_bound" if gaps else "estimated" if doubts else "exact"
    return trusted(
        Cost,
        {
            "amount": total,
            "currency": row.head.currency,
            "parts": tuple(parts),
            "provenance": provenance,
            "reason": "; ".join((*gaps, *doubts)) or None,
            "source": row.cite,
            "saved": None,
            "converted": None,
        },
    )


def unknown(reason: str) -> Cost:
    """A cost that is not known."""
    return trusted(Cost, {**_NOTHING, "reason": reason})


_Line: TypeAlias = tuple[str, int, Decimal | None]


def _lines(row: PriceRow, counts: Counts) -> tuple[list[_Line], list[str]]:
    """What is paid for, each with its price, and what about it is not quite known."""
    prices = row.prices
    text = counts.input or 0
    lines: list[_Line] = []
    doubts: list[str] = []
    if counts.cached or counts.explicit_cached or counts.cache_write:
        for kind, quantity in (
            ("cached_input", counts.cached),
            ("explicit_cached_input", counts.explicit_cached),
            ("cache_write", counts.cache_write),
        ):
            if quantity:
                price = getattr(prices, kind)
                if price is None:
                    price, doubt = _usual(row, kind)
                    doubts.append(doubt)
                lines.append((kind, quantity, price))
    if counts.images and prices.image_input is not None:
        lines.append(("image_input", counts.images, prices.image_input))
    if counts.audio and prices.audio_input is not None:
        lines.append(("audio_input", counts.audio, prices.audio_input))
    if lines:
        text -= sum(quantity for _, quantity, _ in lines)
        if text < 0:
            doubts.append("the reported parts of the input are more than all of it")
    if text > 0:
        lines.insert(0, ("input", text, prices.input))
    if counts.audio_output and prices.audio_output is not None:
        # The text that is spoken comes with it and is not paid for.
        lines.append(("audio_output", counts.audio_output, prices.audio_output))
    elif counts.output:
        kind = _kind_of_output(row, counts)
        lines.append((kind, counts.output, getattr(prices, kind)))
    return lines, doubts


def _kind_of_output(row: PriceRow, counts: Counts) -> str:
    if counts.thinking and row.prices.thinking_output is not None:
        return "thinking_output"
    if (counts.images or counts.audio) and row.prices.multimodal_output is not None:
        return "multimodal_output"
    return "output"


def _usual(row: PriceRow, kind: str) -> tuple[Decimal, str]:
    """What stands in for a price of a cache that the source does not have."""
    share: Decimal | None = getattr(row.head, f"{kind}_share")
    if share is None:
        return row.prices.input, f"no price of {kind} is known: that of input was taken"
    price = EXACT.multiply(row.prices.input, share)
    return price, f"no price of {kind} is known: the usual part of that of input was taken, {share}"


def _has_thought(response: Response) -> bool:
    """Whether an answer shows reasoning: not every wire counts its tokens."""
    if isinstance(response, ChatResponse):
        for choice in response.choices:
            if choice.message.reasoning_content:
                return True
    return False


def _hit(response: Response, cost: Cost) -> Cost:
    """What an answer cost that may have come from a cache."""
    if not response.cached:
        return cost
    return trusted(
        Cost,
        {
            **_NOTHING,
            "amount": ZERO,
            "currency": cost.currency,
            "provenance": "exact",
            "reason": "answered from the cache",
            "source": cost.source,
            "saved": cost.amount,
        },
    )


def _spoken(raw: Mapping[str, Any] | None) -> int:
    """The tokens of spoken output: among the details that only the provider's own object of a usage has."""
    if not raw:
        return 0
    for name in ("completion_tokens_details", "output_tokens_details"):
        details = raw.get(name)
        if isinstance(details, Mapping) and details.get("audio_tokens").__class__ is int:
            return max(int(details["audio_tokens"]), 0)
    return 0


_NOTHING: dict[str, object] = {name: field.get_default() for name, field in Cost.model_fields.items()}

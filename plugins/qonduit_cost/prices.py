"""Price rows, and the sum that a row and a usage make. All arithmetic is in Decimal."""

from __future__ import annotations

import datetime
import tomllib
from decimal import Decimal
from functools import cache, lru_cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from qonduit import Cost, CostPart, Usage
from qonduit.value import trusted

MILLION = Decimal(1_000_000)
Amount = Annotated[Decimal, Field(ge=0)]


class Price(BaseModel):
    """One row. Prices are per million tokens; None where the source says none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    region: str
    currency: str
    up_to: int | None = None
    input: Amount
    output: Amount | None = None
    thinking_output: Amount | None = None
    cached_input: Amount | None = None
    explicit_cached_input: Amount | None = None
    cache_write: Amount | None = None
    source: str
    date: datetime.date


@cache
def catalogue() -> tuple[Price, ...]:
    """The rows that are part of the package."""
    text = (files("qonduit_cost") / "prices.toml").read_text(encoding="utf-8")
    return tuple(Price.model_validate(row) for row in tomllib.loads(text)["price"])


def find(model: str, region: str, input_tokens: int) -> Price | str:
    """The newest row for an input of this size, or the reason why there is none."""
    tiers = _tiers(model, region)
    if isinstance(tiers, str):
        return tiers
    for row in tiers:
        if row.up_to is None or input_tokens <= row.up_to:
            return row
    return f"no price of model '{model}' is known for an input of {input_tokens} tokens"


@lru_cache(maxsize=1024)
def _tiers(model: str, region: str) -> tuple[Price, ...] | str:
    """The newest rows of a model, the tier of the smallest inputs first."""
    of_model = [row for row in catalogue() if row.model == model]
    if not of_model:
        return f"no price of model '{model}' is known"
    rows = [row for row in of_model if row.region == region]
    if not rows:
        return f"no price of model '{model}' is known for region '{region}'"
    newest = max(row.date for row in rows)
    return tuple(sorted((row for row in rows if row.date == newest), key=lambda row: row.up_to or 0))


def cost_of(price: Price, usage: Usage, *, complete: bool) -> Cost:
    """What `usage` costs by `price`. An answer that is not whole costs at least this."""
    input_tokens = usage.input_tokens or 0
    output_tokens = usage.output_tokens or 0
    cached = usage.cached_tokens or 0
    explicit = usage.explicit_cached_tokens or 0
    written = usage.cache_write_tokens or 0
    thought = bool(usage.reasoning_tokens)
    lines = (
        ("input", max(input_tokens - cached - explicit - written, 0), price.input),
        ("cached_input", cached, price.cached_input),
        ("explicit_cached_input", explicit, price.explicit_cached_input),
        ("cache_write", written, price.cache_write),
        # A request that ran in thinking mode pays for all of its output at that price.
        ("thinking_output", output_tokens, price.thinking_output)
        if thought and price.thinking_output is not None
        else ("output", output_tokens, price.output),
    )
    parts = tuple(
        trusted(CostPart, {"kind": kind, "quantity": quantity, "unit_price": unit, "amount": quantity * unit / MILLION})
        for kind, quantity, unit in lines
        if quantity and unit is not None
    )
    missing = [kind for kind, quantity, unit in lines if quantity and unit is None]
    reason = f"no price is known for: {', '.join(missing)}" if missing else None
    if not complete:
        reason = "the answer is not whole"
    return trusted(
        Cost,
        {
            "amount": sum((part.amount for part in parts), Decimal(0)),
            "currency": price.currency,
            "parts": parts,
            "provenance": "lower_bound" if reason else "exact",
            "reason": reason,
            "source": f"{price.source} ({price.date})",
        },
    )

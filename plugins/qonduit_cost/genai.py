"""Prices of OpenAI and other vendors' servers, from the package `genai-prices` (the extra of that name), in USD."""

from __future__ import annotations

from decimal import Decimal
from importlib.metadata import version
from typing import Any

from qonduit_cost.rows import ListHead, PriceRow, Prices, row_of

_COLUMNS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "audio_input": "input_audio_mtok",
    "audio_output": "output_audio_mtok",
}


def rows_of(provider: str, model: str, base_url: str) -> tuple[PriceRow, ...] | str:
    """The rows of a model on the server at `base_url`, or the sentence that says why there are none.

    Whose server it is is told by its address alone: a server of one's own may call its models as it likes.
    """
    try:
        from genai_prices import Usage, calc_price  # noqa: PLC0415  # an extra, and slow to import
    except ImportError:
        return (
            f"no price of model '{model}' of provider '{provider}' is known: install qonduit[genai-prices], "
            "or name your own in the option 'prices'"
        )
    try:
        found = calc_price(Usage(input_tokens=0, output_tokens=0), model, provider_api_url=base_url)
    except LookupError:
        return f"no price of model '{model}' on the server of provider '{provider}' is known to genai-prices"
    head = ListHead(source=f"genai-prices {version('genai-prices')}", currency="USD")
    return _rows(found.model_price, model, head)


def _rows(price: Any, model: str, head: ListHead) -> tuple[PriceRow, ...] | str:
    """One row for each range of lengths in which no price changes."""
    listed = {name: getattr(price, column, None) for name, column in _COLUMNS.items()}
    if listed["input"] is None:
        return f"genai-prices has no price of input of model '{model}'"
    for kind in ("cached_input", "cache_write"):
        listed[kind] = listed["input"] if listed[kind] is None else listed[kind]
    listed["explicit_cached_input"] = listed["cached_input"]
    starts = sorted({tier.start for value in listed.values() for tier in getattr(value, "tiers", ())})
    rows = []
    above: int | None = None
    for up_to in (*starts, None):
        at = (above or 0) + 1
        columns = {name: _at(value, at) for name, value in listed.items()}
        prices = Prices.model_validate({"model": model, "up_to": up_to, **columns})
        rows.append(row_of(model, head, prices, above))
        above = up_to
    return tuple(rows)


def _at(value: Any, tokens: int) -> Decimal | None:
    """The price for an input of so many tokens."""
    if value is None or isinstance(value, Decimal):
        return value
    price = value.base
    for tier in value.tiers:
        if tokens > tier.start:
            price = tier.price
    return Decimal(price)

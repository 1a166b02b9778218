"""`qonduit cost prices MODEL`: what a model costs, where, since when and by which source."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from qonduit_cli.failures import UsageError
from qonduit_cli.output import note, say, table, write
from qonduit_cost.catalogue import Catalogue, family_of
from qonduit_cost.rows import PriceRow, Prices

OPENAI = "https://api.openai.com/v1"
"""Where a model is looked for that the lists do not have."""

_COLUMNS = [name for name in Prices.model_fields if name not in ("model", "models", "up_to", "note")]


def show_prices(
    model: str, *, region: str | None = None, prices: str | Path | None = None, as_json: bool = False
) -> int:
    """Print every price row of a model: those that hold, and those that newer ones replaced.

    `region` leaves out the others; `prices` is a file of one's own, as the option of that name.
    Raises: UsageError when no price of the model is known.
    """
    catalogue = Catalogue(prices)
    lists = [
        rows for rows in _lists(catalogue, model) if region is None or region in (rows[0].head.regions or (region,))
    ]
    if not lists:
        raise UsageError(_nothing(catalogue, model, region))
    if as_json:
        write(json.dumps([_as_json(catalogue, model, rows) for rows in lists], ensure_ascii=False, indent=2) + "\n")
        return 0
    for number, rows in enumerate(lists):
        if number:
            say()
        _print_list(catalogue, model, rows)
    if all(rows[0].model != model for rows in lists):
        note("note", f"'{model}' has no prices of its own: these are of its family, and a cost by them is estimated")
    return 0


def _lists(catalogue: Catalogue, model: str) -> list[list[PriceRow]]:
    """The rows of a model, those of each list together; else those of its family; else OpenAI's."""
    rows: Iterable[PriceRow] = (
        catalogue.history(model)
        or catalogue.history(family_of(model))
        or catalogue.tiers("openai", model, None, OPENAI)
    )
    return [list(group) for _, group in groupby(rows, key=lambda row: id(row.head))]


def _is_in(rows: list[PriceRow], region: str | None) -> bool:
    return region is None or rows[0].head.regions is None or region in rows[0].head.regions


def _holds(catalogue: Catalogue, model: str, rows: list[PriceRow]) -> bool:
    """Whether a list is the one that a call would be priced by, in one of its regions."""
    head = rows[0].head
    found = (
        catalogue.tiers(provider, model, region, OPENAI)
        for provider in head.providers or ("openai",)
        for region in head.regions or (None,)
    )
    return any(tiers and tiers[0].head == head for tiers in found)


def _print_list(catalogue: Catalogue, model: str, rows: list[PriceRow]) -> None:
    head = rows[0].head
    place = ", ".join(head.regions) if head.regions else "any region"
    state = "" if _holds(catalogue, model, rows) else " - not used: another list goes before it"
    say(f"{rows[0].model}, {place}, {head.currency} per million tokens{state}")
    say(f"source: {rows[0].cite}{' (kept by a community)' if head.community else ''}")
    columns = [name for name in _COLUMNS if any(getattr(row.prices, name) is not None for row in rows)]
    table(
        ("TIER", *(name.replace("_", " ").upper() for name in columns)),
        [(row.tier or "any input", *(_figure(getattr(row.prices, name)) for name in columns)) for row in rows],
    )
    for text in dict.fromkeys(row.prices.note for row in rows if row.prices.note):
        say(f"note: {text}")


def _figure(price: Decimal | None) -> str:
    return "-" if price is None else format(price.normalize(), "f")


def _as_json(catalogue: Catalogue, model: str, rows: list[PriceRow]) -> dict[str, Any]:
    head = rows[0].head
    return {
        "model": rows[0].model,
        "regions": head.regions,
        "currency": head.currency,
        "per": 1_000_000,
        "source": head.source,
        "date": None if head.date is None else head.date.isoformat(),
        "community": head.community,
        "used": _holds(catalogue, model, rows),
        "tiers": [
            {"tier": row.tier}
            | {name: _figure(value) for name in _COLUMNS if (value := getattr(row.prices, name)) is not None}
            | ({"note": row.prices.note} if row.prices.note else {})
            for row in rows
        ],
    }


def _nothing(catalogue: Catalogue, model: str, region: str | None) -> str:
    where = "" if region is None else f" in region '{region}'"
    near = difflib.get_close_matches(model, catalogue.models(), n=3, cutoff=0.6)
    hint = f" (did you mean {' or '.join(near)}?)" if near and model not in near else ""
    return f"no price of model '{model}' is known{where}{hint}."

"""Costs: exact, monotone in what is used, never in two currencies; of any usage that any wire may report."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.plugins.cost.prices import answer, profile

from qonduit import Cost, Usage
from qonduit_cost.arithmetic import Counts, bill, cost_of
from qonduit_cost.catalogue import Catalogue
from qonduit_cost.currency import Display, Rates
from qonduit_cost.rows import PriceRow

CATALOGUE = Catalogue()
ROWS = [row for model in CATALOGUE.models() for row in CATALOGUE.history(model)]
TIERED = [
    tiers
    for model in CATALOGUE.models()
    for region in ("cn-beijing", "ap-southeast-1")
    if len(tiers := CATALOGUE.tiers("qwen", model, region)) > 1
]
TOKENS = st.integers(0, 2_000_000)
MOST = (1 << 53) - 1

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NO_INTEGER = st.integers(max_value=-1) | st.integers(min_value=MOST + 1)
NO_COUNT = st.one_of(st.none(), st.booleans(), NO_INTEGER, FINITE, st.text(), st.lists(st.integers(), max_size=2))
COUNT = st.one_of(st.integers(0, 10_000), st.integers(0, MOST), NO_COUNT)
NAMES = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens", "cached_tokens")
DETAIL = st.one_of(
    st.dictionaries(st.sampled_from(["cached_tokens", "audio_tokens", "image_tokens", "reasoning_tokens"]), COUNT),
    NO_COUNT,
)
USAGES = st.builds(
    lambda counts, read, written: {**counts, "prompt_tokens_details": read, "completion_tokens_details": written},
    st.dictionaries(st.sampled_from(NAMES), COUNT),
    DETAIL,
    DETAIL,
)


@pytest.mark.F44
@settings(deadline=None)
@given(USAGES)
def test_any_usage_has_a_cost_or_none(wire: dict[str, Any]) -> None:
    """No usage breaks the sum; what it does not say is unknown, and the amount is never negative and never a float."""
    usage = Usage.model_validate(wire)
    counts = {name: value for name, value in usage if name != "raw"}
    for count in counts.values():
        assert count is None or (type(count) is int and 0 <= count <= MOST)
    cost = cost_of(CATALOGUE, answer().replace(usage=usage), profile(), "chat")
    if usage.input_tokens is None and usage.output_tokens is None:
        assert (cost.amount, cost.provenance) == (None, "unknown")
        return
    if cost.amount is None:
        assert "no price" in (cost.reason or "")  # of so long an input
        return
    check(cost)
    if usage.input_tokens is None or usage.output_tokens is None:
        assert cost.provenance == "lower_bound"


@pytest.mark.F44
@given(st.lists(st.none() | st.builds(Usage, input_tokens=st.none() | st.integers(0, MOST)), max_size=4))
def test_the_sum_of_usages_says_only_what_all_of_them_say(usages: list[Usage | None]) -> None:
    """Of several requests of one call: a count that one of them left out is unknown, like one that is too large."""
    total = Usage.total(usages)
    counts = [usage.input_tokens if usage is not None else None for usage in usages]
    if not usages or None in usages:
        assert total is None
    else:
        assert total is not None
        known = [count for count in counts if count is not None]
        whole = sum(known) if len(known) == len(counts) else None
        assert total.input_tokens == (whole if whole is None or whole <= MOST else None)
        assert total.output_tokens is None


def check(cost: Cost) -> None:
    """What holds of every known cost."""
    assert type(cost.amount) is Decimal
    assert cost.amount >= 0
    assert cost.amount == sum(part.amount for part in cost.parts)
    for part in cost.parts:
        assert type(part.amount) is type(part.unit_price) is Decimal
        assert part.quantity > 0
        assert part.amount == part.quantity * part.unit_price / 1_000_000
    assert cost.currency in {"CNY", "USD"}


@given(st.sampled_from(ROWS), TOKENS, st.integers(0, 100_000), st.integers(0, 2_000_000), st.booleans())
def test_input_from_a_cache_is_never_dearer(row: PriceRow, tokens: int, output: int, cached: int, marked: bool) -> None:
    """In no row of the catalogue; and writing to a cache is never cheaper."""
    cached = min(cached, tokens)
    field = "explicit_cached" if marked else "cached"
    whole = bill(row, row.model, Counts(tokens, output))
    read = bill(row, row.model, Counts(tokens, output, **{field: cached}))
    written = bill(row, row.model, Counts(tokens, output, cache_write=cached))
    assert whole.amount is not None
    assert read.amount is not None
    assert written.amount is not None
    assert read.amount <= whole.amount <= written.amount
    for cost in (whole, read, written):
        assert cost.currency == row.currency


@given(st.sampled_from(TIERED), st.integers(-3, 3), st.integers(0, 50_000), st.integers(0, 3))
def test_a_border_of_tiers_makes_nothing_cheaper(tiers: list[PriceRow], step: int, output: int, place: int) -> None:
    """Of each model with tiers: one token more never costs less, at a border or beside it."""
    lower, _ = list(itertools.pairwise(tiers))[place % (len(tiers) - 1)]
    border = lower.prices.up_to
    assert border is not None

    def amount(tokens: int) -> Decimal:
        row = next(row for row in tiers if row.prices.up_to is None or tokens <= row.prices.up_to)
        found = bill(row, row.model, Counts(tokens, output)).amount
        assert found is not None
        return found

    assert amount(border + step) <= amount(border + step + 1)


@given(st.sampled_from(ROWS), TOKENS, st.integers(0, 100_000))
def test_a_cost_in_another_currency_is_beside_its_own(row: PriceRow, tokens: int, output: int) -> None:
    """The amount and its parts stay in the currency of the list; what it is worth in another stands apart."""
    rates = Rates.model_validate({"base": "CNY", "date": "2026-11-20", "rates": {"USD": "8"}})
    cost = bill(row, row.model, Counts(tokens, output))
    assert cost.amount is not None
    for currency in ("CNY", "USD"):
        shown = Display(currency, rates).show(cost)
        assert (shown.amount, shown.currency, shown.parts) == (cost.amount, cost.currency, cost.parts)
        assert shown.converted is not None
        assert (shown.converted.currency, shown.converted.date) == (currency, rates.date)
        assert shown.converted.amount == cost.amount * shown.converted.rate

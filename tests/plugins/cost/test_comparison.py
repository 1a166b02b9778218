"""Others' figures: litellm's list, and what `genai-prices` itself makes of a usage."""

from __future__ import annotations

import builtins
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage as GenaiUsage
from genai_prices import calc_price

from qonduit_cost.arithmetic import cost_of
from qonduit_cost.catalogue import Catalogue

from .prices import OPENAI, answer, openai, profile

CATALOGUE = Catalogue()
DOLLARS = Catalogue(currency="USD")

LITELLM: dict[str, list[tuple[int | None, str, str]]] = {
    "qwen-plus-latest": [(256_000, "0.40", "1.20"), (1_000_000, "1.20", "3.60")],
    "qwen3-max": [(32_000, "1.20", "6"), (128_000, "2.40", "12"), (252_000, "3", "15")],
    "qwen3-max-preview": [(32_000, "1.20", "6"), (128_000, "2.40", "12"), (252_000, "3", "15")],
    "qwen-flash": [(256_000, "0.05", "0.40"), (1_000_000, "0.25", "2")],
    "qwen3-coder-plus": [(32_000, "1", "5"), (128_000, "1.80", "9"), (256_000, "3", "15"), (1_000_000, "6", "60")],
    "qwen3-coder-flash": [
        (32_000, "0.30", "1.50"),
        (128_000, "0.50", "2.50"),
        (256_000, "0.80", "4"),
        (1_000_000, "1.60", "9.60"),
    ],
    "qwen3-vl-plus": [(32_000, "0.20", "1.60"), (128_000, "0.30", "2.40"), (256_000, "0.60", "4.80")],
    "qwen3.5-plus": [(256_000, "0.40", "2.40"), (1_000_000, "0.50", "3")],
    "qwen3-next-80b-a3b-instruct": [(None, "0.15", "1.20")],
    "qwen3-next-80b-a3b-thinking": [(None, "0.15", "1.20")],
    "qwen3-vl-235b-a22b-instruct": [(None, "0.40", "1.60")],
    "qwen3-vl-235b-a22b-thinking": [(None, "0.40", "4")],
    "qwen3-vl-32b-instruct": [(None, "0.16", "0.64")],
    "qwq-plus": [(None, "0.80", "2.40")],
}
"""USD per million tokens of input and output, by litellm, for the international deployment.

Source: https://github.com/BerriAI/litellm (00035b6), model_prices_and_context_window.json, and the release notes of
v1.77.2 (https://docs.litellm.ai/release_notes/v1-77-2, 2025-09-13). Both read on 2026-11-21.
"""
CNY_PER_USD = (Decimal("7.33"), Decimal("7.35"))
"""The vendor's page has the same prices in CNY, at one rate: 7.339."""


@pytest.mark.parametrize("model", LITELLM)
def test_litellms_prices(model: str) -> None:
    """Tier by tier the same, but for the unit of "K": litellm has 1000 tokens, the vendor's catalogue 1024."""
    tiers = CATALOGUE.tiers("qwen", model, "ap-southeast-1")
    assert len(tiers) == len(LITELLM[model])
    for row, (up_to, input_price, output_price) in zip(tiers, LITELLM[model], strict=True):
        assert row.prices.output is not None
        assert CNY_PER_USD[0] < row.prices.input / Decimal(input_price) < CNY_PER_USD[1]
        assert CNY_PER_USD[0] < row.prices.output / Decimal(output_price) < CNY_PER_USD[1]
        assert (row.prices.up_to is None) == (up_to is None)
        assert up_to is None or up_to <= (row.prices.up_to or 0) <= up_to * 1.05


def test_the_communitys_dollars_are_litellms() -> None:
    """models.dev and litellm agree on the lowest tier, where both have the model."""
    for model, tiers in LITELLM.items():
        rows = DOLLARS.tiers("qwen", model, "ap-southeast-1")
        if rows and rows[0].model == model:
            assert (rows[0].prices.input, rows[0].prices.output) == (Decimal(tiers[0][1]), Decimal(tiers[0][2]))


def test_one_price_is_another() -> None:
    """qwen3-vl-32b-thinking: litellm has 2.87 USD of output; the page has what the model without thinking costs."""
    (row,) = CATALOGUE.tiers("qwen", "qwen3-vl-32b-thinking", "ap-southeast-1")
    assert (row.prices.input, row.prices.output) == (Decimal("1.174"), Decimal("4.697"))


def test_litellm_pays_for_less_thinking() -> None:
    """It prices the reasoning tokens alone at the thinking price; the vendor, and so this, all output of the request.

    Source: litellm/llms/dashscope/cost_calculator.py at 0176e4b.
    """
    usage = {"input_tokens": 0, "output_tokens": 100, "reasoning_tokens": 40}
    cost = cost_of(CATALOGUE, answer(usage=usage), profile(), "chat")
    theirs = (60 * Decimal(2) + 40 * Decimal(8)) / 1_000_000
    assert cost.amount == 100 * Decimal(8) / 1_000_000
    assert theirs < cost.amount


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini", "o3", "gpt-5.4", "gpt-5", "text-embedding-3-small"])
@pytest.mark.parametrize("tokens", [1, 1000, 272_000, 272_001, 300_000])
@pytest.mark.parametrize("cached", [0, 1])
def test_genai_prices_makes_the_same_sum(model: str, tokens: int, cached: int) -> None:
    """Rows that are read from genai-prices, added up here, give what it gives itself."""
    reading = tokens // 2 * cached
    usage: dict[str, Any] = {"input_tokens": tokens, "output_tokens": 77, "cached_tokens": reading}
    genai = GenaiUsage(input_tokens=tokens, output_tokens=77, cache_read_tokens=reading or None)
    if model.startswith("text-embedding"):
        usage["output_tokens"], genai = 0, GenaiUsage(input_tokens=tokens, cache_read_tokens=reading or None)
    cost = cost_of(CATALOGUE, answer(model, usage=usage), openai(model), "chat")
    theirs = calc_price(genai, model, provider_api_url=OPENAI)
    assert (cost.amount, cost.currency, cost.provenance) == (theirs.total_price, "USD", "exact")
    assert (cost.source or "").startswith("genai-prices ")


@pytest.mark.parametrize("base_url", ["http://localhost:8000/v1", "https://llm.example.com/v1"])
def test_a_server_of_ones_own_has_no_vendors_prices(base_url: str) -> None:
    """A model that somebody calls gpt-4o is not OpenAI's: the address decides."""
    where = profile("gpt-4o", provider="openai", region=None, base_url=base_url)
    cost = cost_of(CATALOGUE, answer("gpt-4o", usage={"input_tokens": 1, "output_tokens": 1}), where, "chat")
    assert cost.amount is None
    assert cost.reason == "no price of model 'gpt-4o' on the server of provider 'openai' is known to genai-prices"


def test_without_the_extra_the_mend_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, and the reason names what to install."""
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("genai_prices"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    response = answer("gpt-4o", usage={"input_tokens": 1, "output_tokens": 1})
    cost = cost_of(Catalogue(), response, openai("gpt-4o"), "chat")
    assert cost.amount is None
    assert "install qonduit[genai-prices]" in (cost.reason or "")

"""Estimates before a call, and lower bounds after a broken one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from qonduit import ChatRequest, EmbeddingRequest, Profile, RerankRequest
from qonduit.model_list import ModelsRequest
from qonduit_cost.arithmetic import cost_of
from qonduit_cost.catalogue import Catalogue
from qonduit_cost.estimate import estimate, longest_answer, lower_bound, may_think
from qonduit_cost.tokens import input_at_least, input_at_most

from .prices import answer, ask, profile

CATALOGUE = Catalogue()


def bound(model: str = "qwen-plus", **fields: Any) -> int | None:
    """The longest answer to a request."""
    return longest_answer(ask("你好", model=model, **fields), profile(model).models.get(model))


@pytest.mark.parametrize(
    ("model", "fields", "tokens"),
    [
        ("qwen-plus", {}, 32_768),
        ("qwen-plus", {"max_tokens": 100}, 100),
        ("qwen-plus", {"max_tokens": 100, "n": 3}, 300),
        ("qwen-plus", {"max_tokens": 100, "reasoning": True}, 100 + 81_920),
        ("qwen-plus", {"max_tokens": 100, "reasoning": 500}, 600),
        ("qwen-plus", {"max_completion_tokens": 100, "reasoning": True}, 100),
        ("qwen-plus", {"max_tokens": 100, "extra_body": {"enable_thinking": True, "thinking_budget": 7}}, 107),
        ("qwen-plus", {"max_tokens": 100, "extra_body": {"max_tokens": 900}}, 900),
        ("qwen-plus", {"max_tokens": 100, "extra_body": {"max_tokens": "many"}}, 32_768),
        ("qwen3.6-plus", {"max_tokens": 100, "reasoning": False}, 100),
        ("unheard-of", {}, None),
        ("unheard-of", {"max_tokens": 100}, 100),
        ("unheard-of", {"max_tokens": 100, "reasoning": 50}, 150),
        ("unheard-of", {"max_tokens": 100, "reasoning": True}, None),
    ],
)
def test_the_longest_answer(model: str, fields: dict[str, Any], tokens: int | None) -> None:
    """`max_tokens` does not bound thinking, `max_completion_tokens` does; `n` multiplies; else the table says."""
    assert bound(model, **fields) == tokens


@pytest.mark.parametrize(
    ("model", "fields", "thinks"),
    [
        ("qwen-plus", {}, False),
        ("qwen-plus", {"reasoning": True}, True),
        ("qwen-plus", {"reasoning": "low"}, True),
        ("qwen-plus", {"extra_body": {"enable_thinking": True}}, True),
        ("qwen-plus", {"reasoning": True, "extra_body": {"enable_thinking": False}}, False),
        ("qwen3.6-plus", {}, True),
        ("qwen3.6-plus", {"reasoning": False}, False),
        ("qwq-plus", {"reasoning": False}, True),
        ("unheard-of", {}, True),
    ],
)
def test_whether_a_request_may_think(model: str, fields: dict[str, Any], thinks: bool) -> None:
    """By its own switch, else by the model's default; a model that cannot but think does."""
    assert may_think(ask("你好", model=model, **fields), profile(model).models.get(model)) is thinks


def test_an_estimate_is_the_most_that_a_call_can_cost() -> None:
    """Input by the local rule, output by the limit, each at its price."""
    request = ask("你好，世界", max_tokens=1000)
    cost = estimate(CATALOGUE, request, profile())
    tokens = input_at_most(request)
    assert cost.amount == (tokens * Decimal("0.8") + 1000 * Decimal(2)) / 1_000_000
    assert (cost.provenance, cost.currency) == ("estimated", "CNY")
    assert cost.reason == f"at most {tokens} tokens of input and 1000 of output"


def test_the_thinking_price_where_the_request_may_think() -> None:
    """All of the output is estimated at it."""
    cost = estimate(CATALOGUE, ask("你好", max_tokens=1000, reasoning=0), profile())
    assert cost.parts[-1].kind == "thinking_output"


def test_marked_input_is_estimated_as_written() -> None:
    """A cache that may have to be made costs more than plain input."""
    part = {"type": "text", "text": "你好" * 500, "cache_control": {"type": "ephemeral"}}
    marked = ChatRequest.of({"messages": [{"role": "user", "content": [part]}], "max_tokens": 10})
    plain = ChatRequest.of({"messages": [{"role": "user", "content": "你好" * 500}], "max_tokens": 10})
    more, less = estimate(CATALOGUE, marked, profile()).amount, estimate(CATALOGUE, plain, profile()).amount
    assert more is not None
    assert less is not None
    assert more > less


def test_the_input_is_never_more_than_the_model_takes() -> None:
    """A longer one is refused by the server and costs nothing; so the highest tier has a price."""
    cost = estimate(CATALOGUE, ask("word " * 2_000_000, max_tokens=1), profile())
    assert cost.parts[0].quantity == 997_952
    assert cost.amount is not None


@pytest.mark.parametrize(
    ("request_", "where", "reason"),
    [
        (ask("你好", model="unheard-of"), profile(), "the longest answer of model 'unheard-of' is not known"),
        (ask("你好", model="unheard-of", max_tokens=5), profile(), "no price of model 'unheard-of' is known"),
        (ask("你好", max_tokens=5), profile(region="mars"), "no price of model 'qwen-plus' is known for region 'mars'"),
    ],
)
def test_what_cannot_be_estimated_is_said(request_: ChatRequest, where: Profile, reason: str) -> None:
    """None, with what is missing."""
    cost = estimate(CATALOGUE, request_, where)
    assert (cost.amount, cost.provenance) == (None, "unknown")
    assert (cost.reason or "").startswith(reason)


def test_other_operations() -> None:
    """Embeddings and rerank have input only; lists cost nothing."""
    embedding = estimate(CATALOGUE, EmbeddingRequest(input=("你好",), model="text-embedding-v4"), profile())
    assert [part.kind for part in embedding.parts] == ["input"]
    ranking = RerankRequest(query="你好", documents=("世界",), model="gte-rerank-v2")
    assert estimate(CATALOGUE, ranking, profile()).amount is not None
    assert estimate(CATALOGUE, ModelsRequest(), profile()).amount == 0


@pytest.mark.parametrize("model", ["qwen-plus", "qwen3.6-plus", "qwen3-max", "qwen-flash"])
@pytest.mark.parametrize("fields", [{}, {"max_tokens": 50}, {"reasoning": True, "max_tokens": 50}])
def test_no_answer_costs_more_than_the_estimate(model: str, fields: dict[str, Any]) -> None:
    """Whatever usage the limits allow costs no more than was estimated, at any tier below."""
    request = ask("你好，世界。Hello, world." * 50, model=model, **fields)
    most = estimate(CATALOGUE, request, profile(model)).amount
    assert most is not None
    output = longest_answer(request, profile(model).models.get(model)) or 0
    thinking = may_think(request, profile(model).models.get(model))
    for tokens in range(1, input_at_most(request), 97):
        usage = {"input_tokens": tokens, "output_tokens": output, "reasoning_tokens": 1 if thinking else 0}
        cost = cost_of(CATALOGUE, answer(model, usage=usage), profile(model), "chat").amount
        assert cost is not None
        assert cost <= most


def test_a_broken_stream_costs_at_least_what_arrived() -> None:
    """Without usage: input and output by the lower rule."""
    request = ask("你好，世界，" * 100)
    message = {"role": "assistant", "content": "一二三四" * 50}
    partial = answer(complete=False, choices=[{"message": message}])
    cost = lower_bound(CATALOGUE, request, partial, profile())
    expected = (input_at_least(request) * Decimal("0.8") + 50 * Decimal(2)) / 1_000_000
    assert (cost.amount, cost.provenance, cost.reason) == (expected, "lower_bound", "the answer is not whole")


@pytest.mark.F43
def test_usage_so_far_goes_before_the_rule() -> None:
    """What the provider counted holds; output that arrived after it counts too."""
    message = {"role": "assistant", "content": "一二三四" * 50, "reasoning_content": "想"}
    usage = {"input_tokens": 1000, "output_tokens": 10}
    partial = answer(complete=False, choices=[{"message": message}], usage=usage)
    cost = lower_bound(CATALOGUE, ask("你好"), partial, profile())
    assert [(part.kind, part.quantity) for part in cost.parts] == [("input", 1000), ("thinking_output", 51)]
    assert cost.provenance == "lower_bound"


def test_nothing_that_arrived_is_unknown() -> None:
    """A request that was sent and never answered may have been billed or not."""
    cost = lower_bound(CATALOGUE, ask("你好"), None, profile())
    assert (cost.amount, cost.provenance) == (None, "unknown")
    assert cost.reason == "nothing of an answer arrived: it may have been billed or not"

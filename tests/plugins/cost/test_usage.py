"""Usage that is no usage: the answer is given, its cost is unknown or a lower bound and says why, and never 0."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, Reply
from tests.pipeline.modes import Mode
from tests.plugins.cost.ledgers import counter, rows
from tests.wires import WIRES, Wire, dumps

from qonduit import Response
from qonduit_cost import CostPlugin
from qonduit_cost.options import CostOptions

ABSENT = object()
"""For an answer without the field."""
NO_COUNTS: dict[str, Any] = {
    "a boolean": True,
    "negative": -3,
    "a text": "12",
    "a whole number as a fraction": 5.0,
    "a fraction": 1.5,
    "beyond what is exact": 1 << 53,
    "huge": 10**30,
    "null": None,
    "a list": [5],
    "an object": {"a": 5},
}
NO_USAGES: dict[str, Any] = {
    "absent": ABSENT,
    "null": None,
    "empty": {},
    "a text": "many",
    "a number": 7,
    "a boolean": True,
    "a list": [{"prompt_tokens": 5}],
}
INPUT, OUTPUT = Decimal("0.000004"), Decimal("0.000004")
"""What 5 tokens of input and 2 of output cost with qwen-plus."""

MODEL_STUDIO = pytest.mark.parametrize("provider", ["qwen", "dashscope"])
"""OpenAI's wire and the native one; of a third provider the model has no price."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def reply(wire: Wire, usage: Any) -> Reply:
    """An answer with this usage, plain and streamed."""
    body = wire.answer()
    given = {} if usage is ABSENT else {"usage": usage}
    plain = {**{name: value for name, value in body.items() if name != "usage"}, **given}
    if wire.native:
        events = [wire.event({**plain, "model": "qwen-plus"})]
    else:
        ended = {**plain, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None}
        events = [wire.piece("hello"), wire.event(ended), wire.event({**plain, "choices": []}), b"data: [DONE]\n\n"]
    headers = {"content-type": "text/event-stream", "x-request-id": "request-1"}
    return Reply(200, headers, (dumps(plain),), tuple(events))


async def ask(mode: Mode, path: Path, provider: str, usage: Any) -> tuple[Response, dict[str, Any]]:
    """The answer to a call under a budget, and its row."""
    budget = {"name": "all", "limit": 1, "currency": "CNY"}
    cost = CostPlugin(CostOptions(ledger=str(path), budgets=[budget]))
    client = mode.client(MemoryTransport(reply(WIRES[provider], usage)), cost, provider=provider)
    told = await mode.ask(client, max_tokens=10)
    await mode.leave(client)
    cost.close()
    (row,) = rows(path)
    assert (told.response.text, row["outcome"], row["state"]) == ("hello", "answered", "settled")
    return told.response, row


@pytest.mark.F44
@MODEL_STUDIO
@pytest.mark.parametrize("usage", NO_USAGES.values(), ids=NO_USAGES)
async def test_an_answer_without_usage_has_an_unknown_cost(mode: Mode, path: Path, provider: str, usage: Any) -> None:
    """None with the reason, in the answer and in its row; a budget counts what was set aside."""
    response, row = await ask(mode, path, provider, usage)
    assert response.cost is not None
    assert (response.cost.amount, response.cost.provenance) == (None, "unknown")
    assert "reported no" in (response.cost.reason or "")
    assert (row["amount"], row["provenance"], row["reason"]) == (None, "unknown", response.cost.reason)
    assert (row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (None, None, None)
    assert counter(path) == {"all": (Decimal(row["estimate"]), 0)}
    assert Decimal(row["estimate"]) > 0


@pytest.mark.F44
@MODEL_STUDIO
@pytest.mark.parametrize("value", NO_COUNTS.values(), ids=NO_COUNTS)
@pytest.mark.parametrize("missing", ["input", "output"])
async def test_a_count_that_is_none_is_left_out_of_the_sum(
    mode: Mode, path: Path, provider: str, missing: str, value: Any
) -> None:
    """The other one is paid for: the cost is a lower bound, which names what is missing."""
    usage = WIRES[provider].usage(5, 2)
    usage[list(usage)[missing == "output"]] = value
    response, row = await ask(mode, path, provider, usage)
    assert response.usage is not None
    assert response.cost is not None
    assert (response.cost.amount, response.cost.provenance) == (INPUT if missing == "output" else OUTPUT, "lower_bound")
    assert f"no {missing} tokens were reported" in (response.cost.reason or "")
    assert getattr(response.usage, f"{missing}_tokens") is None
    assert row[f"{missing}_tokens"] is None
    assert (Decimal(row["amount"]), row["provenance"]) == (response.cost.amount, "lower_bound")


@pytest.mark.F44
@MODEL_STUDIO
@pytest.mark.parametrize("value", NO_COUNTS.values(), ids=NO_COUNTS)
async def test_a_detail_that_is_no_count_changes_nothing(mode: Mode, path: Path, provider: str, value: Any) -> None:
    """Input from a cache, thinking and sound that are not counted cost what all of it costs."""
    details = {"cached_tokens": value, "reasoning_tokens": value, "audio_tokens": value}
    usage = {**WIRES[provider].usage(5, 2), "prompt_tokens_details": details, "completion_tokens_details": details}
    response, row = await ask(mode, path, provider, usage)
    assert response.cost is not None
    assert (response.cost.amount, response.cost.provenance) == (INPUT + OUTPUT, "exact")
    assert (row["cached_tokens"], row["reasoning_tokens"], row["audio_tokens"]) == (None, None, None)
    assert counter(path) == {"all": (INPUT + OUTPUT, 0)}


@pytest.mark.F44
@MODEL_STUDIO
async def test_the_largest_count_is_paid_for_exactly(mode: Mode, path: Path, provider: str) -> None:
    """A count is bounded by what every JSON reader gets right; up to there no digit is lost."""
    most = (1 << 53) - 1
    response, row = await ask(mode, path, provider, WIRES[provider].usage(5, most))
    assert response.cost is not None
    assert response.cost.amount == INPUT + most * Decimal("0.000002")
    assert row["output_tokens"] == most

"""What calls leave in the ledger: a row for each attempt, tied by the call's id, without a word of what was said."""

from __future__ import annotations

import contextlib
import gc
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.memory import STREAM_HEADERS, MemoryTransport, Reply, event, refused, said
from tests.pipeline.modes import MODES, Mode
from tests.plugins.cost.ledgers import rows
from tests.plugins.cost.test_budgets import embeddings

from qonduit import APIConnectionError, APIError, Client, PluginError, middleware
from qonduit_cache import CachePlugin
from qonduit_cost import CostPlugin
from qonduit_cost.options import CostOptions
from qonduit_cost.sqlite import SQLiteLedger

MESSAGES = [{"role": "user", "content": "Hello"}]
CANARIES = {
    "key": "sk-canary-key-0123456789",
    "prompt": "canary-prompt",
    "answer": "canary-answer",
    "header": "canary-header",
    "proxy": "canary-proxy-password",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries do not sleep."""
    monkeypatch.setattr(
        "qonduit.retry.ExponentialRetry.delay",
        lambda self, error, attempt: 0.0 if error.retryable and attempt < 3 else None,
    )


def plugin(path: Path, **options: Any) -> CostPlugin:
    return CostPlugin(CostOptions(ledger=str(path), **options))


def client(*plugins: Any, **options: Any) -> Client:
    given = {"provider": "qwen", "model": "qwen-plus", "api_key": "sk-test", **options}
    return Client(plugins=plugins, **given)


async def test_a_row_says_who_what_where_and_how_much(mode: Mode, path: Path) -> None:
    """With the parts of the sum, from which it can be worked out again."""
    cost = plugin(path)
    asking = mode.client(MemoryTransport(said("ok")), cost, tags={"team": "a", "app": "甲"})
    await mode.ask(asking, tags={"team": "b"})
    await mode.leave(asking)
    cost.close()
    (row,) = rows(path)
    named = {name: row[name] for name in ("profile", "provider", "region", "operation", "model", "response_model")}
    assert named == {
        "profile": "qwen",
        "provider": "qwen",
        "region": "cn-beijing",
        "operation": "chat",
        "model": "qwen-plus",
        "response_model": "qwen-plus",
    }
    assert (row["streamed"], row["tags"]) == (int(mode.streamed), '{"app": "甲", "team": "b"}')
    assert (row["input_tokens"], row["output_tokens"], row["total_tokens"], row["status"]) == (7, 3, 10, 200)
    assert (row["amount"], row["currency"], row["provenance"], row["estimate"]) == ("0.0000116", "CNY", "exact", None)
    parts = json.loads(row["parts"])
    assert sum(Decimal(part["amount"]) for part in parts) == Decimal(row["amount"])
    assert [(part["kind"], part["quantity"], part["unit_price"]) for part in parts] == [
        ("input", 7, "0.8"), ("output", 3, "2"),
    ]  # fmt: skip
    assert len(row["call_id"]) == 32
    assert row["started_at"] <= row["settled_at"]
    assert row["started_at"][10] == "T"
    assert row["started_at"][-1] == "Z"


@pytest.mark.parametrize("mode", [mode for mode in MODES if not mode.streamed], ids=lambda mode: mode.name)
async def test_batches_are_attempts_of_one_call(mode: Mode, path: Path) -> None:
    """Each request has its row; the call's cost is that of all."""
    cost = plugin(path)
    asking: Any = mode.client(MemoryTransport(embeddings(10), embeddings(1)), cost, model="text-embedding-v4")
    answer = asking.embeddings.create(input=["hi"] * 11)
    response = await answer if mode.asynchronous else answer
    await mode.leave(asking)
    cost.close()
    found = rows(path)
    assert [(row["attempt"], row["operation"], row["total_tokens"]) for row in found] == [
        (1, "embeddings", 20), (1, "embeddings", 2),
    ]  # fmt: skip
    assert len({row["call_id"] for row in found}) == 1
    assert sum(Decimal(row["amount"]) for row in found) == response.cost.amount


@pytest.mark.F43
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_stream_that_nobody_closed(path: Path) -> None:
    """It is settled by the client, with what had arrived."""
    cost = plugin(path)
    asking = client(cost, MemoryTransport(said("Hello", " there")))
    stream = asking.chat.completions.create(messages=MESSAGES, stream=True)
    next(iter(stream))
    del stream
    gc.collect()
    assert [row["state"] for row in rows(path)] == ["intent"]
    asking.close()
    (row,) = rows(path)
    assert (row["outcome"], row["provenance"]) == ("incomplete", "lower_bound")
    assert Decimal(row["amount"]) > 0
    cost.close()


async def test_a_call_that_was_tried_again_says_what_it_does_not_know(mode: Mode, path: Path) -> None:
    """Its cost is the answer's own; an attempt before it may have been billed too. With a ledger or without."""
    for cost in (plugin(path), CostPlugin()):
        asking = mode.client(MemoryTransport(refused(500), said("ok")), cost)
        told = await mode.ask(asking)
        assert told.response.cost is not None
        assert told.response.cost.amount == Decimal("0.0000116")
        assert "an earlier attempt of this call may have been billed as well" in (told.response.cost.reason or "")
        await mode.leave(asking)
        cost.close()
    assert [(row["outcome"], row["error"]) for row in rows(path)] == [
        ("failed", "InternalServerError"), ("answered", None),
    ]  # fmt: skip


async def test_a_refused_attempt_costs_nothing_and_leaves_no_doubt(mode: Mode, path: Path) -> None:
    """A 429 is known to be free."""
    cost = plugin(path)
    asking = mode.client(MemoryTransport(refused(429, "Throttling.RateQuota"), said("ok")), cost)
    told = await mode.ask(asking)
    assert told.response.cost is not None
    assert told.response.cost.reason is None
    await mode.leave(asking)
    cost.close()
    first, second = rows(path)
    assert (first["sent"], first["status"], first["error"]) == ("rejected", 429, "RateLimitError: Throttling.RateQuota")
    assert (first["amount"], first["provenance"], second["attempt"]) == ("0", "exact", 2)


@pytest.mark.F43
@pytest.mark.parametrize(
    ("failure", "sent"),
    [
        (APIConnectionError("no", outcome="not_sent"), "not_sent"),
        (APIConnectionError("no", outcome="unknown"), "unknown"),
        (PluginError("broken"), "unknown"),
        (OSError("no"), "unknown"),
        (ZeroDivisionError("no"), "unknown"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
async def test_what_is_known_of_a_failure(mode: Mode, path: Path, failure: Exception, sent: str) -> None:
    """As the core says it; of what is no failure of the call's own it is not known."""
    cost = plugin(path)
    asking = mode.client(MemoryTransport(failure), cost, max_retries=0)
    with pytest.raises(Exception):  # noqa: B017, PT011  # the transport's own, or the core's
        await mode.ask(asking)
    await mode.leave(asking)
    cost.close()
    (row,) = rows(path)
    assert (row["state"], row["outcome"], row["sent"]) == ("settled", "failed", sent)
    assert row["amount"] == ("0" if sent == "not_sent" else None)


def test_keys_are_told_apart_and_not_written(path: Path) -> None:
    """Clients of `with_options` share the ledger."""
    cost = plugin(path)
    asking = client(cost, MemoryTransport(said("ok")))
    for one in (asking, asking.with_options(api_key="sk-other"), asking.with_options(model="qwen-max")):
        one.chat.completions.create(messages=MESSAGES)
    first, second, third = (row["tenant"] for row in rows(path))
    assert first == third != second
    asking.close()
    cost.close()


async def test_no_secret_is_in_any_of_its_files(mode: Mode, path: Path) -> None:
    """Neither key nor prompt nor answer, nor what a provider says in an error."""
    body = json.dumps(
        {"error": {"code": f"x {CANARIES['key']}", "message": CANARIES["prompt"]}, "request_id": f"a {CANARIES['key']}"}
    )
    answers = (
        said(CANARIES["answer"]),
        Reply(200).with_parts(b'{"model": "a %b", "choices": [], "usage": {}}' % CANARIES["prompt"].encode()),
        Reply(400, {"x-request-id": f"{CANARIES['prompt']} !"}).with_parts(body.encode()),
        Reply(200, STREAM_HEADERS, (b"{",), (event({"content": CANARIES["answer"]}, id=CANARIES["prompt"] + " "), b"")),
    )
    cost = plugin(path, budgets=[{"name": "all", "limit": 1, "currency": "CNY"}])
    for answer in answers:
        asking = mode.client(MemoryTransport(answer), cost, api_key=CANARIES["key"])
        with contextlib.suppress(APIError):
            await mode.ask(
                asking,
                messages=[{"role": "user", "content": CANARIES["prompt"]}],
                max_tokens=10,
                extra_headers={"x-canary": CANARIES["header"]},
            )
        await mode.leave(asking)
    files = list(path.parent.iterdir())
    written = b"".join(file.read_bytes() for file in files)
    cost.close()
    written += path.read_bytes()
    assert len(rows(path)) >= len(answers)
    assert [name for name, canary in CANARIES.items() if canary.encode() in written] == []


@pytest.mark.F46
async def test_a_price_file_that_cannot_be_read_loses_no_answer(mode: Mode, tmp_path: Path) -> None:
    """What was answered and paid for is given, and its row says why it has no price."""
    cost = plugin(tmp_path / "ledger.sqlite3", prices=str(tmp_path / "missing.toml"))
    asking = mode.client(MemoryTransport(said("ok")), cost)
    told = await mode.ask(asking)
    assert told.response.text == "ok"
    await mode.leave(asking)
    cost.close()
    (row,) = rows(tmp_path / "ledger.sqlite3")
    assert (row["amount"], row["provenance"], row["total_tokens"]) == (None, "unknown", 10)
    assert "missing.toml" in row["reason"]


async def test_the_caller_may_bring_a_ledger_of_its_own(mode: Mode) -> None:
    """Whatever keeps the protocol; it has no file, so nothing is kept beside it."""
    ledger = SQLiteLedger(None)
    cost = CostPlugin(ledger=ledger)
    asking = mode.client(MemoryTransport(said("ok")), cost)
    await mode.ask(asking)
    await mode.ask(asking)
    assert ledger._connection is not None
    assert ledger._connection.execute("SELECT count(*) FROM attempts").fetchone() == (2,)
    await mode.leave(asking)
    cost.close()


async def test_a_layer_around_the_attempt_may_answer_itself(mode: Mode, path: Path) -> None:
    """What never became an attempt has no row."""

    @middleware("answering", scope="attempt", wraps=("cost.attempt",))
    def answering(call: Any) -> Any:
        response = yield call.request
        return response

    cost = plugin(path)
    asking = mode.client(MemoryTransport(said("ok")), cost, answering)
    assert [layer.name for layer in asking.middleware] == ["cost", "answering", "cost.attempt"]
    await mode.ask(asking)
    assert len(rows(path)) == 1
    await mode.leave(asking)
    cost.close()


@pytest.mark.F42
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("read", [0, 1, 2])
async def test_a_hit_that_is_left_costs_nothing(path: Path, asynchronous: bool, read: int) -> None:
    """However much of the kept answer was read: its row has the amount 0, and what the whole answer would have cost."""
    mode, cost = Mode(asynchronous, streamed=True), plugin(path)
    asking = mode.client(MemoryTransport(said("Hello", " there")), cost, CachePlugin())
    whole = await mode.ask(asking)
    assert whole.response.cost is not None
    stream = await mode.start(asking)
    for _ in range(read):
        await mode.next(stream)
    await mode.leave(stream)
    assert stream.response.cached
    assert (stream.response.cost.amount, stream.response.cost.saved) == (0, whole.response.cost.amount)
    await mode.leave(asking)
    cost.close()
    _, hit = rows(path)
    assert (hit["kind"], hit["outcome"], hit["attempt"]) == ("hit", "cached", 0)
    assert (hit["amount"], hit["provenance"], hit["parts"]) == ("0", "exact", None)
    assert Decimal(hit["saved"]) == whole.response.cost.amount
    for view in ("calls", "days"):
        assert sum(row["total_tokens"] or 0 for row in rows(path, view)) == 10, "tokens of a hit are in no sum"


@pytest.mark.F46
async def test_a_text_that_no_file_can_hold_is_no_reason_to_refuse(mode: Mode, path: Path) -> None:
    """Names of files, as Python has them, may be tags; they are written as JSON writes them."""
    cost = plugin(path)
    asking = mode.client(MemoryTransport(said("ok")), cost)
    told = await mode.ask(asking, tags={"file": "\udce9t\u00e9"})
    assert told.response.text == "ok"
    await mode.leave(asking)
    cost.close()
    (row,) = rows(path)
    assert json.loads(row["tags"]) == {"file": "\udce9t\u00e9"}
    assert cost.degraded is None


def test_lists_and_counts_are_free_attempts(path: Path) -> None:
    """They are taken down as all others."""
    listing = json.dumps({"object": "list", "data": []}).encode()
    cost = plugin(path)
    asking = client(cost, MemoryTransport(Reply(200, {"content-type": "application/json"}).with_parts(listing)))
    asking.models.list()
    asking.close()
    cost.close()
    (row,) = rows(path)
    assert (row["operation"], row["amount"], row["provenance"]) == ("models", "0", "exact")

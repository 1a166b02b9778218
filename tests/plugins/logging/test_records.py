"""Every call that was started has one record, and every attempt one, with the fields that are documented."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import re
from decimal import Decimal
from typing import Any

import pytest
from tests.docs.pages import DOCS, rows
from tests.pipeline.memory import END, MemoryTransport, Reply, Waiting, body, event, refused, said
from tests.pipeline.modes import MODES, Mode
from tests.plugins.logging.capture import Handler, capturing, plugin

from qonduit import APIError, Call, ChatRequest, ChatResponse, Client, Cost, Message, StreamInterruptedError, middleware
from qonduit.response import Choice
from qonduit_logging import FIELDS, RULES
from qonduit_logging.fields import outcome_fields


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries do not sleep."""
    monkeypatch.setattr("qonduit.retry.ExponentialRetry.delay", _at_once)


def _at_once(self: Any, error: APIError, attempt: int) -> float | None:
    return 0.0 if error.retryable and attempt < 3 else None


@middleware("cache")
def hit(call):
    """A cache that always has the answer."""
    message = Message(role="assistant", content="Hi")
    yield from ()
    return ChatResponse(model="qwen-plus", choices=(Choice(message=message, finish_reason="stop"),), cached=True)


@middleware("cost")
def priced(call):
    """A cost plugin."""
    response = yield call.request
    return response.replace(cost=Cost(amount=Decimal("0.25"), currency="CNY", provenance="exact"))


async def _answered(mode: Mode, client: Any) -> None:
    await mode.ask(client)


async def _raises(mode: Mode, client: Any) -> None:
    with pytest.raises(APIError):
        await mode.ask(client)


async def _left(mode: Mode, client: Any) -> None:
    stream = await mode.start(client)
    await mode.next(stream)
    await mode.leave(stream)


BROKEN = Reply(200, {"content-type": "text/event-stream"}, (b"{",), (event({"content": "Hi"}), b""))

CASES: dict[str, tuple[list[Any], list[Any], Any, str, list[str], str | None]] = {
    # script, further layers, what the caller does, outcome of the call, of the attempts, type of the error
    "answer": ([said("Hi")], [], _answered, "answered", ["answered"], None),
    "cost": ([said("Hi")], [priced], _answered, "answered", ["answered"], None),
    "error": ([refused(401)], [], _raises, "failed", ["failed"], "AuthenticationError"),
    "retry": ([refused(503), said("Hi")], [], _answered, "answered", ["failed", "answered"], None),
    "retries in vain": ([refused(429)], [], _raises, "failed", ["failed"] * 3, "RateLimitError"),
    "cache hit": ([said("Hi")], [hit], _answered, "cached", [], None),
}


@pytest.mark.parametrize("case", CASES)
async def test_one_record_each(mode: Mode, logged: Handler, case: str) -> None:
    """However it ends, a call has one record and each attempt one, in their order, tied by an id."""
    script, layers, act, outcome, attempts, error = CASES[case]
    client = mode.client(MemoryTransport(*script), plugin(), *layers)
    await act(mode, client)
    assert logged.call["qonduit.outcome"] == outcome
    assert logged.call.get("error.type") == error
    assert logged.call["qonduit.attempts"] == len(attempts)
    assert [fields["qonduit.outcome"] for fields in logged.fields("attempt")] == attempts
    assert [fields["qonduit.attempt"] for fields in logged.fields("attempt")] == list(range(1, len(attempts) + 1))
    assert logged.records[-1].qonduit is logged.call
    assert (outcome == "cached") == ("http.response.status_code" not in logged.call)
    assert len({fields["qonduit.call.id"] for fields in logged.fields()}) == 1


async def test_an_abandoned_stream(streaming: Mode, logged: Handler) -> None:
    """A stream that was left has its records too, with what had arrived."""
    client = streaming.client(MemoryTransport(said("Hi", " there")), plugin(content="full"))
    await _left(streaming, client)
    assert [fields["qonduit.outcome"] for fields in logged.fields()] == ["incomplete", "incomplete"]
    assert logged.call["gen_ai.output.messages"][0]["parts"] == [{"type": "text", "content": "Hi"}]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_collected_stream(logged: Handler) -> None:
    """A stream that nobody closed has its record when the client settles it."""
    client = Mode(False, True).client(MemoryTransport(said("Hi", " there")), plugin())
    stream = client.chat.completions.create(messages=[{"role": "user", "content": "x"}], stream=True)
    next(stream)
    del stream
    gc.collect()
    client.close()
    assert logged.call["qonduit.outcome"] == "incomplete"


async def test_a_broken_stream(streaming: Mode, logged: Handler) -> None:
    """A stream that broke off is a failure, with what had come of the answer."""
    client = streaming.client(MemoryTransport(BROKEN), plugin(content="full"))
    with pytest.raises(StreamInterruptedError):
        await streaming.ask(client)
    assert logged.call["qonduit.outcome"] == "failed"
    assert logged.call["qonduit.sent"] == "unknown"
    assert logged.call["gen_ai.output.messages"][0]["parts"] == [{"type": "text", "content": "Hi"}]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.asynchronous], ids=lambda mode: mode.name)
@pytest.mark.parametrize("begun", [False, True], ids=["before the first chunk", "after it"])
async def test_a_cancelled_task(mode: Mode, logged: Handler, begun: bool) -> None:
    """A cancelled call has its records: "cancelled", or "incomplete" where part of the answer had been delivered."""
    waiting = Waiting()
    head = (event({"content": "Hi"}),) if begun else ()
    transport = MemoryTransport(Reply(200, {"content-type": "text/event-stream"}, (waiting,), (*head, waiting)))
    client = mode.client(transport, plugin())
    task = asyncio.create_task(mode.ask(client))
    await waiting.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    outcome = "incomplete" if begun and mode.streamed else "cancelled"
    assert [fields["qonduit.outcome"] for fields in logged.fields()] == [outcome, outcome]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_an_interruption(mode: Mode, logged: Handler, interruption: type[BaseException]) -> None:
    """Ctrl-C and its like go on, and leave their records."""
    with contextlib.ExitStack() as stack:
        client = mode.client(MemoryTransport(interruption()), plugin())
        stack.enter_context(pytest.raises(interruption))
        await mode.ask(client)
    assert [fields["qonduit.outcome"] for fields in logged.fields()] == ["cancelled", "cancelled"]
    assert logged.call["error.type"] == interruption.__name__


async def test_what_an_answer_says(mode: Mode, logged: Handler) -> None:
    """The fields of an answer, by OpenTelemetry's names where there are such."""
    usage = {
        "prompt_tokens": 70,
        "completion_tokens": 30,
        "total_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_creation_input_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    plain = body("Hi").replace(b'"usage": {', b'"usage_before": {')
    plain = plain[:-1] + b', "usage": ' + str(usage).replace("'", '"').encode() + b"}"
    events = (event({"content": "Hi"}), event({}, finish="stop"), event(None, usage=usage), b"data: [DONE]\n\n")
    reply = Reply(200, {"content-type": "text/event-stream", "x-request-id": "r-1"}, (plain,), events)
    client = mode.client(MemoryTransport(reply), plugin(), priced, tags={"user": "u-1"})
    await mode.ask(client, temperature=0.5, max_tokens=9, seed=3)
    fields = dict(logged.call)
    assert 0 <= fields.pop("qonduit.duration") < 60
    assert 0 <= fields.pop("qonduit.time_per_output_token") < 60
    if mode.streamed:
        assert 0 <= fields.pop("gen_ai.response.time_to_first_chunk") < 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", fields.pop("timestamp"))
    assert re.fullmatch(r"[0-9a-f]{16}", fields.pop("qonduit.call.id"))
    assert fields == {
        "level": "INFO",
        "event.name": "qonduit.call",
        "qonduit.outcome": "answered",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "qwen",
        "server.address": "dashscope.aliyuncs.com",
        "gen_ai.request.model": "qwen-plus",
        "gen_ai.request.stream": mode.streamed,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 3,
        "qonduit.profile": "qwen",
        "qonduit.tags": {"user": "u-1"},
        "qonduit.attempts": 1,
        "http.response.status_code": 200,
        "gen_ai.response.model": "qwen-plus",
        "gen_ai.response.id": "chatcmpl-1",
        "qonduit.request_id": "r-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 70,
        "gen_ai.usage.output_tokens": 30,
        "gen_ai.usage.cache_read.input_tokens": 64,
        "gen_ai.usage.cache_creation.input_tokens": 6,
        "gen_ai.usage.reasoning.output_tokens": 20,
        "qonduit.cost.amount": 0.25,
        "qonduit.cost.currency": "CNY",
        "qonduit.cost.provenance": "exact",
    }


async def test_what_a_failure_says(mode: Mode, logged: Handler) -> None:
    """Status, code, request id, whether it was sent, and of a retry how long and what for."""
    client = mode.client(MemoryTransport(refused(503, "Busy", x_request_id="r-7")), plugin())
    await _raises(mode, client)
    fields = logged.call
    assert fields["error.type"] == "ServiceUnavailableError"
    assert fields["http.response.status_code"] == 503
    assert fields["qonduit.error.code"] == "Busy"
    assert fields["qonduit.request_id"] == "r-7"
    assert fields["qonduit.sent"] == "rejected"
    assert "no" in fields["qonduit.error.message"]
    assert sum("waited 0.000 s, after ServiceUnavailableError" in record.getMessage() for record in logged.records) == 2
    first, second, third = logged.fields("attempt")
    assert "qonduit.retry.delay" not in first
    assert second["qonduit.retry.delay"] == third["qonduit.retry.delay"] == 0.0
    assert second["qonduit.retry.reason"] == "ServiceUnavailableError"


async def test_a_request_that_a_layer_changes(mode: Mode, logged: Handler) -> None:
    """Each record tells of the request as it was for its own."""

    @middleware("cache")
    def cooling(call):
        return (yield call.request.replace(temperature=0.25))

    await mode.ask(mode.client(MemoryTransport(said("Hi")), cooling, plugin()))
    assert logged.fields("attempt")[0]["gen_ai.request.temperature"] == 0.25
    assert "gen_ai.request.temperature" not in logged.call


async def test_an_answer_that_a_layer_changes(mode: Mode, logged: Handler) -> None:
    """Each record tells of the answer as it was for its own."""

    @middleware("cache")
    def renaming(call):
        response = yield call.request
        return response.replace(request_id="changed")

    await mode.ask(mode.client(MemoryTransport(said("Hi")), renaming, plugin()))
    assert logged.fields("attempt")[0]["qonduit.request_id"] == "request-1"
    assert logged.call["qonduit.request_id"] == "changed"


def test_time_per_output_token(logged: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stream: from the first chunk on, for the tokens after it; of a plain answer: of the whole time."""
    now = [100.0]
    monkeypatch.setattr("qonduit.call.time.monotonic", lambda: now[0])

    def passing() -> bytes:
        now[0] += 4.0
        return b"\n"

    @middleware("slow", scope="attempt")
    def slow(call):
        now[0] += 1.0
        return (yield call.request)

    for streamed in (False, True):
        mode = Mode(False, streamed)
        events = (event({"content": "Hi"}), passing, *END)
        reply = Reply(200, {"content-type": "text/event-stream"}, (body("Hi"), passing), events)
        client = mode.client(MemoryTransport(reply), plugin(), slow)
        _drain(mode.start(client))
    plain, stream = logged.fields("call")
    assert plain["qonduit.duration"] == 5.0
    assert plain["qonduit.time_per_output_token"] == round(5 / 3, 6)
    assert stream["gen_ai.response.time_to_first_chunk"] == 1.0
    assert stream["qonduit.time_per_output_token"] == 2.0


def _drain(coroutine: Any) -> None:
    """Run a sync mode's coroutine, which waits for nothing, and read a stream to its end."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        for _ in stop.value if not isinstance(stop.value, ChatResponse) else ():
            pass


def test_other_operations(logged: Handler) -> None:
    """Each operation has its records; an embedding of several requests has an attempt for each."""
    answer = b'{"data": [{"index": 0, "embedding": [0.5]}], "model": "m", "usage": {"prompt_tokens": 2}}'
    transport = MemoryTransport(Reply(200, {}, (answer,)))
    client = Client(
        provider="qwen",
        model="text-embedding-v4",
        api_key="sk-test",
        plugins=[plugin(), transport],
        models={"text-embedding-v4": {"max_batch": 1}},
    )
    client.embeddings.create(input=["a", "b"])
    assert logged.call["gen_ai.operation.name"] == "embeddings"
    assert logged.call["qonduit.attempts"] == 2
    assert logged.call["gen_ai.usage.input_tokens"] == 4
    assert [fields["qonduit.attempt"] for fields in logged.fields("attempt")] == [1, 1]


def test_a_retry_of_one_request_of_several(logged: Handler) -> None:
    """What was waited for is told of the retry, not of the next request's first attempt."""
    answer = b'{"data": [{"index": 0, "embedding": [0.5]}], "model": "m"}'
    transport = MemoryTransport(refused(503), Reply(200, {}, (answer,)))
    client = Client(
        provider="qwen",
        model="text-embedding-v4",
        api_key="sk-test",
        plugins=[plugin(), transport],
        models={"text-embedding-v4": {"max_batch": 1}},
    )
    client.embeddings.create(input=["a", "b"])
    told = [(fields["qonduit.attempt"], fields.get("qonduit.retry.delay")) for fields in logged.fields("attempt")]
    assert told == [(1, None), (2, 0.0), (1, None)]


def test_both_caches_of_a_provider(logged: Handler) -> None:
    """Tokens that were read from a marked cache count like those of the implicit one."""
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    marked = {**usage, "prompt_tokens_details": {"cached_tokens": 8, "cache_type": "ephemeral"}}
    answer = body("Hi").replace(b'"usage": {', b'"before": {')[:-1] + f', "usage": {json.dumps(marked)}}}'.encode()
    mode = Mode(False, False)
    _drain(mode.start(mode.client(MemoryTransport(Reply(200, {}, (answer,))), plugin())))
    assert logged.call["gen_ai.usage.cache_read.input_tokens"] == 8


def test_a_first_chunk_of_an_earlier_attempt() -> None:
    """It is not this attempt's."""
    client = Client(provider="qwen", model="m", api_key="sk-test")
    call = Call(ChatRequest.of({"messages": [{"role": "user", "content": "x"}]}), client.profile, {})
    call.first_chunk = call.clock() - 5
    numbers, _ = outcome_fields(call, "attempt", call.clock(), ChatResponse(), None)
    assert "gen_ai.response.time_to_first_chunk" not in numbers
    assert numbers["qonduit.duration"] < 5


def test_it_stands_outside_of_cost_and_cache() -> None:
    """Whatever the order in which they are named, so that a record says what a call cost and who answered."""
    mode = Mode(False, False)
    client = mode.client(MemoryTransport(said("Hi")), hit, priced, plugin())
    assert [layer.name for layer in client.middleware] == ["logging", "cache", "cost", "logging.attempt"]


def test_levels(logged: Handler) -> None:
    """Answered calls are at the option's level, failures at WARNING at least, answered attempts at DEBUG."""
    mode = Mode(False, False)
    for level, failed in (("DEBUG", "WARNING"), ("ERROR", "ERROR")):
        logged.records.clear()
        _drain(mode.start(mode.client(MemoryTransport(said("Hi")), plugin(level=level))))
        with pytest.raises(APIError):
            _drain(mode.start(mode.client(MemoryTransport(refused(401)), plugin(level=level))))
        assert [record.levelname for record in logged.records] == ["DEBUG", level, failed, failed]


def test_no_attempts(logged: Handler) -> None:
    """Without records of attempts, the call's still says how many there were."""
    mode = Mode(False, False)
    client = mode.client(MemoryTransport(refused(503), said("Hi")), plugin(attempts=False))
    _drain(mode.start(client))
    assert logged.fields() == [logged.call]
    assert logged.call["qonduit.attempts"] == 2


def test_nothing_is_done_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the level is off, no fields are made."""
    monkeypatch.setattr("qonduit_logging.cleaning.request_numbers", None)
    mode = Mode(False, False)
    with capturing(logging.WARNING) as handler:
        made = plugin()
        _drain(mode.start(mode.client(MemoryTransport(said("Hi")), made)))
    assert handler.records == []
    assert made.failures == 0


def test_the_table_of_fields() -> None:
    """The documented fields are those of the code, in its order and words."""
    listed = {row[0].strip("`"): row[1] for row in rows(DOCS / "reference" / "logging.md", "## Fields")}
    assert list(listed.items()) == list(FIELDS.items())


def test_the_table_of_rules() -> None:
    """The documented rules of redaction are those of the code, in its order, with its examples."""
    listed = {row[0]: row[1].strip("`") for row in rows(DOCS / "reference" / "logging.md", "## What is redacted")}
    assert list(listed.items()) == [(rule.name, rule.example) for rule in RULES]


async def test_no_field_is_missing_from_the_table(mode: Mode, logged: Handler) -> None:
    """What is logged is in the table."""
    for script, layers, act, *_ in CASES.values():
        await act(mode, mode.client(MemoryTransport(*script), plugin(content="full"), *layers, tags={"a": "b"}))
    for fields in logged.fields():
        assert set(fields) <= set(FIELDS)


def test_the_conventions_names() -> None:
    """Each `gen_ai` name is one of OpenTelemetry's published ones."""
    attributes = pytest.importorskip("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    published = {value for name, value in vars(attributes).items() if name.startswith("GEN_AI_")}
    assert {name for name in FIELDS if name.startswith("gen_ai.")} <= published

"""Spans: one a call below the caller's, one an attempt below the call's, ended however it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, Reply, Waiting, event, said
from tests.pipeline.modes import MODES, Mode
from tests.plugins.logging.capture import Handler, plugin
from tests.plugins.logging.test_records import CASES, _no_waiting, _raises  # noqa: F401  # a fixture

from qonduit_logging import FIELDS

trace = pytest.importorskip("opentelemetry.trace")
sdk = pytest.importorskip("opentelemetry.sdk.trace")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
export = pytest.importorskip("opentelemetry.sdk.trace.export")


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a tracing backend would get."""
    exporter = memory.InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    exporter.tracer = provider.get_tracer("tests")
    return exporter


def by_name(exporter: Any) -> dict[str, list[Any]]:
    """The spans that have ended, by name."""
    found: dict[str, list[Any]] = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


@pytest.mark.parametrize("case", CASES)
async def test_spans_of_a_call(mode: Mode, exporter: Any, logged: Handler, case: str) -> None:
    """One span a call and one an attempt, in the caller's trace, with the record's fields and ids."""
    script, layers, act, outcome, attempts, error = CASES[case]
    client = mode.client(MemoryTransport(*script), plugin(traces=True), *layers, tags={"user": "u-1"})
    with exporter.tracer.start_as_current_span("caller") as caller:
        await act(mode, client)
        assert trace.get_current_span() is caller
    spans = by_name(exporter)
    (call,) = spans["chat qwen-plus"]
    assert call.parent.span_id == caller.get_span_context().span_id
    assert call.kind is trace.SpanKind.CLIENT
    inner = spans.get("attempt chat qwen-plus", [])
    assert [span.attributes["qonduit.outcome"] for span in inner] == attempts
    assert {span.parent.span_id for span in inner} <= {call.context.span_id}
    assert call.attributes["qonduit.outcome"] == outcome
    assert call.attributes["qonduit.tag.user"] == "u-1"
    assert call.attributes.get("error.type") == error
    expected = trace.StatusCode.UNSET if error is None else trace.StatusCode.ERROR
    assert call.status.status_code is expected
    assert logged.call["trace_id"] == f"{call.context.trace_id:032x}"
    assert logged.call["span_id"] == f"{call.context.span_id:016x}"
    named = {name for name in call.attributes if not name.startswith("qonduit.tag.")}
    assert named <= set(FIELDS)


async def test_tokens_are_on_the_calls_span_only(mode: Mode, exporter: Any) -> None:
    """So a backend that adds up spans counts each token once."""
    await mode.ask(mode.client(MemoryTransport(said("Hi")), plugin(traces=True, content="full")))
    spans = by_name(exporter)
    (call,), (attempt,) = spans["chat qwen-plus"], spans["attempt chat qwen-plus"]
    assert call.attributes["gen_ai.usage.input_tokens"] == 7
    assert call.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert '"Hello"' in call.attributes["gen_ai.input.messages"]
    assert not [
        name for name in attempt.attributes if name.startswith(("gen_ai.usage", "gen_ai.input", "gen_ai.output"))
    ]


async def test_an_abandoned_stream(streaming: Mode, exporter: Any) -> None:
    """Its spans end when it is left, not before."""
    client = streaming.client(MemoryTransport(said("Hi", " there")), plugin(traces=True))
    with exporter.tracer.start_as_current_span("caller") as caller:
        stream = await streaming.start(client)
        await streaming.next(stream)
        assert trace.get_current_span() is caller
    assert list(by_name(exporter)) == ["caller"]
    await streaming.leave(stream)
    spans = by_name(exporter)
    (call,) = spans["chat qwen-plus"]
    assert call.attributes["qonduit.outcome"] == "incomplete"
    assert call.status.status_code is trace.StatusCode.UNSET
    assert call.parent.span_id == caller.get_span_context().span_id
    assert len(spans["attempt chat qwen-plus"]) == 1


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.asynchronous], ids=lambda mode: mode.name)
async def test_a_cancelled_task(mode: Mode, exporter: Any) -> None:
    """Its spans end with an error."""
    waiting = Waiting()
    transport = MemoryTransport(Reply(200, {"content-type": "text/event-stream"}, (waiting,), (waiting,)))
    task = asyncio.create_task(mode.ask(mode.client(transport, plugin(traces=True))))
    await waiting.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    spans = exporter.get_finished_spans()
    assert [span.attributes["error.type"] for span in spans] == ["CancelledError", "CancelledError"]
    assert {span.status.status_code for span in spans} == {trace.StatusCode.ERROR}


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.asynchronous], ids=lambda mode: mode.name)
async def test_calls_at_the_same_time(mode: Mode, exporter: Any) -> None:
    """Each call's spans are below its own caller's, also when many run at once."""
    client = mode.client(MemoryTransport(said("Hi")), plugin(traces=True))

    async def one() -> None:
        with exporter.tracer.start_as_current_span("caller"):
            await mode.ask(client)

    await asyncio.gather(*(one() for _ in range(8)))
    spans = by_name(exporter)
    callers = {span.context.span_id: span.context.trace_id for span in spans["caller"]}
    for call in spans["chat qwen-plus"]:
        assert callers.pop(call.parent.span_id) == call.context.trace_id
    assert callers == {}


async def test_a_stream_read_elsewhere(exporter: Any) -> None:
    """A stream that another task reads to its end ends its spans there, and disturbs no context."""
    mode = Mode(True, True)
    client = mode.client(MemoryTransport(said("Hi", " there")), plugin(traces=True))
    with exporter.tracer.start_as_current_span("caller") as caller:
        stream = await mode.start(client)

        async def read() -> None:
            with exporter.tracer.start_as_current_span("reader") as reader:
                async for _ in stream:
                    assert trace.get_current_span() is reader

        await asyncio.create_task(read())
        assert trace.get_current_span() is caller
    (call,) = by_name(exporter)["chat qwen-plus"]
    assert call.parent.span_id == caller.get_span_context().span_id


async def test_secrets_on_spans(mode: Mode, exporter: Any) -> None:
    """Attributes, names and statuses are redacted and escaped like records."""
    key = "sk-canary7f3a9b2c4d5e6f70"
    reply = Reply(400, {}).with_parts(b'{"error": {"code": "x", "message": "no ' + key.encode() + b'"}}')
    client = mode.client(MemoryTransport(reply), plugin(traces=True), api_key=key, tags={"k": key})
    await _raises(mode, client)
    with pytest.raises(Exception, match="400"):
        await mode.ask(client, model=f"m\n{key}")
    for span in exporter.get_finished_spans():
        assert key not in span.to_json()
        assert "\n" not in span.name


async def test_a_failing_tracer(mode: Mode, exporter: Any, logged: Handler, capsys: pytest.CaptureFixture[str]) -> None:
    """It breaks no call and no record, and is counted."""
    made = plugin(traces=True)

    class Broken:
        def start_span(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("gone")

    made._spans._tracer = Broken()
    assert (await mode.ask(mode.client(MemoryTransport(said("Hi")), made))).response.text == "Hi"
    assert made.failures == 2
    assert logged.call["qonduit.outcome"] == "answered"
    assert "tracing failed (RuntimeError)" in capsys.readouterr().err


async def test_without_a_backend(mode: Mode, logged: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the API alone, where nobody collects, calls go on and records have no ids."""
    # Whatever ran before in this process may have set a provider, which can be set once only.
    monkeypatch.setattr(trace, "get_tracer_provider", trace.NoOpTracerProvider)
    assert (await mode.ask(mode.client(MemoryTransport(said("Hi")), plugin(traces=True)))).response.text == "Hi"
    assert "trace_id" not in logged.call


def test_a_broken_stream_has_its_status(exporter: Any) -> None:
    """A stream that breaks off after its first chunk is an error of both spans."""
    reply = Reply(200, {"content-type": "text/event-stream"}, (), (event({"content": "Hi"}), b""))
    client = Mode(False, True).client(MemoryTransport(reply), plugin(traces=True))
    with pytest.raises(Exception, match="cut"):
        list(client.chat.completions.create(messages=[{"role": "user", "content": "x"}], stream=True))
    assert {span.status.status_code for span in exporter.get_finished_spans()} == {trace.StatusCode.ERROR}

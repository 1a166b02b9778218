"""What a layer may do to a stream: observe, transform, buffer."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.pipeline.layers import recorder
from tests.pipeline.memory import END, MemoryTransport, Reply, event, refused, said
from tests.pipeline.modes import Mode

from qonduit import (
    APIConnectionError,
    ChatResponse,
    Cost,
    InternalServerError,
    PluginError,
    StreamInterruptedError,
    middleware,
)


def reworded(response: ChatResponse, text: str) -> ChatResponse:
    choice = response.choices[0]
    message = choice.message.replace(content=text)
    return response.replace(choices=(choice.replace(message=message),))


async def test_observing_layers_annotate(mode: Mode) -> None:
    """An observing layer puts cost, cached and warnings on the answer; `stream.response` is the outermost one's."""
    cost = Cost(amount=Decimal("0.1"), currency="CNY")

    @middleware("inner")
    def inner(call):
        response = yield call.request
        return response.replace(cost=cost, warnings=(*response.warnings, "inner"))

    @middleware("outer")
    def outer(call):
        response = yield call.request
        return response.replace(cached=True, warnings=(*response.warnings, "outer"))

    told = await mode.ask(mode.client(MemoryTransport(said("Hel", "lo")), outer, inner))
    assert (told.response.cost, told.response.cached) == (cost, True)
    assert told.response.warnings == ("inner", "outer")
    assert told.response.text == "Hello"


@pytest.mark.parametrize(
    "changes",
    [{"choices": ()}, {"usage": None}, {"usage": {"input_tokens": 1}}, "reworded"],
    ids=["no choices", "no usage", "other usage", "other text"],
)
async def test_observing_layers_do_not_change_what_was_delivered(streaming: Mode, changes: object) -> None:
    """Other choices or another usage than were delivered are a PluginError that says what to declare."""

    @middleware("rewrite")
    def rewrite(call):
        response = yield call.request
        return reworded(response, "other") if changes == "reworded" else response.replace(**changes)

    client = streaming.client(MemoryTransport(said("Hel", "lo")), rewrite)
    with pytest.raises(PluginError, match=r"'rewrite' changed the choices or the usage") as caught:
        await streaming.ask(client)
    assert caught.match("stream='transform' or stream='buffer'")


def shout(call, chunk):
    return chunk.replace(choices=[_shouted(choice) for choice in chunk.choices])


def _shouted(choice):
    content = choice.delta.content
    return choice.replace(delta=choice.delta.replace(content=content and content.upper()))


def drop_lo(call, chunk):
    return None if chunk.choices and chunk.choices[0].delta.content == "lo" else chunk


def split(call, chunk):
    content = chunk.choices[0].delta.content if chunk.choices else None
    if not content:
        return chunk
    choice = chunk.choices[0]
    return [chunk.replace(choices=(choice.replace(delta=choice.delta.replace(content=letter)),)) for letter in content]


def drop_all(call, chunk):
    return []


@pytest.mark.parametrize(
    ("on_chunk", "pieces"),
    [(shout, ["HEL", "LO"]), (drop_lo, ["Hel"]), (split, list("Hello")), (drop_all, [])],
)
async def test_transforming_layers_change_chunks(streaming: Mode, on_chunk: object, pieces: list[str]) -> None:
    """`on_chunk` maps, drops and splits chunks, and the answer outside is what was delivered."""
    inside: list[str] = []

    @middleware("transform", stream="transform", on_chunk=on_chunk)
    def transform(call):
        response = yield call.request
        inside.append(response.text)

    told = await streaming.ask(streaming.client(MemoryTransport(said("Hel", "lo")), transform))
    assert told.pieces == pieces
    assert told.response.text == "".join(pieces)
    assert told.response.usage.total_tokens == 10
    assert inside == ["Hello"]


async def test_transforming_layers_stack(streaming: Mode) -> None:
    """The inner layer's chunks are the outer layer's input."""
    layers = (
        middleware("split", stream="transform", on_chunk=split)(_pass),
        middleware("shout", stream="transform", on_chunk=shout)(_pass),
    )
    told = await streaming.ask(streaming.client(MemoryTransport(said("Hi", "!")), *layers))
    assert told.pieces == ["H", "I", "!"]
    assert told.response.text == "HI!"


def _pass(call):
    yield call.request


async def test_a_transforming_layer_changes_a_plain_answer_itself(plain: Mode) -> None:
    """In a plain call there are no chunks: `on_chunk` is not called, and what the layer returns counts."""

    @middleware("both", stream="transform", on_chunk=lambda call, chunk: 1 / 0)
    def both(call):
        response = yield call.request
        return reworded(response, response.text.upper())

    told = await plain.ask(plain.client(MemoryTransport(said("Hel", "lo")), both))
    assert told.response.text == "HELLO"


@pytest.mark.parametrize(
    ("on_chunk", "error", "text"),
    [
        (lambda call, chunk: ["text"], PluginError, r"'transform' on_chunk gave str; expected a ChatChunk"),
        (lambda call, chunk: 5, PluginError, r"'transform' on_chunk gave int; expected a ChatChunk"),
        (lambda call, chunk: 1 / 0, ZeroDivisionError, r"division"),
    ],
)
async def test_a_failing_on_chunk_settles_the_inside(
    streaming: Mode, on_chunk: object, error: type[Exception], text: str
) -> None:
    """When `on_chunk` fails, what is inside settles as left, what is outside gets the error."""
    log: list[str] = []
    layer = middleware("transform", stream="transform", on_chunk=on_chunk)(_pass)
    transport = MemoryTransport(said("Hel", "lo"))
    client = streaming.client(transport, recorder("outer", log), layer, recorder("inner", log))
    with pytest.raises(error, match=text):
        await streaming.ask(client)
    assert log == ["outer in", "inner in", "inner incomplete", f"outer {error.__name__}"]
    assert transport.streams[0].ended == "closed"


async def test_a_failing_on_chunk_of_an_observer(streaming: Mode, caplog: pytest.LogCaptureFixture) -> None:
    """By `on_error="ignore"` a chunk that `on_chunk` fails on goes on as it is; the failure is said once."""
    layer = middleware("transform", stream="transform", on_chunk=lambda call, chunk: 1 / 0, on_error="ignore")(_pass)
    told = await streaming.ask(streaming.client(MemoryTransport(said("Hel", "lo")), layer))
    assert told.pieces == ["Hel", "lo"]
    assert told.response.text == "Hello"
    assert caplog.text.count("Middleware 'transform' failed") == 1


async def test_a_buffer_holds_until_it_has_decided(streaming: Mode) -> None:
    """A buffering layer has the whole answer before the caller has a chunk; then the same chunks are released."""
    events: list[str] = []

    @middleware("buffer", stream="buffer")
    def buffer(call):
        response = yield call.request
        events.append(f"decided on {response.text} of {response.complete}")

    client = streaming.client(MemoryTransport(said("Hel", "lo")), buffer)
    stream = await streaming.start(client)
    events.append("created")
    first = await streaming.next(stream)
    assert first.choices[0].delta.content == "Hel"
    await streaming.leave(stream)
    assert events == ["decided on Hello of True", "created"]


async def test_a_buffer_releases_or_replaces(mode: Mode) -> None:
    """A buffering layer that changes the answer has its own answer replayed in place of what it held."""

    @middleware("censor", stream="buffer")
    def censor(call):
        response = yield call.request
        return reworded(response, "[removed]") if "bad" in response.text else None

    client = mode.client(MemoryTransport(said("fi", "ne"), said("b", "ad")), censor)
    released, replaced = await mode.ask(client), await mode.ask(client)
    assert (released.response.text, replaced.response.text) == ("fine", "[removed]")
    if mode.streamed:
        assert released.pieces == ["fi", "ne"]
        assert "".join(replaced.pieces) == "[removed]"


async def test_a_buffer_falls_back_after_an_answer(mode: Mode) -> None:
    """Nothing was delivered, so a buffering layer may go on again after a whole answer; the first is dropped."""

    @middleware("second", stream="buffer")
    def second(call):
        response = yield call.request
        if response.text == "bad":
            response = yield call.request.replace(model="second")
        return response

    told = await mode.ask(mode.client(MemoryTransport(said("b", "ad"), said("go", "od")), second))
    assert told.response.text == "good"
    assert told.pieces == (["go", "od"] if mode.streamed else [])


async def test_a_buffer_falls_back_after_a_broken_stream(streaming: Mode) -> None:
    """A stream that broke inside of a buffering layer may be answered by another; no half of it is delivered."""
    log: list[str] = []

    @middleware("second", stream="buffer")
    def second(call):
        try:
            response = yield call.request
        except StreamInterruptedError as error:
            log.append(error.response.text)
            response = yield call.request
        return response

    broken = Reply(200, {"content-type": "text/event-stream"}).with_parts(
        event({"content": "ha"}), APIConnectionError("gone", outcome="unknown")
    )
    transport = MemoryTransport(broken, said("wh", "ole"))
    told = await streaming.ask(streaming.client(transport, second))
    assert told.pieces == ["wh", "ole"]
    assert log == ["ha"]


async def test_a_fallback_inside_of_a_buffer_delivers_no_half(streaming: Mode) -> None:
    """An observing layer inside of a buffer that falls back after a broken stream never joins two answers."""

    @middleware("fallback")
    def fallback(call):
        try:
            return (yield call.request)
        except StreamInterruptedError:
            return (yield call.request)

    buffer = middleware("buffer", stream="buffer")(_pass)
    broken = Reply(200, {"content-type": "text/event-stream"}).with_parts(
        event({"content": "ha"}), APIConnectionError("gone", outcome="unknown")
    )
    transport = MemoryTransport(broken, said("wh", "ole"))
    client = streaming.client(transport, buffer, fallback)
    try:
        told = await streaming.ask(client)
    except PluginError:
        assert len(transport.sent) == 1
    else:
        assert told.pieces == ["wh", "ole"]
        assert told.response.text == "whole"


@pytest.mark.parametrize("answered", ["partial", "other"])
async def test_an_answer_after_a_broken_stream_is_not_delivered_twice(streaming: Mode, answered: str) -> None:
    """A layer that answers after a committed stream broke cannot add to what was delivered."""

    @middleware("cover")
    def cover(call):
        try:
            response = yield call.request
        except StreamInterruptedError as error:
            return error.response if answered == "partial" else reworded(error.response, "other")
        return response

    broken = Reply(200, {"content-type": "text/event-stream"}).with_parts(
        event({"content": "ha"}), APIConnectionError("gone", outcome="unknown")
    )
    stream = await streaming.start(streaming.client(MemoryTransport(broken), cover))
    pieces = [(await streaming.next(stream)).choices[0].delta.content]
    with pytest.raises(PluginError, match=r"'cover' answered in place of a stream"):
        pieces.append((await streaming.next(stream)).choices[0].delta.content)
    assert pieces == ["ha"]


async def test_a_buffer_left_early_settles_as_incomplete(streaming: Mode) -> None:
    """What a buffer has released and the caller has left is incomplete for the layers outside."""
    log: list[str] = []
    layers = (recorder("outer", log), recorder("buffer", log, stream="buffer"), recorder("inner", log))
    client = streaming.client(MemoryTransport(said("a", "b", "c")), *layers)
    stream = await streaming.start(client)
    await streaming.next(stream)
    await streaming.leave(stream)
    assert log == ["outer in", "buffer in", "inner in", "inner out", "buffer out", "outer incomplete"]
    assert stream.response.complete is False


async def test_a_stream_without_text_is_a_stream(streaming: Mode) -> None:
    """A stream whose only chunk is its finish_reason is delivered and ends whole."""
    told = await streaming.ask(
        streaming.client(MemoryTransport(Reply(200, {"content-type": "text/event-stream"}).with_parts(*END)))
    )
    assert [chunk.choices[0].finish_reason for chunk in told.chunks] == ["stop"]
    assert told.response.complete
    assert told.response.usage.total_tokens == 10


@pytest.mark.parametrize("include", [False, True])
async def test_the_usage_chunk_is_the_callers_choice(streaming: Mode, include: bool) -> None:
    """The chunk that carries only the usage is absorbed, unless the caller set `stream_options`."""
    options = {"stream_options": {"include_usage": True}} if include else {}
    told = await streaming.ask(streaming.client(MemoryTransport(said("Hi"))), **options)
    assert [bool(chunk.choices) for chunk in told.chunks] == [True, True, *([False] if include else [])]
    assert told.response.usage.input_tokens == 7


async def test_the_providers_error_before_the_first_chunk_is_raised_by_create(streaming: Mode) -> None:
    """A failure before the first chunk is raised by `create`, not by the stream."""
    with pytest.raises(InternalServerError):
        await streaming.start(streaming.client(MemoryTransport(refused(500)), max_retries=0))

"""What a middleware may do with a call, in all four modes."""

import logging

import pytest
from tests.pipeline.layers import recorder
from tests.pipeline.memory import MemoryTransport, refused, said
from tests.pipeline.modes import MESSAGES, Mode

from qonduit import (
    BadRequestError,
    ChatResponse,
    InternalServerError,
    PluginError,
    ServiceUnavailableError,
    middleware,
)


@middleware(name="timing")
def timing(call):
    started = call.clock()
    response = yield call.request
    call.log("answered", seconds=call.clock() - started)
    return response


def answer(text: str) -> ChatResponse:
    message = {"role": "assistant", "content": text}
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    choices = [{"message": message, "finish_reason": "stop"}]
    return ChatResponse.model_validate({"model": "kept", "choices": choices, "usage": usage})


async def test_timing_logs_one_record_a_call(mode: Mode, caplog: pytest.LogCaptureFixture) -> None:
    """The timing middleware of the documentation serves every mode, with its fields on the record."""
    caplog.set_level(logging.INFO, logger="qonduit.middleware")
    told = await mode.ask(mode.client(MemoryTransport(said("Hel", "lo")), timing))
    assert told.response.text == "Hello"
    (record,) = [record for record in caplog.records if record.name == "qonduit.middleware"]
    assert (record.event, record.levelname) == ("answered", "INFO")
    assert 0 <= record.fields["seconds"] < 5


async def test_the_first_named_is_the_outermost(mode: Mode) -> None:
    """Layers are entered in the order of the list and left in the reverse order."""
    log: list[str] = []
    client = mode.client(MemoryTransport(said("Hi")), *(recorder(name, log) for name in "abc"))
    await mode.ask(client)
    assert log == ["a in", "b in", "c in", "c out", "b out", "a out"]


@pytest.mark.F77
async def test_scopes(mode: Mode, no_waiting: None) -> None:
    """A layer of scope "call" runs once a call, one of scope "attempt" once a try, inside of it."""
    log: list[str] = []
    transport = MemoryTransport(refused(503), refused(503), said("Hi"))
    layers = (recorder("attempt", log, scope="attempt"), recorder("call", log))
    told = await mode.ask(mode.client(transport, *layers))
    failed = ["attempt in", "attempt ServiceUnavailableError"]
    assert log == ["call in", *failed, *failed, "attempt in", "attempt out", "call out"]
    assert told.response.text == "Hi"


async def test_a_layer_sees_the_number_of_the_attempt(mode: Mode, no_waiting: None) -> None:
    """`call.attempt` counts from 1 within an attempt; around the call it is 0 before and the last one after."""
    seen: list[tuple[str, int]] = []

    def watch(name: str, scope: str):
        @middleware(name, scope=scope)
        def layer(call):
            seen.append((name, call.attempt))
            try:
                yield call.request
            finally:
                seen.append((name, call.attempt))

        return layer

    transport = MemoryTransport(refused(500), said("Hi"))
    await mode.ask(mode.client(transport, watch("call", "call"), watch("attempt", "attempt")))
    tries = [("attempt", 1), ("attempt", 1), ("attempt", 2), ("attempt", 2)]
    assert seen == [("call", 0), *tries, ("call", 2)]


async def test_a_layer_changes_the_request(mode: Mode) -> None:
    """What a layer yields is what goes on; the layers outside keep seeing their own request."""
    seen: list[str] = []

    @middleware("outer")
    def outer(call):
        yield call.request
        seen.append(call.request.model)

    @middleware("swap")
    def swap(call):
        yield call.request.replace(model="other")
        seen.append(call.request.model)

    @middleware("inner")
    def inner(call):
        seen.append(call.request.model)
        yield call.request

    transport = MemoryTransport(said("Hi"))
    await mode.ask(mode.client(transport, outer, swap, inner))
    assert b'"model":"other"' in transport.sent[0].content
    assert seen == ["other", "qwen-plus", "qwen-plus"]


async def test_a_hit_answers_without_yielding(mode: Mode) -> None:
    """A layer that returns without yielding answers the call; on a stream its answer is replayed as chunks."""
    log: list[str] = []
    text = "An answer that is longer than one chunk of a replay holds."

    @middleware("hit")
    def hit(call):
        return answer(text).replace(cached=True, status_code=None)
        yield

    transport = MemoryTransport(said("never"))
    told = await mode.ask(mode.client(transport, recorder("outer", log), hit, recorder("inner", log)))
    assert told.response == answer(text).replace(cached=True, status_code=None)
    assert transport.sent == []
    assert log == ["outer in", "outer out"]
    if mode.streamed:
        assert len(told.pieces) > 1
        assert "".join(told.pieces) == text
        assert told.chunks[-1].choices[0].finish_reason == "stop"
        assert all(chunk.choices for chunk in told.chunks)


async def test_a_replay_ends_with_usage_when_asked_for(streaming: Mode) -> None:
    """A replayed stream has the chunk that carries only the usage exactly when the caller asked for it."""

    @middleware("hit")
    def hit(call):
        return answer("Hi")
        yield

    client = streaming.client(MemoryTransport(said("never")), hit)
    told = await streaming.ask(client, stream_options={"include_usage": True})
    assert (told.chunks[-1].choices, told.chunks[-1].usage) == ((), answer("Hi").usage)


async def test_a_fallback_yields_again(mode: Mode) -> None:
    """After an error a layer may go on again with another request; what it gets then is the answer."""
    seen: list[Exception] = []

    @middleware("fallback")
    def fallback(call):
        try:
            response = yield call.request
        except ServiceUnavailableError as error:
            seen.append(error)
            response = yield call.request.replace(model="second")
        return response

    transport = MemoryTransport(refused(503), said("from", " second"))
    told = await mode.ask(mode.client(transport, fallback, max_retries=0))
    assert told.response.text == "from second"
    assert b'"model":"second"' in transport.sent[1].content
    assert [error.status_code for error in seen] == [503]


async def test_a_plain_answer_may_be_asked_for_twice(plain: Mode) -> None:
    """In a plain call a layer may go on again after an answer."""

    @middleware("again")
    def again(call):
        first = yield call.request
        second = yield call.request
        return second.replace(warnings=(first.text,))

    told = await plain.ask(plain.client(MemoryTransport(said("one"), said("two")), again))
    assert (told.response.text, told.response.warnings) == ("two", ("one",))


async def test_going_on_again_after_commit_is_refused(streaming: Mode) -> None:
    """Once chunks have reached the caller a second yield is a PluginError that names the middleware."""

    @middleware("greedy")
    def greedy(call):
        yield call.request
        yield call.request

    transport = MemoryTransport(said("one"), said("two"))
    with pytest.raises(PluginError, match=r"'greedy' yielded a request again after chunks"):
        await streaming.ask(streaming.client(transport, greedy))
    assert len(transport.sent) == 1


async def test_an_error_is_raised_at_the_yield(mode: Mode) -> None:
    """The provider's error reaches every layer at its yield, the same object, and then the caller."""
    log: list[str] = []
    client = mode.client(MemoryTransport(refused(400)), recorder("a", log), recorder("b", log))
    with pytest.raises(BadRequestError) as caught:
        await mode.ask(client)
    assert log == ["a in", "b in", "b BadRequestError", "a BadRequestError"]
    assert (caught.value.provider, caught.value.model, caught.value.attempts) == ("qwen", "qwen-plus", 1)


async def test_a_layer_answers_in_place_of_an_error(mode: Mode) -> None:
    """A layer may answer where the provider failed; on a stream its answer is replayed."""

    @middleware("sorry")
    def sorry(call):
        try:
            yield call.request
        except InternalServerError:
            return answer("Sorry.")

    told = await mode.ask(mode.client(MemoryTransport(refused(500)), sorry, max_retries=0))
    assert told.response.text == "Sorry."
    assert "".join(told.pieces) == ("Sorry." if mode.streamed else "")


async def test_a_layer_replaces_an_error(mode: Mode) -> None:
    """An error of a layer takes the place of the provider's, which is its context."""

    @middleware("rename")
    def rename(call):
        try:
            yield call.request
        except InternalServerError as error:
            raise LookupError("ours") from error

    with pytest.raises(LookupError) as caught:
        await mode.ask(mode.client(MemoryTransport(refused(500)), rename, max_retries=0))
    assert isinstance(caught.value.__cause__, InternalServerError)
    assert "raised by the qonduit middleware 'rename'" in caught.value.__notes__


async def test_a_plain_answer_may_be_replaced(plain: Mode) -> None:
    """In a plain call what the layer returns is the answer, whatever it is."""

    @middleware("rewrite")
    def rewrite(call):
        yield call.request
        return answer("rewritten")

    told = await plain.ask(plain.client(MemoryTransport(said("Hi")), rewrite))
    assert told.response == answer("rewritten")


async def test_returning_nothing_keeps_the_response(mode: Mode) -> None:
    """A layer that returns None passes on what it got."""

    @middleware("silent")
    def silent(call):
        yield call.request

    told = await mode.ask(mode.client(MemoryTransport(said("Hi")), silent))
    assert told.response.text == "Hi"


def wrong_yield(call):
    yield "text"


def wrong_yield_none(call):
    yield


def wrong_return(call):
    yield call.request
    return "text"


def wrong_return_early(call):
    return "text"
    yield


def nothing_returned(call):
    return
    yield


def swallowed(call):
    try:
        yield call.request
    except Exception:
        return None


@pytest.mark.parametrize("on_error", ["raise", "ignore", "miss"])
@pytest.mark.parametrize(
    ("function", "status", "text"),
    [
        (wrong_yield, 200, r"yielded str; expected the request to go on with"),
        (wrong_yield_none, 200, r"yielded NoneType; expected the request to go on with"),
        (wrong_return, 200, r"returned str and had no response"),
        (wrong_return_early, 200, r"returned str and had no response"),
        (nothing_returned, 200, r"returned nothing and had no response"),
        (swallowed, 400, r"returned nothing and had no response"),
    ],
)
async def test_a_broken_contract_names_the_middleware(
    mode: Mode, function: object, status: int, text: str, on_error: str
) -> None:
    """What a layer must not yield or return is a PluginError that names it, whatever its on_error."""
    layer = middleware("wrong", on_error=on_error)(function)
    transport = MemoryTransport(said("Hi") if status == 200 else refused(status))
    with pytest.raises(PluginError, match=r"^Middleware 'wrong' ") as caught:
        await mode.ask(mode.client(transport, layer))
    assert caught.match(text)


def fails_before(call):
    raise LookupError("before")
    yield


def fails_after(call):
    yield call.request
    raise LookupError("after")


def fails_on_io(call):
    yield from call.io(_lookup, _alookup)
    yield call.request


def fails_on_error(call):
    try:
        yield call.request
    except Exception:
        raise LookupError("on error") from None


def _lookup() -> None:
    raise LookupError("io")


async def _alookup() -> None:
    raise LookupError("io")


FAILURES = [fails_before, fails_after, fails_on_io]


@pytest.mark.F75
@pytest.mark.parametrize("function", FAILURES)
async def test_a_policy_stops_the_call(mode: Mode, function: object) -> None:
    """With on_error="raise" a layer's failure reaches the caller, with a note that names the layer."""
    log: list[str] = []
    layer = middleware("policy")(function)
    with pytest.raises(LookupError) as caught:
        await mode.ask(mode.client(MemoryTransport(said("Hi")), recorder("outer", log), layer))
    assert caught.value.__notes__ == ["raised by the qonduit middleware 'policy'"]
    assert log == ["outer in", "outer LookupError"]


@pytest.mark.F72
@pytest.mark.parametrize("on_error", ["ignore", "miss"])
@pytest.mark.parametrize("function", FAILURES)
async def test_a_failed_observer_is_passed_over(
    mode: Mode, function: object, on_error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With on_error="ignore" or "miss" the call goes on without the layer, which is said once in two calls."""
    log: list[str] = []
    layer = middleware("watcher", on_error=on_error)(function)
    transport = MemoryTransport(said("Hel", "lo"))
    client = mode.client(transport, recorder("outer", log), layer, recorder("inner", log))
    for _ in range(2):
        told = await mode.ask(client)
        assert told.response.text == "Hello"
        assert told.pieces == (["Hel", "lo"] if mode.streamed else [])
    assert log == ["outer in", "inner in", "inner out", "outer out"] * 2
    (record,) = [record for record in caplog.records if record.name == "qonduit"]
    assert "'watcher' failed" in record.getMessage()
    assert record.exc_info is not None
    assert len(transport.sent) == 2


@pytest.mark.F72
@pytest.mark.parametrize("on_error", ["ignore", "miss"])
async def test_a_failed_observer_does_not_hide_the_error(
    mode: Mode, on_error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An observer that fails while it looks at an error leaves the provider's error to the caller."""
    layer = middleware("watcher", on_error=on_error)(fails_on_error)
    transport = MemoryTransport(refused(400))
    with pytest.raises(BadRequestError):
        await mode.ask(mode.client(transport, layer))
    assert "'watcher' failed" in caplog.text
    assert len(transport.sent) == 1


async def test_state_is_of_one_call(mode: Mode) -> None:
    """`call.state` is shared by the layers of a call and by nothing else."""
    seen: list[dict[str, int]] = []

    @middleware("writer")
    def writer(call):
        seen.append(dict(call.state))
        call.state["count"] = call.state.get("count", 0) + 1
        yield call.request

    @middleware("reader", scope="attempt")
    def reader(call):
        seen.append(dict(call.state))
        yield call.request

    client = mode.client(MemoryTransport(said("Hi")), writer, reader)
    for _ in range(2):
        await mode.ask(client)
    assert seen == [{}, {"count": 1}, {}, {"count": 1}]


async def test_tags_of_request_client_and_options(mode: Mode) -> None:
    """`call.tags` holds the client's labels under the request's; none of them is sent."""
    seen: list[dict[str, str]] = []

    @middleware("tags")
    def tags(call):
        seen.append(dict(call.tags))
        yield call.request

    transport = MemoryTransport(said("Hi"))
    client = mode.client(transport, tags, tags={"team": "a", "app": "x"})
    await mode.ask(client)
    await mode.ask(client, tags={"team": "b"})
    await mode.ask(client.with_options(tags={"app": "y"}), tags={"run": "1"})
    assert seen == [
        {"team": "a", "app": "x"},
        {"team": "b", "app": "x"},
        {"team": "a", "app": "y", "run": "1"},
    ]
    assert b"team" not in b"".join(wire.content for wire in transport.sent)


async def test_what_a_call_tells(mode: Mode) -> None:
    """A call tells its operation, whether it is streamed, its request and its profile, which holds no key."""
    seen: list[tuple[object, ...]] = []

    @middleware("look")
    def look(call):
        seen.append((call.operation, call.streamed, call.request.messages[0].text, call.profile.provider))
        assert "sk-test" not in repr(call.profile)
        assert call.started <= call.clock()
        yield call.request

    await mode.ask(mode.client(MemoryTransport(said("Hi")), look))
    assert seen == [("chat", mode.streamed, MESSAGES[0]["content"], "qwen")]


def test_a_middleware_is_called_as_its_function() -> None:
    """A middleware can be driven by hand in a test of its own."""
    flow = timing(type("Call", (), {"clock": staticmethod(lambda: 1.0), "request": "request"})())
    assert next(flow) == "request"


async def coroutine(call):
    return None


async def async_generator(call):
    yield call.request


def plain_function(call):
    return None


@pytest.mark.F76
@pytest.mark.parametrize(
    ("function", "terms", "text"),
    [
        (coroutine, {}, r"is an async function.*'def' and 'yield'"),
        (async_generator, {}, r"is an async function"),
        (plain_function, {}, r"is not a generator function.*response = yield call\.request"),
        (timing.function, {"scope": "cal"}, r"scope='cal'; expected one of call, attempt"),
        (timing.function, {"stream": "hold"}, r"stream='hold'; expected one of observe, transform, buffer"),
        (timing.function, {"on_error": "log"}, r"on_error='log'; expected one of raise, ignore, miss"),
        (timing.function, {"stream": "transform"}, r"on_chunk belong together"),
        (timing.function, {"on_chunk": lambda call, chunk: chunk}, r"on_chunk belong together"),
    ],
)
def test_what_is_no_middleware(function: object, terms: dict[str, object], text: str) -> None:
    """A function that is no generator function, or wrong terms, are refused when the middleware is made."""
    with pytest.raises(PluginError, match=r"Middleware 'mine'") as caught:
        middleware("mine", **terms)(function)
    assert caught.match(text)


async def test_what_json_cannot_carry(mode: Mode) -> None:
    """A value that JSON has no form for is the caller's mistake, told before anything is sent."""
    transport = MemoryTransport(said("Hi"))
    with pytest.raises(BadRequestError, match=r"it holds what JSON cannot carry.*object") as caught:
        await mode.ask(mode.client(transport), tools=[{"type": object()}])
    assert (caught.value.outcome, caught.value.attempts, transport.sent) == ("not_sent", 0, [])

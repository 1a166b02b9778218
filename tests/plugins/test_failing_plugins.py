"""Plugins that fail: each by its role, without keeping another from its work, and told by the name of who failed."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import ValidationError
from tests.pipeline.layers import recorder
from tests.pipeline.memory import STREAM_HEADERS, MemoryTransport, Reply, event, refused, said
from tests.pipeline.modes import MODES, Mode
from tests.plugins.conftest import Stranger
from tests.plugins.cost.ledgers import rows

from qonduit import (
    APIError,
    AsyncClient,
    BudgetExceededError,
    Client,
    ConfigurationError,
    Middleware,
    PluginError,
    WireRequest,
    hookimpl,
    middleware,
)
from qonduit.hookspecs import qonduit_auth
from qonduit_cost import CostPlugin
from qonduit_cost.options import CostOptions

HOOKS = (
    "qonduit_auth",
    "qonduit_request_builder",
    "qonduit_transport",
    "qonduit_response_normalizer",
    "qonduit_retry_policy",
    "qonduit_middleware",
)
HOLDER = textwrap.dedent(
    """
    from qonduit import hookimpl
    closed = []

    class Holder:
        @hookimpl
        def qonduit_middleware(self):
            return ()

        def close(self):
            closed.append(self)
    """
)


@pytest.fixture
def holder(stranger: Stranger) -> Iterator[list[Any]]:
    """A plugin `holder` that clients make by its name; the list of those that were closed."""
    stranger("stranger-holder", {"qonduit.plugins": {"holder": "stranger_holder:Holder"}}, stranger_holder=HOLDER)
    __import__("stranger_holder")
    closed: list[Any] = sys.modules["stranger_holder"].closed  # type: ignore[attr-defined]
    yield closed
    closed.clear()


def hooked(hook: str, function: Callable[..., Any], name: str = "Broken") -> Any:
    """A plugin with one hook."""
    return type(name, (), {hook: hookimpl(function)})()


def build(*plugins: Any, **options: Any) -> Client:
    return Client(plugins=plugins, **{"provider": "qwen", "model": "qwen-plus", "api_key": "sk-test", **options})


# While a client is built


@pytest.mark.F72
@pytest.mark.F73
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("error", [LookupError("lost"), ZeroDivisionError(), TypeError("x")], ids=repr)
def test_a_hook_that_raises_names_its_plugin(holder: list[Any], hook: str, error: Exception) -> None:
    """Plugin, hook and place are named; what was made before is closed. The cause is at hand, but for auth's."""

    def fail(self: Any, profile: Any) -> Any:
        raise error

    with pytest.raises(PluginError) as caught:
        build("holder", hooked(hook, fail), hooked("qonduit_middleware", lambda self: (), "Fine"))
    assert f"{hook} of plugin Broken failed: {type(error).__name__} in " in str(caught.value)
    assert __name__.rpartition(".")[2] in str(caught.value)
    assert caught.value.__cause__ is (None if hook == "qonduit_auth" else error)
    assert len(holder) == 1


@pytest.mark.F72
def test_a_wrapper_that_raises_names_itself() -> None:
    """The innermost plugin that an error came through is the one that is named."""

    def fail(self: Any, profile: Any) -> Any:
        raise LookupError

    @hookimpl(wrapper=True)
    def wrap(self: Any, profile: Any) -> Any:
        return (yield)

    wrapper = type("Wrapper", (), {"qonduit_transport": wrap})()
    with pytest.raises(PluginError, match="qonduit_transport of plugin Broken failed"):
        build(wrapper, hooked("qonduit_transport", fail))

    @hookimpl(wrapper=True)
    def spoil(self: Any, profile: Any) -> Any:
        yield
        raise LookupError

    spoiler = type("Spoiler", (), {"qonduit_transport": spoil})()
    with pytest.raises(PluginError, match="qonduit_transport of plugin Spoiler failed"):
        build(wrapper, spoiler)


@pytest.mark.F72
@pytest.mark.parametrize("hook", HOOKS)
def test_a_plugins_own_word_reaches_the_caller(holder: list[Any], hook: str) -> None:
    """A ConfigurationError that a hook raises is what the caller gets, with a note on who raised it."""

    def refuse(self: Any, profile: Any) -> Any:
        raise ConfigurationError("There is no account. Set account.")

    with pytest.raises(ConfigurationError, match="There is no account") as caught:
        build("holder", hooked(hook, refuse))
    assert (type(caught.value), str(caught.value)) == (ConfigurationError, "There is no account. Set account.")
    assert caught.value.__notes__ == [f"raised by {hook} of plugin Broken"]
    assert len(holder) == 1


@pytest.mark.F73
@pytest.mark.F76
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("given", ["text", 3, "coroutine"])
def test_what_is_no_part_is_refused(holder: list[Any], hook: str, given: Any) -> None:
    """Another type, or an async hook, is named with what was expected; no coroutine is left behind."""

    async def wait(self: Any, profile: Any) -> Any:
        return None

    broken = hooked(hook, wait if given == "coroutine" else lambda self, profile: given)
    with pytest.raises(PluginError) as caught:
        build("holder", broken)
    assert hook in str(caught.value)
    assert "plugin Broken" in str(caught.value)
    expected = "is an async function. Write it with 'def'" if given == "coroutine" else "; expected a "
    assert expected in str(caught.value)
    assert len(holder) == 1


@pytest.mark.F72
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_build_closes_what_was_made(holder: list[Any], kind: type[BaseException]) -> None:
    """Ctrl-C goes on as it is."""

    def interrupt(self: Any, profile: Any) -> Any:
        raise kind

    with pytest.raises(kind):
        build("holder", hooked("qonduit_transport", interrupt))
    assert len(holder) == 1


@pytest.mark.F73
@pytest.mark.parametrize(
    ("plugins", "options"),
    [
        (["holder", "absent"], {}),
        (["holder", ("cache", {"tll": 1})], {}),
        (["holder", hooked("qonduit_midleware", lambda self: None)], {}),
        (["holder", object()], {}),
        (["holder", "holder"], {}),
        (["holder"], {"timeout": -1}),
        (["holder"], {"api_key": "a b"}),
        (["holder"], {"tags": 3}),
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_nothing_is_left_half_built(holder: list[Any], kind: Any, plugins: list[Any], options: dict[str, Any]) -> None:
    """Whatever stops a build, each plugin that was made for it is closed, once."""
    with pytest.raises(ConfigurationError):
        kind(plugins=plugins, **{"provider": "qwen", "model": "m", "api_key": "sk-test", **options})
    assert len(holder) == len(set(map(id, holder))) == plugins.count("holder")


# While a call is made


def lost(*_: Any, **__: Any) -> Any:
    raise LookupError("canary of a defect")


async def alost(*_: Any, **__: Any) -> Any:
    raise LookupError("canary of a defect")


def interrupted(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


async def ainterrupted(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def streamed(mode: Mode) -> bool:
    return mode.streamed


def plain(mode: Mode) -> bool:
    return not mode.streamed


class Part(NamedTuple):
    """A part that fails: its hook, its methods, what the server says, and what the caller is told."""

    hook: str
    methods: dict[str, Any]
    text: str = ""
    reply: Reply = said("Hel", "lo")
    kind: type[BaseException] = PluginError
    modes: Callable[[Mode], bool] = lambda mode: True


def once(wire: Any) -> Any:
    yield wire


def never(wire: Any) -> Any:
    return
    yield


def text(wire: Any) -> Any:
    yield "text"


def late(wire: Any) -> Any:
    yield wire
    raise LookupError("canary of a defect")


def late_interrupt(wire: Any) -> Any:
    yield wire
    raise KeyboardInterrupt


class Decoder:
    """A decoder that gives one chunk and then fails."""

    finished = False
    warnings = ()
    request_id = None

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def feed(self, data: bytes) -> Any:
        raise self._error("canary of a defect")

    def end(self) -> Any:
        return ()


BUILDER, AUTH, TRANSPORT, NORMALIZER = HOOKS[1], HOOKS[0], HOOKS[2], HOOKS[3]
FAILED = "failed: LookupError"
PARTS: dict[str, Part] = {
    "a builder raises": Part(BUILDER, {"build": lost}, f"The request builder of provider 'qwen' {FAILED}"),
    "a builder gives nothing": Part(BUILDER, {"build": lambda request: None}, "gave NoneType; expected WireRequest"),
    "a builder is async": Part(BUILDER, {"build": lambda request: 3}, "gave int; expected WireRequest"),
    "a builder is interrupted": Part(BUILDER, {"build": interrupted}, kind=KeyboardInterrupt),
    "an auth raises": Part(AUTH, {"flow": lost}, f"The auth of provider 'qwen' {FAILED} in "),
    "an auth raises after the answer": Part(AUTH, {"flow": late}, f"The auth of provider 'qwen' {FAILED} in "),
    "an auth is interrupted after the answer": Part(AUTH, {"flow": late_interrupt}, kind=KeyboardInterrupt),
    "an auth yields nothing": Part(AUTH, {"flow": never}, "The auth of provider 'qwen' yielded no request"),
    "an auth yields text": Part(AUTH, {"flow": text}, "The auth of provider 'qwen' gave str; expected WireRequest"),
    "an auth is no generator": Part(AUTH, {"flow": lambda wire: wire}, "The auth of provider 'qwen' failed: TypeError"),
    "a normalizer raises": Part(
        NORMALIZER, {"normalize": lost, "decoder": lost, "error": lost}, f"of provider 'qwen' {FAILED}"
    ),
    "a normalizer gives text": Part(
        NORMALIZER,
        {"normalize": lambda request, response: "text", "decoder": lost, "error": lost},
        "The response normalizer of provider 'qwen' gave str; expected ChatResponse",
        modes=plain,
    ),
    "a normalizer fails at an error": Part(
        NORMALIZER,
        {"normalize": lost, "decoder": lost, "error": lost},
        f"The response normalizer of provider 'qwen' {FAILED}",
        refused(500),
    ),
    "a normalizer gives no error": Part(
        NORMALIZER,
        {"normalize": lost, "decoder": lost, "error": lambda response: None},
        "The response normalizer of provider 'qwen' gave NoneType; expected APIError",
        refused(500),
    ),
    "a decoder raises": Part(
        NORMALIZER,
        {"normalize": lost, "decoder": lambda request, response: Decoder(LookupError), "error": lost},
        f"The stream decoder of provider 'qwen' {FAILED}",
        modes=streamed,
    ),
    "a decoder is none": Part(
        NORMALIZER,
        {"normalize": lost, "decoder": lambda request, response: 3, "error": lost},
        "The stream decoder of provider 'qwen' failed: AttributeError",
        modes=streamed,
    ),
    "a decoder is interrupted": Part(
        NORMALIZER,
        {"normalize": lost, "decoder": lambda request, response: Decoder(KeyboardInterrupt), "error": lost},
        kind=KeyboardInterrupt,
        modes=streamed,
    ),
    "a transport raises": Part(
        TRANSPORT,
        {"send": lost, "asend": alost, "stream": lost, "astream": alost},
        f"The transport of provider 'qwen' {FAILED}",
    ),
    "a transport gives nothing": Part(
        TRANSPORT,
        {name: lambda wire, deadline: None for name in ("send", "stream")}
        | {name: lambda wire, deadline: asyncio.sleep(0) for name in ("asend", "astream")},
        "The transport of provider 'qwen' gave NoneType; expected WireResponse",
    ),
    "a transport is sync alone": Part(
        TRANSPORT,
        {"send": lost, "asend": lambda wire, deadline: 3, "stream": lost, "astream": lambda wire, deadline: 3},
        "The transport of provider 'qwen' failed: TypeError",
        modes=lambda mode: mode.asynchronous,
    ),
    "a transport is interrupted": Part(
        TRANSPORT,
        {"send": interrupted, "asend": ainterrupted, "stream": interrupted, "astream": ainterrupted},
        kind=KeyboardInterrupt,
    ),
    "a stream of a transport raises": Part(
        TRANSPORT,
        {},
        f"The transport of provider 'qwen' {FAILED}",
        Reply(200, STREAM_HEADERS, (), (event({"content": "Hel"}), LookupError("canary of a defect"))),
        modes=streamed,
    ),
}
CASES = [
    pytest.param(name, mode, id=f"{name}-{mode.name}")
    for name, part in PARTS.items()
    for mode in MODES
    if part.modes(mode)
]


def failing(part: Part, transport: MemoryTransport) -> list[Any]:
    """The plugins of a case: the part that fails, and a transport in memory."""
    methods = {name: staticmethod(method) for name, method in part.methods.items()}
    if part.hook == TRANSPORT:
        broken = type("Broken", (MemoryTransport,), methods)(*transport.script)
        broken.streams = transport.streams
        return [broken]
    made = type("Broken", (), methods)()
    return [hooked(part.hook, lambda self, profile: made), transport]


@pytest.mark.F72
@pytest.mark.parametrize(("name", "mode"), CASES)
async def test_a_part_that_fails_is_named(tmp_path: Path, name: str, mode: Mode) -> None:
    """Typed, with its cause; every layer is left, the ledger's row settled, the answer's stream ended; not retried."""
    part = PARTS[name]
    log: list[str] = []
    transport = MemoryTransport(part.reply)
    cost = CostPlugin(CostOptions(ledger=str(tmp_path / "ledger")))
    layers = [recorder("call", log), recorder("attempt", log, scope="attempt")]
    client = mode.client(None, cost, *layers, *failing(part, transport))
    with pytest.raises(part.kind) as caught:
        await mode.ask(client)
    error = type(caught.value).__name__
    assert log == ["call in", "attempt in", f"attempt {error}", f"call {error}"]
    assert part.text in str(caught.value)
    assert part.kind is KeyboardInterrupt or "canary" not in str(caught.value)
    if part.kind is PluginError and FAILED in part.text and part.hook != AUTH:
        assert isinstance(caught.value.__cause__, LookupError)
    assert not [stream for stream in transport.streams if stream.ended is None]
    await mode.leave(client)
    cost.close()
    assert {row["state"] for row in rows(tmp_path / "ledger")} <= {"settled"}
    assert len(rows(tmp_path / "ledger")) == 1


@pytest.mark.F72
@pytest.mark.parametrize("given", [LookupError("x"), "soon", float("nan"), -1, float("inf")], ids=repr)
async def test_a_retry_policy_that_fails_hides_no_error(mode: Mode, given: Any) -> None:
    """The provider's error is the caller's; a defect is told in its reason, and nothing is tried again."""

    class Policy:
        def delay(self, error: APIError, attempt: int) -> Any:
            if isinstance(given, Exception):
                raise given
            return given

    transport = MemoryTransport(refused(503))
    policy = hooked("qonduit_retry_policy", lambda self, profile: Policy())
    with pytest.raises(APIError) as caught:
        await mode.ask(mode.client(transport, policy))
    assert caught.value.status_code == 503
    assert len(transport.sent) == 1
    assert ("The retry policy failed" in str(caught.value)) == (not isinstance(given, float | int))


# Middleware


def before(call: Any, fail: Callable[[], None]) -> Any:
    fail()
    yield call.request


def after(call: Any, fail: Callable[[], None]) -> Any:
    yield call.request
    fail()


def at_error(call: Any, fail: Callable[[], None]) -> Any:
    try:
        yield call.request
    except APIError:
        fail()
        raise


MOMENTS = {"before": before, "after": after, "at an error": at_error}


def layer(moment: str, fail: Callable[[], None], **terms: Any) -> Middleware:
    function = MOMENTS[moment]

    def run(call: Any) -> Any:
        return (yield from function(call, fail))

    return middleware("failing", **terms)(run)


@pytest.mark.F72
@pytest.mark.F75
@pytest.mark.parametrize("scope", ["call", "attempt"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("error", [LookupError("no"), BudgetExceededError("no")], ids=["its own", "a budget's"])
async def test_a_policy_fails_closed(mode: Mode, scope: str, moment: str, error: Exception) -> None:
    """Its own exception, the same object, reaches the caller; layers outside and inside of it are left once."""
    log: list[str] = []

    def fail() -> None:
        raise error

    transport = MemoryTransport(refused(400) if moment == "at an error" else said("Hel", "lo"))
    layers = [recorder("outer", log), layer(moment, fail, scope=scope), recorder("inner", log, scope="attempt")]
    client = mode.client(transport, *layers, max_retries=2)
    with pytest.raises(type(error)) as caught:
        await mode.ask(client)
    assert caught.value is error
    inner = {"before": [], "after": ["inner in", "inner out"], "at an error": ["inner in", "inner BadRequestError"]}
    assert log == ["outer in", *inner[moment], f"outer {type(error).__name__}"]
    assert len(transport.sent) == (0 if moment == "before" else 1)
    assert not [stream for stream in transport.streams if stream.ended is None]


@pytest.mark.F72
@pytest.mark.parametrize("scope", ["call", "attempt"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("on_error", ["ignore", "miss"])
async def test_an_observer_is_isolated(
    mode: Mode, scope: str, moment: str, on_error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Other layers see the call as if it were not there, it is said once, and its error never reaches the caller."""
    log: list[str] = []

    def fail() -> None:
        raise LookupError("no")

    transport = MemoryTransport(refused(400) if moment == "at an error" else said("Hel", "lo"))
    layers = [
        recorder("outer", log),
        layer(moment, fail, scope=scope, on_error=on_error),
        recorder("inner", log, scope="attempt"),
    ]
    client = mode.client(transport, *layers)
    for _ in range(3):
        if moment == "at an error":
            with pytest.raises(APIError):
                await mode.ask(client)
        else:
            assert (await mode.ask(client)).response.text == "Hello"
    ended = "BadRequestError" if moment == "at an error" else "out"
    assert log == ["outer in", "inner in", f"inner {ended}", f"outer {ended}"] * 3
    assert len([record for record in caplog.records if "'failing' failed" in record.getMessage()]) == 1
    assert len(transport.sent) == 3


@pytest.mark.F72
async def test_an_observer_is_made_loud_for_a_test(mode: Mode) -> None:
    """Middleware are frozen dataclasses: a copy with another `on_error` is one that stops the call."""

    def fail() -> None:
        raise LookupError("no")

    observer = layer("after", fail, on_error="ignore")
    loud = dataclasses.replace(observer, on_error="raise")
    with pytest.raises(LookupError):
        await mode.ask(mode.client(MemoryTransport(said("Hi")), loud))


@pytest.mark.F72
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("on_error", ["raise", "ignore"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
async def test_what_is_no_exception_goes_on(mode: Mode, moment: str, on_error: str, kind: type[BaseException]) -> None:
    """Ctrl-C or a cancellation within a layer is no failure of its own: it goes on, and every layer is left."""
    log: list[str] = []

    def fail() -> None:
        raise kind

    transport = MemoryTransport(refused(400) if moment == "at an error" else said("Hel", "lo"))
    client = mode.client(transport, recorder("outer", log), layer(moment, fail, on_error=on_error))
    with pytest.raises(kind):
        await mode.ask(client)
    assert log == ["outer in", f"outer {kind.__name__}"]
    assert not [stream for stream in transport.streams if stream.ended is None]


@pytest.mark.F72
@pytest.mark.parametrize("on_error", ["raise", "ignore"])
@pytest.mark.parametrize(
    ("given", "kind", "ignored"),
    [
        (LookupError("no"), LookupError, True),
        (3, PluginError, False),
        ([3], PluginError, False),
        (KeyboardInterrupt(), KeyboardInterrupt, False),
    ],
    ids=["raises", "a number", "a list of numbers", "interrupted"],
)
async def test_an_on_chunk_that_fails(
    streaming: Mode, tmp_path: Path, on_error: str, given: Any, kind: type[BaseException], ignored: bool
) -> None:
    """A policy's failure breaks the stream; an observer's chunk passes as it is; what is inside settles either way."""
    log: list[str] = []

    def on_chunk(call: Any, chunk: Any) -> Any:
        if isinstance(given, BaseException):
            raise given
        return given

    @middleware("failing", stream="transform", on_chunk=on_chunk, on_error=on_error)
    def through(call: Any) -> Any:
        yield call.request

    transport = MemoryTransport(said("Hel", "lo"))
    cost = CostPlugin(CostOptions(ledger=str(tmp_path / "ledger")))
    client = streaming.client(transport, recorder("outer", log), through, recorder("inner", log), cost)
    if on_error == "ignore" and ignored:
        assert (await streaming.ask(client)).pieces == ["Hel", "lo"]
        assert log == ["outer in", "inner in", "inner out", "outer out"]
    else:
        with pytest.raises(kind):
            await streaming.ask(client)
        assert log == ["outer in", "inner in", "inner incomplete", f"outer {kind.__name__}"]
        assert [stream.ended for stream in transport.streams] == ["closed"]
    await streaming.leave(client)
    cost.close()
    assert [row["state"] for row in rows(tmp_path / "ledger")] == ["settled"]


@pytest.mark.F72
async def test_a_layer_that_hangs_after_the_answer_is_given_up(mode: Mode) -> None:
    """In async calls I/O has a time limit; in sync calls the limit is handed to the function."""
    limits: list[float] = []

    async def forever() -> None:
        await asyncio.Event().wait()

    def slow(timeout: float) -> None:
        limits.append(timeout)

    @middleware("slow", on_error="ignore")
    def hanging(call: Any) -> Any:
        yield call.request
        yield from call.io(slow, forever, timeout=0.01)

    async with asyncio.timeout(5):
        assert (await mode.ask(mode.client(MemoryTransport(said("Hi")), hanging))).response.text == "Hi"
    assert limits == ([] if mode.asynchronous else [0.01])


@pytest.mark.F72
@pytest.mark.parametrize(
    "mutate",
    [
        lambda call, response: setattr(call.request, "model", "other"),
        lambda call, response: setattr(call.request.messages[0], "content", "other"),
        lambda call, response: setattr(call.profile, "timeout", 1),
        lambda call, response: setattr(response, "choices", ()),
        lambda call, response: setattr(response.choices[0].message, "content", "other"),
        lambda call, response: setattr(response.usage, "input_tokens", 0),
        lambda call, response: call.request.messages.append("x"),
        lambda call, response: response.choices.append("x"),
    ],
)
async def test_what_a_layer_is_given_cannot_be_changed(mode: Mode, mutate: Callable[..., Any]) -> None:
    """To change a request, response or profile in place fails in the layer's own code, and nobody sees a change."""

    @middleware("mutating", on_error="ignore")
    def mutating(call: Any) -> Any:
        response = yield call.request
        mutate(call, response)

    loud = dataclasses.replace(mutating, on_error="raise")
    with pytest.raises((ValidationError, AttributeError)):
        await mode.ask(mode.client(MemoryTransport(said("Hel", "lo")), loud))
    told = await mode.ask(mode.client(MemoryTransport(said("Hel", "lo")), mutating))
    assert (told.response.text, told.response.usage.input_tokens) == ("Hello", 7)


@pytest.mark.F72
def test_a_wire_request_cannot_be_changed() -> None:
    """Auth adds its headers to a copy: the request that others see stays without the key."""
    wire = WireRequest("POST", "https://api.test/v1", {"a": "1"}, b"{}")
    with pytest.raises(dataclasses.FrozenInstanceError):
        wire.headers = {}  # type: ignore[misc]
    assert wire.with_headers({"authorization": "x"}).headers == {"a": "1", "authorization": "x"}
    assert wire.headers == {"a": "1"}


async def test_what_a_caller_gave_is_not_changed_by_a_layer(mode: Mode) -> None:
    """The mappings of a request are its own, not the caller's."""

    @middleware("mutating")
    def mutating(call: Any) -> Any:
        call.request.extra_body["seen"] = True
        call.request.extra_headers["x-seen"] = "1"
        call.tags["seen"] = "1"
        yield call.request

    body, headers, tags = {"a": 1}, {"x-a": "1"}, {"t": "1"}
    client = mode.client(MemoryTransport(said("Hi")), mutating, tags=tags)
    await mode.ask(client, extra_body=body, extra_headers=headers, tags=tags)
    assert (body, headers, tags) == ({"a": 1}, {"x-a": "1"}, {"t": "1"})


# Closing


class Unclosable(MemoryTransport):
    """A transport that cannot be closed."""

    def close(self) -> None:
        raise OSError("canary")

    async def aclose(self) -> None:
        raise OSError("canary")


@pytest.mark.F72
async def test_a_close_that_fails_keeps_nothing_open(mode: Mode, holder: list[Any]) -> None:
    """Everything is closed, then the first failure is raised; closing again is nothing."""
    client = mode.client(None, "holder", Unclosable(said("Hi")))
    with pytest.raises(OSError, match="canary"):
        await mode.leave(client)
    await mode.leave(client)
    assert len(holder) == 1


# Names


@pytest.mark.F73
def test_one_name_twice_tells_both_sources(stranger: Stranger) -> None:
    """Two plugins of one name are refused with where each comes from."""
    stranger("stranger-holder", {"qonduit.plugins": {"holder": "stranger_holder:Holder"}}, stranger_holder=HOLDER)
    own = hooked("qonduit_middleware", lambda self: ())
    own.name = "holder"
    with pytest.raises(PluginError, match="plugin holder is named twice") as caught:
        build("holder", own)
    assert "stranger-holder 2.5" in str(caught.value)
    assert f"{type(own).__module__}.Broken" in str(caught.value)


@pytest.mark.F74
def test_a_plugin_cannot_take_a_providers_name() -> None:
    """A plugin may give parts, and then they are the plugin's; the provider of a client is whom its caller named."""
    own = hooked("qonduit_retry_policy", lambda self, profile: None)
    own.name = "provider qwen"
    client = build(own, MemoryTransport(said("Hi")))
    assert client.profile.provider == "qwen"
    assert client.chat.completions.create(messages=[{"role": "user", "content": "x"}]).provider == "qwen"


@pytest.mark.F74
def test_the_order_of_precedence_is_documented() -> None:
    """Of parts the first result wins: plugins in the order of the profile, then the provider, then the defaults."""
    import qonduit.hookspecs

    assert "plugins come before the provider and the provider\nbefore the defaults" in qonduit.hookspecs.__doc__
    assert "First result wins" in qonduit_auth.__doc__

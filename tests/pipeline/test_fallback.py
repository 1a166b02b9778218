"""A profile's fallbacks, and the breakers of each: who serves a call, what is sent, and what is said about it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.modes import Mode
from tests.servers import CLOSE, HANG, Reply, ScriptedServer, json_response, sse_head
from tests.servers import chunk as http_chunk
from tests.wires import WIRES

from qonduit import (
    AsyncClient,
    AuthenticationError,
    BadRequestError,
    Call,
    Client,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    StreamInterruptedError,
    middleware,
)
from qonduit._breaker import Breaker
from qonduit.errors import APIConnectionError, APITimeoutError

QWEN, NATIVE, OPENAI = WIRES["qwen"], WIRES["dashscope"], WIRES["openai"]
PROVIDERS = {"qwen": "qwen", "native": "dashscope", "gpt": "openai"}
MODELS = {"qwen": "qwen-plus", "native": "qwen-max", "gpt": "gpt-5"}


class Site:
    """Three servers, one for each profile of a configuration file: `qwen` with the fallbacks `native` and `gpt`."""

    def __init__(self, stack: ExitStack, path: Path, lines: Sequence[str], scripts: dict[str, Sequence[Reply]]) -> None:
        self.servers = {name: stack.enter_context(ScriptedServer(scripts.get(name, []))) for name in PROVIDERS}
        tables = []
        for name, provider in PROVIDERS.items():
            tables += [
                f"[profiles.{name}]",
                f'provider = "{provider}"',
                f'model = "{MODELS[name]}"',
                f'api_key = "env:{name.upper()}_TEST_KEY"',
                f'base_url = "{self.servers[name].url}{WIRES[provider].prefix}"',
                "max_retries = 0",
            ]
            if name == "qwen":
                tables += ['fallback = ["native", "gpt"]', *lines]
        path.write_text("\n".join(tables), encoding="utf-8")
        self.options: dict[str, Any] = {"provider": None, "model": None, "api_key": None, "config": path}
        self.options["profile"] = "qwen"

    def asked(self) -> list[int]:
        """How many requests each server got."""
        return [len(server.requests) for server in self.servers.values()]


MakeSite = Callable[..., Site]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeSite]:
    """Make a site of scripts by profile; `lines` are added to the first profile's table."""
    for name in PROVIDERS:
        monkeypatch.setenv(f"{name.upper()}_TEST_KEY", f"sk-{name}")
    with ExitStack() as stack:

        def make(*lines: str, **scripts: Sequence[Reply]) -> Site:
            return Site(stack, tmp_path / "fallback.toml", lines, scripts)

        yield make


def reply(mode: Mode, name: str, text: str) -> Reply:
    """What the server of a profile answers."""
    wire = WIRES[PROVIDERS[name]]
    return wire.stream_reply((text,)) if mode.streamed else wire.plain_reply(text)


async def test_the_next_profile_serves_what_the_first_could_not(mode: Mode, site: MakeSite) -> None:
    """In order, each with its own key, model and wire; the answer says who gave it and why."""
    made = site(
        qwen=[QWEN.error(503, "ModelUnavailable")],
        native=[NATIVE.error(429, "Throttling.RateQuota")],
        gpt=[reply(mode, "gpt", "from gpt")],
    )
    client = mode.client(None, **made.options)
    told = await mode.ask(client)
    await mode.leave(client)
    assert told.response.choices[0].message.content == "from gpt"
    assert told.response.provider == "openai"
    assert told.response.warnings[0] == (
        "Profile 'qwen' failed: ServiceUnavailableError (503 ModelUnavailable). "
        "Profile 'native' failed: RateLimitError (429 Throttling.RateQuota). "
        "Profile 'gpt' (provider 'openai') answered."
    )
    assert made.asked() == [1, 1, 1]
    for name, server in made.servers.items():
        assert server.requests[0].headers["authorization"] == f"Bearer sk-{name}"
        assert server.requests[0].json["model"] == MODELS[name]


async def test_a_fallbacks_own_log(mode: Mode, site: MakeSite, tmp_path: Path) -> None:
    """A plugin that only the fallback has takes down what the fallback did, all of it."""
    made = site(qwen=[QWEN.error(503, "ModelUnavailable")], native=[reply(mode, "native", "from native")])
    file, log = tmp_path / "fallback.toml", tmp_path / "native.log"
    own = f'[profiles.native]\nplugins = ["logging"]\nplugin.logging.file = "{log}"'
    file.write_text(file.read_text(encoding="utf-8").replace("[profiles.native]", own), encoding="utf-8")
    client: Any = (AsyncClient if mode.asynchronous else Client)(**made.options)
    await mode.ask(client)
    await mode.leave(client)
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [(one["event.name"], one["qonduit.profile"], one["qonduit.outcome"]) for one in records] == [
        ("qonduit.attempt", "native", "answered"),
        ("qonduit.call", "native", "answered"),
    ]


@pytest.mark.parametrize(
    ("failure", "turns"),
    [
        pytest.param(QWEN.error(500, "InternalError"), True, id="500"),
        pytest.param(QWEN.error(429, "limit_requests"), True, id="429"),
        pytest.param(QWEN.error(401, "invalid_api_key"), True, id="401"),
        pytest.param(QWEN.error(403, "AccessDenied"), True, id="403"),
        pytest.param([CLOSE], True, id="closed"),
        pytest.param([HANG], True, id="timeout"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>", True, id="html"),
        pytest.param(QWEN.error(400, "invalid_parameter_error"), False, id="400"),
        pytest.param(QWEN.error(400, "data_inspection_failed"), False, id="content-filter"),
        pytest.param(QWEN.error(404, "model_not_found"), False, id="404"),
    ],
)
async def test_what_is_the_requests_own_fault_goes_to_nobody_else(
    mode: Mode, site: MakeSite, failure: Reply, turns: bool
) -> None:
    """A refusal of the request itself is raised; all else turns to the next profile."""
    made = site("timeout = 0.2", qwen=[failure], native=[reply(mode, "native", "hello")])
    client = mode.client(None, **made.options)
    if turns:
        assert (await mode.ask(client)).response.provider == "dashscope"
    else:
        with pytest.raises((BadRequestError, NotFoundError)) as caught:
            await mode.ask(client)
        assert caught.value.provider == "qwen"
        assert "fallback" not in caught.value.message
    await mode.leave(client)
    assert made.asked() == [1, int(turns), 0]


@pytest.mark.F37
async def test_a_stream_that_has_begun_goes_to_nobody_else(streaming: Mode, site: MakeSite) -> None:
    """After the first chunk its failure is the caller's, with what had arrived; before it, the next profile serves."""
    made = site(
        qwen=[[sse_head(), http_chunk(QWEN.piece("hel")), CLOSE], [sse_head(), CLOSE]],
        native=[NATIVE.stream_reply(("from ", "native"))],
    )
    client = streaming.client(None, **made.options)
    stream = await streaming.start(client)
    assert (await streaming.next(stream)).choices[0].delta.content == "hel"
    with pytest.raises(StreamInterruptedError):
        await streaming.next(stream)
    assert made.asked() == [1, 0, 0]
    assert (await streaming.ask(client)).pieces == ["from ", "native"]
    await streaming.leave(client)
    assert made.asked() == [2, 1, 0]


async def test_a_fallback_whose_stream_breaks_says_whose_place_it_took(streaming: Mode, site: MakeSite) -> None:
    """The error is the fallback's own, with the partial answer."""
    made = site(qwen=[QWEN.error(500, "InternalError")], native=[[sse_head(), http_chunk(NATIVE.piece("na")), CLOSE]])
    client = streaming.client(None, **made.options)
    with pytest.raises(StreamInterruptedError, match=r"Profile 'qwen' failed: InternalServerError") as caught:
        await streaming.ask(client)
    await streaming.leave(client)
    assert caught.value.provider == "dashscope"
    assert caught.value.response is not None
    assert caught.value.response.choices[0].message.content == "na"


async def test_when_all_fail_the_first_error_comes_out(mode: Mode, site: MakeSite) -> None:
    """It says what became of the others, counts all attempts, and is `unknown` when one of them is."""
    made = site(
        qwen=[QWEN.error(429, "limit_requests")],
        native=[NATIVE.error(500, "InternalError")],
        gpt=[OPENAI.error(400, "invalid_request_error")],
    )
    client = mode.client(None, **made.options)
    with pytest.raises(RateLimitError) as caught:
        await mode.ask(client)
    await mode.leave(client)
    assert caught.value.message.endswith(
        "The fallbacks did not serve the call either. "
        "Profile 'native' failed: InternalServerError (500 InternalError). "
        "Profile 'gpt' failed: BadRequestError (400 invalid_request_error)."
    )
    assert (caught.value.provider, caught.value.attempts, caught.value.outcome) == ("qwen", 3, "unknown")


async def test_strict_cost_control_turns_to_nobody_after_an_unknown_outcome(mode: Mode, site: MakeSite) -> None:
    """With retry_unknown = false a second attempt anywhere could be the second bill."""
    made = site("retry_unknown = false", qwen=[[CLOSE]], native=[reply(mode, "native", "hello")])
    client = mode.client(None, **made.options)
    with pytest.raises(APIConnectionError):
        await mode.ask(client)
    await mode.leave(client)
    assert made.asked() == [1, 0, 0]


async def test_an_answer_after_an_unknown_outcome_says_so(mode: Mode, site: MakeSite) -> None:
    """What the first profile may have billed is a warning on the answer of the second."""
    made = site(qwen=[[CLOSE]], native=[reply(mode, "native", "hello")])
    client = mode.client(None, **made.options)
    told = await mode.ask(client)
    await mode.leave(client)
    assert "may have been billed as well" in told.response.warnings[1]


async def test_an_unknown_outcome_is_said_though_a_refusal_came_last(
    mode: Mode, site: MakeSite, no_waiting: None
) -> None:
    """The first profile's retry hides no attempt that may have been billed, neither in an answer nor in an error."""
    made = site(
        qwen=[QWEN.error(500, "InternalError"), QWEN.error(401, "invalid_api_key")] * 2,
        native=[reply(mode, "native", "hello"), NATIVE.error(401, "InvalidApiKey")],
        gpt=[OPENAI.error(401, "invalid_api_key")],
    )
    client = mode.client(None, **made.options, max_retries=1)
    told = await mode.ask(client)
    assert "may have been billed as well" in told.response.warnings[1]
    with pytest.raises(AuthenticationError) as caught:
        await mode.ask(client)
    await mode.leave(client)
    assert (caught.value.provider, caught.value.attempts, caught.value.outcome) == ("qwen", 4, "unknown")


async def test_the_deadline_spans_all_profiles(mode: Mode, site: MakeSite) -> None:
    """When the time is up nobody else is asked."""
    made = site(qwen=[[HANG]], native=[reply(mode, "native", "hello")])
    client = mode.client(None, **made.options, deadline=0.2)
    with pytest.raises(APITimeoutError):
        await mode.ask(client)
    await mode.leave(client)
    assert made.asked() == [1, 0, 0]


async def test_the_retries_of_a_profile_come_before_its_fallback(mode: Mode, site: MakeSite, no_waiting: None) -> None:
    """An argument of the client is for every profile: each is tried as often as it says."""
    made = site(
        qwen=[QWEN.error(500, "InternalError"), QWEN.error(429, "limit_requests")],
        native=[NATIVE.error(429, "Throttling.RateQuota"), reply(mode, "native", "hello")],
    )
    client = mode.client(None, **made.options, max_retries=1)
    await mode.ask(client)
    await mode.leave(client)
    assert made.asked() == [2, 2, 0]


async def test_middleware_sees_each_profile_in_its_own_attempt(mode: Mode, site: MakeSite) -> None:
    """Call scope runs once around all; attempt scope with the profile, the number and the reason of the attempt."""
    seen: list[tuple[str, str, int, str | None]] = []

    def note(scope: str) -> Any:
        @middleware(f"note.{scope}", scope=scope)
        def noting(call: Call) -> Any:
            if scope == "attempt":
                seen.append((scope, call.profile.name, call.attempt, call.retry_reason))
            yield call.request
            if scope == "call":
                seen.append((scope, call.profile.name, call.attempt, call.retry_reason))

        return noting

    made = site(qwen=[QWEN.error(500, "InternalError")], native=[reply(mode, "native", "hello")])
    client = mode.client(None, note("call"), note("attempt"), **made.options)
    await mode.ask(client)
    await mode.leave(client)
    assert seen == [
        ("attempt", "qwen", 1, None),
        ("attempt", "native", 1, "InternalServerError"),
        ("call", "native", 1, "InternalServerError"),
    ]


async def test_a_layer_that_asks_again_asks_the_profile_itself(mode: Mode, site: MakeSite) -> None:
    """After a fallback has answered, or all have failed, the next attempts have their own profiles: costs go by it."""
    seen: list[str] = []

    @middleware("twice", stream="buffer")
    def twice(call: Call) -> Any:
        yield call.request
        try:
            yield call.request
        except RateLimitError:
            seen.append(f"failed as {call.profile.name}")
        yield call.request

    @middleware("note", scope="attempt")
    def note(call: Call) -> Any:
        seen.append(call.profile.name)
        yield call.request

    refused = NATIVE.error(429, "Throttling.RateQuota")
    made = site(
        qwen=[QWEN.error(500, "InternalError"), QWEN.error(429, "limit_requests"), reply(mode, "qwen", "hello")],
        native=[reply(mode, "native", "hello"), refused],
        gpt=[OPENAI.error(401, "invalid_api_key")],
    )
    client = mode.client(None, twice, note, **made.options)
    assert (await mode.ask(client)).response.provider == "qwen"
    await mode.leave(client)
    assert seen == ["qwen", "native", "qwen", "native", "gpt", "failed as qwen", "qwen"]
    assert made.asked() == [3, 2, 1]


async def test_a_fallback_brings_plugins_of_its_own(
    plain: Mode, site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    """They serve beside those of the profile that names it; one that both name is made once.

    And a cache keeps no answer of a fallback: the profile itself is to be asked again.
    """
    made = site(
        'plugins = ["cache"]',
        qwen=[QWEN.error(500, "InternalError"), QWEN.plain_reply("from qwen")],
        native=[NATIVE.plain_reply("from native")],
    )
    path = made.options["config"]
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace('provider = "dashscope"', 'provider = "dashscope"\nplugins = ["logging", "cache"]'),
        encoding="utf-8",
    )
    client: Any = (AsyncClient if plain.asynchronous else Client)("qwen", config=path)
    assert [layer.name for layer in client.middleware] == ["cache"]
    with caplog.at_level(logging.INFO, "qonduit"):
        told = await plain.ask(client)
        again = await plain.ask(client)
    await plain.leave(client)
    assert (told.response.provider, again.response.provider) == ("dashscope", "qwen")
    assert [record.getMessage()[:19] for record in caplog.records if record.name == "qonduit"] == [
        "call chat dashscope"
    ]


async def test_a_key_of_with_options_goes_to_its_own_profile_only(mode: Mode, site: MakeSite) -> None:
    """A key is bound to its host: the fallbacks keep their own, and their own models."""
    made = site(qwen=[QWEN.error(500, "InternalError")], native=[reply(mode, "native", "hello")])
    client = mode.client(None, **made.options)
    await mode.ask(client.with_options(api_key="sk-other", model="qwen-turbo"))
    await mode.leave(client)
    first, second = made.servers["qwen"].requests[0], made.servers["native"].requests[0]
    assert (first.headers["authorization"], first.json["model"]) == ("Bearer sk-other", "qwen-turbo")
    assert (second.headers["authorization"], second.json["model"]) == ("Bearer sk-native", "qwen-max")


async def test_embeddings_stay_with_their_model(plain: Mode, site: MakeSite) -> None:
    """Vectors of another model would be of no use: only a chat goes to the fallback's own model."""
    vectors = {"data": [{"embedding": [0.5], "index": 0}], "model": "text-embedding-v4", "usage": {"total_tokens": 1}}
    native = {"output": {"embeddings": [{"embedding": [0.5], "text_index": 0}]}, "usage": {"total_tokens": 1}}
    made = site(qwen=[QWEN.error(500, "InternalError")], native=[json_response(native)], gpt=[json_response(vectors)])
    client: Any = plain.client(None, **made.options)
    result = client.embeddings.create(input="hi", model="text-embedding-v4")
    answer = await result if plain.asynchronous else result
    await plain.leave(client)
    assert answer.provider == "dashscope"
    assert made.servers["native"].requests[0].json["model"] == "text-embedding-v4"


async def test_a_list_of_models_is_asked_of_the_profile_alone(plain: Mode, site: MakeSite) -> None:
    """Another provider's list would be no answer."""
    made = site(qwen=[QWEN.error(500, "InternalError")])
    client: Any = plain.client(None, **made.options)

    async def list_models() -> None:
        result = client.models.list()
        await result if plain.asynchronous else result

    with pytest.raises(InternalServerError):
        await list_models()
    await plain.leave(client)
    assert made.asked() == [1, 0, 0]


@pytest.mark.F41
async def test_calls_go_past_a_profile_that_keeps_failing(
    mode: Mode, site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    """After so many failures in a row it is not asked; the answers and the log say so."""
    made = site(
        "breaker = 2",
        qwen=[QWEN.error(500, "InternalError")] * 2,
        native=[reply(mode, "native", "hello")] * 4,
    )
    client = mode.client(None, **made.options)
    answers = [await mode.ask(client) for _ in range(4)]
    await mode.leave(client)
    assert made.asked() == [2, 4, 0]
    assert answers[-1].response.warnings[0].startswith("Profile 'qwen' kept failing and was passed over; it is tried")
    assert [record.getMessage() for record in caplog.records if record.name == "qonduit"] == [
        "Profile 'qwen' (qwen) failed 2 time(s) in a row: for 30 s calls go past it where there is another to turn to."
    ]


@pytest.mark.F41
async def test_the_last_candidate_is_never_taken_away(mode: Mode, site: MakeSite) -> None:
    """Where every breaker is open all are asked, in order; and a profile without fallbacks is always asked."""
    failing = [QWEN.error(500, "InternalError")] * 3
    made = site(
        "breaker = 1",
        qwen=failing[:2],
        native=[NATIVE.error(500, "InternalError"), reply(mode, "native", "hello")],
        gpt=[OPENAI.error(500, "server_error")],
    )
    client = mode.client(None, **made.options)
    with pytest.raises(InternalServerError):
        await mode.ask(client)
    told = await mode.ask(client)
    await mode.leave(client)
    assert told.response.provider == "dashscope"
    assert made.asked() == [2, 2, 1]

    alone = site("breaker = 1", qwen=failing)
    client = mode.client(None, **{**alone.options, "fallback": []})
    for _ in range(3):
        with pytest.raises(InternalServerError):
            await mode.ask(client)
    await mode.leave(client)
    assert alone.asked() == [3, 0, 0]


@pytest.mark.F41
async def test_refusals_of_a_request_do_not_open_a_breaker(mode: Mode, site: MakeSite) -> None:
    """A 400 says nothing of the provider."""
    made = site(
        "breaker = 1",
        qwen=[QWEN.error(400, "invalid_parameter_error"), reply(mode, "qwen", "hello")],
        native=[reply(mode, "native", "hello")],
    )
    client = mode.client(None, **made.options)
    with pytest.raises(BadRequestError):
        await mode.ask(client)
    assert (await mode.ask(client)).response.provider == "qwen"
    await mode.leave(client)
    assert made.asked() == [2, 0, 0]


@pytest.mark.F41
async def test_a_call_whose_time_was_up_before_it_was_sent_does_not_open_a_breaker(mode: Mode, site: MakeSite) -> None:
    """Its provider was not asked: what took the time was a layer."""

    @middleware("slow")
    def slow(call: Call) -> Any:
        if call.deadline is not None:
            call.deadline = call.clock()
        yield call.request

    made = site("breaker = 1", qwen=[reply(mode, "qwen", "hello")], native=[reply(mode, "native", "hello")])
    client = mode.client(None, slow, **made.options)
    with pytest.raises(APITimeoutError) as caught:
        await mode.ask(client, deadline=10)
    assert caught.value.outcome == "not_sent"
    assert (await mode.ask(client)).response.provider == "qwen"
    await mode.leave(client)
    assert made.asked() == [1, 0, 0]


@pytest.mark.F41
async def test_a_profile_that_was_passed_over_has_its_say_when_it_is_asked_at_last(mode: Mode, site: MakeSite) -> None:
    """Its error comes out, a refusal of the request too; what its fallbacks said is added, each once."""
    made = site(
        "breaker = 1",
        qwen=[QWEN.error(500, "InternalError"), QWEN.error(400, "invalid_parameter_error")],
        native=[NATIVE.error(500, "InternalError"), reply(mode, "native", "never")],
        gpt=[reply(mode, "gpt", "hello"), OPENAI.error(429, "rate_limit_exceeded")],
    )
    client = mode.client(None, **made.options)
    await mode.ask(client)
    with pytest.raises(BadRequestError) as caught:
        await mode.ask(client)
    await mode.leave(client)
    assert (caught.value.provider, caught.value.attempts) == ("qwen", 2)
    assert caught.value.message.count("Profile 'gpt' failed") == 1
    assert "Profile 'qwen' failed" not in caught.value.message
    assert made.asked() == [2, 1, 2]


@pytest.mark.F41
async def test_a_fallback_that_breaks_says_who_was_passed_over(streaming: Mode, site: MakeSite) -> None:
    """A stream of a fallback that was asked first, since the profile itself keeps failing."""
    broken = [sse_head(), http_chunk(NATIVE.piece("na")), CLOSE]
    made = site("breaker = 1", qwen=[QWEN.error(500, "InternalError")], native=[NATIVE.stream_reply(("na",)), broken])
    client = streaming.client(None, **made.options)
    await streaming.ask(client)
    with pytest.raises(StreamInterruptedError, match="Profile 'qwen' kept failing and was passed over"):
        await streaming.ask(client)
    await streaming.leave(client)
    assert made.asked() == [1, 2, 0]


@pytest.mark.F41
async def test_a_provider_that_refuses_a_request_answers(mode: Mode, site: MakeSite) -> None:
    """So the failures before it and after it are not in a row."""
    down = QWEN.error(500, "InternalError")
    made = site(
        "breaker = 2",
        qwen=[down, QWEN.error(400, "invalid_parameter_error"), down, reply(mode, "qwen", "hello")],
        native=[reply(mode, "native", "hello")] * 2,
    )
    client = mode.client(None, **made.options)
    assert (await mode.ask(client)).response.provider == "dashscope"
    with pytest.raises(BadRequestError):
        await mode.ask(client)
    assert (await mode.ask(client)).response.provider == "dashscope"
    assert (await mode.ask(client)).response.provider == "qwen"
    await mode.leave(client)


@pytest.mark.F41
async def test_each_key_has_a_breaker_of_its_own(mode: Mode, site: MakeSite) -> None:
    """One tenant's revoked key does not send the others elsewhere."""
    made = site(
        "breaker = 1",
        qwen=[QWEN.error(401, "invalid_api_key"), reply(mode, "qwen", "hello")],
        native=[reply(mode, "native", "hello")],
    )
    client = mode.client(None, **made.options)
    assert (await mode.ask(client.with_options(api_key="sk-revoked"))).response.provider == "dashscope"
    assert (await mode.ask(client)).response.provider == "qwen"
    await mode.leave(client)


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.F41
def test_an_open_breaker_lets_one_trial_through_at_a_time() -> None:
    """After its time one call is the trial; its success closes the breaker, its failure or silence keeps it open."""
    clock = Clock()
    breaker = Breaker("it", 2, 30.0, clock=clock)
    breaker.failed()
    assert breaker.lets_through()
    breaker.failed()
    assert not breaker.lets_through()
    assert breaker.left == 30.0
    clock.now = 30.0
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]
    clock.now = 40.0
    breaker.failed()
    clock.now = 69.0
    assert not breaker.lets_through()
    clock.now = 70.0
    assert breaker.lets_through()  # a trial whose end is never told
    clock.now = 100.0
    assert breaker.lets_through()
    breaker.succeeded()
    assert [breaker.lets_through() for _ in range(3)] == [True, True, True]


@pytest.mark.F41
def test_a_success_in_between_begins_the_count_anew() -> None:
    """Failures count in a row."""
    breaker = Breaker("it", 2, 30.0, clock=Clock())
    for _ in range(3):
        breaker.failed()
        assert breaker.lets_through()
        breaker.succeeded()


@pytest.mark.F48
@pytest.mark.parametrize("after", ["retry", "fallback", "middleware"])
async def test_a_stream_that_came_after_a_failure_is_freed_when_it_is_dropped(
    streaming: Mode, site: MakeSite, no_waiting: None, after: str
) -> None:
    """The failure before it, whose frames hold the call, does not keep it for the garbage collector."""

    @middleware("again")
    def again(call: Call) -> Any:
        failed = False
        try:
            yield call.request
        except InternalServerError:
            failed = True
        if failed:
            yield call.request

    failing, hanging = QWEN.error(500, "InternalError"), [sse_head(), http_chunk(QWEN.piece("a")), HANG]
    native = [sse_head(), http_chunk(NATIVE.piece("a")), HANG]
    made = site(qwen=[failing, native if after == "fallback" else hanging], native=[native])
    options = {**made.options, "max_retries": int(after == "retry"), "fallback": ["native"] * (after == "fallback")}
    client = streaming.client(None, *([again] if after == "middleware" else []), **options)
    gc.collect()
    gc.disable()
    try:
        stream = await streaming.start(client)
        await streaming.next(stream)
        server = made.servers["native" if after == "fallback" else "qwen"]
        with pytest.warns(ResourceWarning, match="neither read to its end nor closed"):
            del stream
        if streaming.asynchronous:
            await asyncio.sleep(0)
            freed = await asyncio.to_thread(server.wait_open, 0)
        else:
            freed = server.wait_open(0)
    finally:
        gc.enable()
    assert freed
    await streaming.leave(client)

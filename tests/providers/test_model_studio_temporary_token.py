"""The plugin `temporary-token`: what is sent with which key, and when another token is fetched."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.parts import profile
from tests.pipeline.memory import MemoryTransport, Reply, refused, said
from tests.pipeline.modes import MESSAGES, MODES, Mode

from qonduit import (
    APIError,
    AuthenticationError,
    Client,
    ConfigurationError,
    InternalServerError,
    ProtocolError,
    WireRequest,
    WireResponse,
)
from qonduit.credentials import Credentials
from qonduit_emulator import Emulator
from qonduit_model_studio.temporary_token import TemporaryToken, TemporaryTokenOptions, TokenAuth

modes = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
BASES = {"qwen": "/compatible-mode/v1", "dashscope": "/api/v1"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


def token(name: str, status: int = 200) -> Reply:
    return Reply(status).with_parts(json.dumps({"token": name, "expires_at": 1_780_000_000}).encode())


def keys(transport: MemoryTransport) -> list[tuple[str, str]]:
    """What each request was for, and the key that it carried."""
    return [(wire.operation, wire.headers["authorization"].removeprefix("Bearer ")) for wire in transport.sent]


@modes
@pytest.mark.parametrize("provider", list(BASES))
async def test_calls_of_a_real_server(emulator: Emulator, mode: Mode, provider: str) -> None:
    """The server lets the token in, call after call, whichever way is asked, on either provider."""
    given = {"provider": provider, "base_url": emulator.url + BASES[provider], "api_key": emulator.api_key}
    client = mode.client(None, ("temporary-token", {"seconds": 60}), **given)
    for _ in range(2):
        told = await mode.ask(client)
        assert told.response.text
    await mode.leave(client)


@modes
async def test_a_wrong_key_at_a_real_server(emulator: Emulator, mode: Mode) -> None:
    """Who has a wrong key sees the refusal of the token, as an error of the key."""
    client = mode.client(None, "temporary-token", base_url=emulator.base_url, api_key="sk-wrong", max_retries=0)
    with pytest.raises(
        AuthenticationError, match=r"asked for a temporary token; the call itself was not sent"
    ) as caught:
        await mode.ask(client)
    assert f"The key was sent to {emulator.url.removeprefix('http://')}." in str(caught.value)
    assert "sk-wrong" not in str(caught.value)
    assert (caught.value.status_code, caught.value.code, caught.value.provider) == (401, "InvalidApiKey", "qwen")
    await mode.leave(client)


@modes
async def test_the_key_is_sent_for_the_token_only(mode: Mode) -> None:
    """One token serves the calls of its life; none of them carries the key."""
    transport = MemoryTransport(token("st-1"), said("Hello"))
    client = mode.client(transport, ("temporary-token", {"seconds": 900}))
    for _ in range(2):
        assert (await mode.ask(client)).response.text == "Hello"
    assert keys(transport) == [("token", "sk-test"), ("chat", "st-1"), ("chat", "st-1")]
    first = transport.sent[0]
    assert (first.method, first.content, first.stream) == ("POST", b"", False)
    assert first.url == "https://dashscope.aliyuncs.com/api/v1/tokens?expire_in_seconds=900"


@modes
async def test_a_refused_token_is_replaced_once(mode: Mode) -> None:
    """After a 401 of the call another token is fetched and the call sent again; a second 401 is the call's."""
    transport = MemoryTransport(token("st-1"), refused(401), token("st-2"), said("Hello"))
    assert (await mode.ask(mode.client(transport, "temporary-token"))).response.text == "Hello"
    assert keys(transport) == [("token", "sk-test"), ("chat", "st-1"), ("token", "sk-test"), ("chat", "st-2")]

    transport = MemoryTransport(token("st-1"), refused(401), token("st-2"), refused(401))
    with pytest.raises(AuthenticationError):
        await mode.ask(mode.client(transport, "temporary-token"))
    assert [operation for operation, _ in keys(transport)] == ["token", "chat", "token", "chat"]


@modes
@pytest.mark.parametrize(
    ("answer", "kind", "retryable"),
    [
        (refused(500), InternalServerError, True),
        (Reply(503).with_parts(b"<html>"), APIError, True),
        (Reply(200).with_parts(b"<html>"), ProtocolError, False),
        (Reply(200).with_parts(b'{"expires_at": 5}'), ProtocolError, False),
    ],
)
async def test_an_answer_without_a_token(mode: Mode, answer: Reply, kind: type[APIError], retryable: bool) -> None:
    """It is an error of its kind; the call was not sent, so nothing can have been billed."""
    transport = MemoryTransport(answer)
    with pytest.raises(kind) as caught:
        await mode.ask(mode.client(transport, "temporary-token", max_retries=0))
    assert (caught.value.retryable, caught.value.outcome) == (retryable, "rejected")
    assert [operation for operation, _ in keys(transport)] == ["token"]


@modes
async def test_a_token_is_fetched_again_when_that_failed(mode: Mode, no_waiting: None) -> None:
    """A retry of the call begins with the token that could not be had."""
    transport = MemoryTransport(refused(503), token("st-1"), said("Hello"))
    assert (await mode.ask(mode.client(transport, "temporary-token", max_retries=1))).response.text == "Hello"


class Clock:
    """Seconds that a test says."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def run(auth: TokenAuth, *answers: WireResponse) -> list[str]:
    """One call's flow: the keys of the requests that it sent, answered one after the other."""
    flow = auth.flow(WireRequest("POST", "https://example.test/x", {}, b"{}"))
    sent: list[Any] = [next(flow)]
    for answer in answers:
        try:
            sent.append(flow.send(answer))
        except StopIteration:
            break
    return [wire.headers["authorization"].removeprefix("Bearer ") for wire in sent]


def answered(status: int, body: Any = None) -> WireResponse:
    return WireResponse(
        status, {}, json.dumps(body or {}).encode(), WireRequest("POST", "https://example.test", {}, b"")
    )


def auth_of(clock: Clock, credentials: Credentials, seconds: int = 100) -> TokenAuth:
    return TokenAuth(profile("dashscope", base_url="https://example.test/api/v1"), credentials, seconds, clock)


def test_a_token_is_not_used_in_the_last_tenth_of_its_life() -> None:
    """A token may be looked at a while after it was sent; it is replaced before it can have ended by then."""
    clock = Clock()
    auth = auth_of(clock, Credentials(lambda: "sk-a", "a test"))
    assert run(auth, answered(200, {"token": "st-1"}), answered(200)) == ["sk-a", "st-1"]
    clock.now += 89.9
    assert run(auth, answered(200)) == ["st-1"]
    clock.now += 0.2
    assert run(auth, answered(200, {"token": "st-2"}), answered(200)) == ["sk-a", "st-2"]


def test_the_life_of_a_token_counts_from_the_question() -> None:
    """A slow answer does not make a token live longer."""
    clock = Clock()
    auth = auth_of(clock, Credentials(lambda: "sk-a", "a test"))
    flow = auth.flow(WireRequest("POST", "https://example.test/x", {}, b"{}"))
    next(flow)
    clock.now += 95
    flow.send(answered(200, {"token": "st-1"}))
    assert run(auth, answered(200, {"token": "st-2"}), answered(200)) == ["sk-a", "st-2"]


@modes
async def test_a_token_that_the_server_let_end(mode: Mode) -> None:
    """A real server ends the token before the client thinks so: the call goes through with another one."""
    clock = Clock()
    with Emulator(clock=clock) as emulator:
        given = {"base_url": emulator.base_url, "api_key": emulator.api_key, "max_retries": 0}
        client = mode.client(None, ("temporary-token", {"seconds": 60}), **given)
        for _ in range(2):
            assert (await mode.ask(client)).response.text
            clock.now += 61
        asked = [request.path.rpartition("/")[2] for request in emulator.requests]
        assert asked == ["tokens", "completions", "completions", "tokens", "completions"]
        await mode.leave(client)


def test_a_key_that_was_changed_is_read_again() -> None:
    """After a 401 for the token the key is read once more, and its token used."""
    found = ["sk-old", "sk-new"]
    auth = auth_of(Clock(), Credentials(lambda: found.pop(0) if len(found) > 1 else found[0], "a test"))
    assert run(auth, answered(401), answered(200, {"token": "st-1"}), answered(200)) == ["sk-old", "sk-new", "st-1"]


def test_two_first_calls_at_once() -> None:
    """Each may fetch a token; both calls go out with a good one."""
    auth = auth_of(Clock(), Credentials(lambda: "sk-a", "a test"))
    wire = WireRequest("POST", "https://example.test/x", {}, b"{}")
    one, two = auth.flow(wire), auth.flow(wire)
    assert {next(one).operation, next(two).operation} == {"token"}  # type: ignore[union-attr]
    sent: list[Any] = [one.send(answered(200, {"token": "st-1"})), two.send(answered(200, {"token": "st-2"}))]
    assert [wire.headers["authorization"] for wire in sent] == ["Bearer st-1", "Bearer st-2"]
    # The first was refused: the second's token is newer, and used as it is.
    again: Any = one.send(answered(401))
    assert again.headers["authorization"] == "Bearer st-2"


def test_many_threads_at_once(emulator: Emulator) -> None:
    """First calls of many threads all succeed, each with a token, however many of them were fetched."""
    emulator.reset()
    given = {"provider": "qwen", "base_url": emulator.base_url, "api_key": emulator.api_key, "model": "qwen-plus"}
    with Client(plugins=["temporary-token"], max_retries=0, **given) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.chat.completions.create(messages=MESSAGES), range(32)))
    assert all(answer.text for answer in answers)
    asked = [request.path.rpartition("/")[2] for request in emulator.requests]
    assert asked.count("completions") == 32
    assert 1 <= asked.count("tokens") <= 16


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://example.test/compatible-mode/v1", "https://example.test/api/v1/tokens"),
        ("https://example.test/api/v1", "https://example.test/api/v1/tokens"),
        ("https://gateway.test/team/qwen/compatible-mode/v1", "https://gateway.test/team/qwen/api/v1/tokens"),
    ],
)
def test_where_tokens_are_made(base_url: str, url: str) -> None:
    """Beside the base URL, whichever provider's it is; what a gateway puts before the path stays."""
    auth = TokenAuth(profile("qwen", base_url=base_url), Credentials(lambda: "sk-a", "a test"), 60, Clock())
    flow = auth.flow(WireRequest("POST", base_url, {}, b""))
    assert next(flow).url == f"{url}?expire_in_seconds=60"  # type: ignore[union-attr]


def test_another_servers_base_url() -> None:
    """Where tokens are made cannot be told of another server: the client is not built, and the error says why."""
    with pytest.raises(ConfigurationError, match=r"temporary-token.*https://example\.test/v1.*/compatible-mode/v1 or"):
        Client(provider="openai", base_url="https://example.test/v1", api_key="sk-a", plugins=["temporary-token"])


@pytest.mark.parametrize("seconds", [0, 1801, "long"])
def test_lives_that_no_token_has(seconds: Any) -> None:
    """A token lives for 1 to 1800 seconds."""
    with pytest.raises(ConfigurationError, match="seconds"):
        Client(provider="qwen", api_key="sk-a", plugins=[("temporary-token", {"seconds": seconds})])


@modes
async def test_nothing_shows_a_token(mode: Mode, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a log nor an error nor an answer holds the key or the token."""
    caplog.set_level(logging.DEBUG)
    transport = MemoryTransport(token("st-secret"), said("Hello"))
    told = await mode.ask(mode.client(transport, "temporary-token", "logging"))
    plugin = TemporaryToken(TemporaryTokenOptions())
    shown = caplog.text + repr(told) + repr(plugin) + repr(transport.sent)
    assert "st-secret" not in shown
    assert "sk-test" not in shown

"""An auth that sends requests of its own: for a token, in every mode."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, Reply, refused, said
from tests.pipeline.modes import MODES, Mode

from qonduit import AuthenticationError, RateLimitError, WireRequest, hookimpl

modes = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
TOKEN_URL = "https://tokens.test/make"


class Exchange:
    """Exchanges the key for a token at each call; after a 401 once more."""

    @hookimpl
    def qonduit_auth(self) -> Any:
        return self

    def flow(self, wire: WireRequest) -> Any:
        for _ in range(2):
            made = yield WireRequest("POST", TOKEN_URL, {"authorization": "Bearer key"}, b"")
            token = json.loads(made.content)["token"]
            answer = yield wire.with_headers({"authorization": f"Bearer {token}"})
            if answer.status != 401:
                return


def token(name: str) -> Reply:
    return Reply().with_parts(json.dumps({"token": name}).encode())


@modes
async def test_a_token_is_fetched_and_used(mode: Mode) -> None:
    """The flow reads the token request's body whole, also in a streamed call, and the call goes out with the token."""
    transport = MemoryTransport(token("t1"), said("Hello"))
    told = await mode.ask(mode.client(transport, Exchange()))
    assert told.response.text == "Hello"
    assert [(wire.url == TOKEN_URL, wire.headers["authorization"]) for wire in transport.sent] == [
        (True, "Bearer key"),
        (False, "Bearer t1"),
    ]


@modes
async def test_a_refused_token_is_fetched_anew(mode: Mode) -> None:
    """After a 401 the flow may fetch another; the stream that carried the 401 is closed."""
    transport = MemoryTransport(token("old"), refused(401), token("new"), said("Hello"))
    told = await mode.ask(mode.client(transport, Exchange()))
    assert told.response.text == "Hello"
    assert transport.sent[-1].headers["authorization"] == "Bearer new"
    assert all(stream.ended for stream in transport.streams)


class Empty:
    """Puts a header on requests that says nothing."""

    @hookimpl
    def qonduit_auth(self) -> Any:
        return self

    def flow(self, wire: WireRequest) -> Any:
        yield wire.with_headers({"authorization": "Bearer key-of-empty", "x-team": ""})


@modes
async def test_an_empty_header_hides_nothing_but_the_key(mode: Mode) -> None:
    """An auth may add a header without a value: errors are the provider's, without what is secret in the others."""
    error = {"error": {"code": "limit_requests", "message": "slower, key-of-empty"}}
    client = mode.client(MemoryTransport(Reply(429).with_parts(json.dumps(error).encode())), Empty(), max_retries=0)
    with pytest.raises(RateLimitError) as caught:
        await mode.ask(client)
    assert "slower, [redacted]" in caught.value.message


@modes
async def test_a_401_names_the_host_that_was_asked(mode: Mode) -> None:
    """A key that is refused is usually another host's: the error says where it went, once."""
    client = mode.client(MemoryTransport(refused(401)))
    with pytest.raises(AuthenticationError) as caught:
        await mode.ask(client)
    assert caught.value.message.count("The key was sent to dashscope.aliyuncs.com.") == 1

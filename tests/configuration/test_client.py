"""Clients: their options, their connections, their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import MESSAGES
from tests.servers import Request, ScriptedServer, json_response
from tests.wires import WIRES

from qonduit import APIStatusError, AsyncClient, BadRequestError, Client, ConfigurationError, middleware

Serve = Callable[..., ScriptedServer]
WIRE = WIRES["qwen"]


def answering(request: Request) -> Any:
    return WIRE.stream_reply() if request.json.get("stream") else WIRE.plain_reply()


def given(server: ScriptedServer, **options: Any) -> dict[str, Any]:
    return {"provider": "qwen", "model": "m", "api_key": "sk-1", "base_url": server.url + WIRE.prefix, **options}


def ask(client: Client, **parameters: Any) -> str:
    return client.chat.completions.create(messages=MESSAGES, **parameters).text


def test_with_options_shares_connections(serve: Serve) -> None:
    """A client made by `with_options` sends over the same connection with its own key, timeout, tags and model."""
    server = serve(answering)
    seen: list[dict[str, str]] = []

    @middleware("tags")
    def tags(call):
        seen.append(dict(call.tags))
        yield call.request

    with Client(**given(server, plugins=[tags], tags={"a": "1"})) as client:
        other = client.with_options(api_key="sk-2", timeout=7, model="n", tags={"b": "2"}, max_retries=1)
        assert (ask(client), ask(other), ask(client)) == ("hello",) * 3
        assert (other.profile.timeout, other.profile.model, other.profile.max_retries) == (7, "n", 1)
        assert (client.profile.timeout, client.profile.model) == (60, "m")
        assert client.profile.key_id != other.profile.key_id
        assert type(other) is Client
    assert server.connections == 1
    keys = [request.headers["authorization"] for request in server.requests]
    assert keys == ["Bearer sk-1", "Bearer sk-2", "Bearer sk-1"]
    assert [request.json["model"] for request in server.requests] == ["m", "n", "m"]
    assert seen == [{"a": "1"}, {"a": "1", "b": "2"}, {"a": "1"}]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timeout": "hot"}, "timeout: expected a number"),
        ({"timeout": 0}, "timeout: "),
        ({"max_retries": 9}, "max_retries: "),
        ({"deadline": -1}, "deadline: "),
        ({"model": 3}, "model: expected text"),
        ({"tags": "team"}, "tags: expected a mapping of text to text, got str"),
        ({"tags": {"team": 1}}, r"tags\.team: expected text, got int"),
        ({"tags": {1: "team"}}, "tags: a name: expected text, got int"),
        ({"api_key": "a b"}, "a space or a line break"),
    ],
)
def test_wrong_options(options: dict[str, Any], text: str) -> None:
    """`with_options` refuses what the constructor refuses, in the same words."""
    client = Client(provider="qwen", api_key="sk-x")
    with pytest.raises(ConfigurationError, match=text):
        client.with_options(**options)


def test_closing_a_shared_client_closes_nothing(serve: Serve) -> None:
    """A client made by `with_options` may be closed; the first one goes on."""
    server = serve(answering)
    with Client(**given(server)) as client:
        with client.with_options(timeout=7) as other:
            ask(other)
        ask(client)
        assert server.open_connections == 1
    assert server.wait_open(0)
    assert server.connections == 1


def test_a_closed_client_says_so() -> None:
    """A call of a closed client is refused; closing twice is nothing."""
    transport = MemoryTransport(said("Hi"))
    client = Client(provider="qwen", model="m", api_key="sk-x", plugins=[transport])
    client.close()
    client.close()
    assert transport.closed == 1
    with pytest.raises(ConfigurationError, match="This client is closed"):
        ask(client)


def test_closing_the_first_client_closes_those_of_its_options() -> None:
    """A client made by `with_options` shares the connections, so it is closed with the first one."""
    client = Client(provider="qwen", model="m", api_key="sk-x", plugins=[MemoryTransport(said("Hi"))])
    other = client.with_options(timeout=7)
    client.close()
    with pytest.raises(ConfigurationError, match="This client is closed"):
        ask(other)


async def test_a_closed_async_client_says_so() -> None:
    """The same, async; `close` and `aclose` are one."""
    transport = MemoryTransport(said("Hi"))
    client = AsyncClient(provider="qwen", model="m", api_key="sk-x", plugins=[transport])
    await client.close()
    await client.aclose()
    assert transport.closed == 1
    with pytest.raises(ConfigurationError, match="This client is closed"):
        await client.chat.completions.create(messages=MESSAGES)


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_handed_in(serve: Serve, library: Any, streamed: bool) -> None:
    """A client of httpx or httpx2 is sent through, with its own hooks, and never closed."""
    server = serve(answering)
    seen: list[str] = []
    hooks = {"request": [lambda request: seen.append(request.method)]}
    with library.Client(event_hooks=hooks, trust_env=False) as http_client:
        with Client(**given(server, http_client=http_client)) as client:
            if streamed:
                with client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
                    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "hello"
            else:
                assert ask(client) == "hello"
        assert not http_client.is_closed
    assert seen == ["POST"]
    assert server.requests[0].headers["authorization"] == "Bearer sk-1"


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_async_client_handed_in(serve: Serve, library: Any, streamed: bool) -> None:
    """The same, async."""
    server = serve(answering)
    async with library.AsyncClient(trust_env=False) as http_client:
        async with AsyncClient(**given(server, http_client=http_client)) as client:
            result = await client.chat.completions.create(messages=MESSAGES, stream=streamed)
            if streamed:
                async with result as stream:
                    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "hello"
            else:
                assert result.text == "hello"
        assert not http_client.is_closed


def test_the_wrong_kind_of_client_handed_in(serve: Serve) -> None:
    """An async http client in a sync client is refused with the kind that it needs."""
    server = serve(answering)
    http_client = httpx.AsyncClient(trust_env=False)
    expected = r"http_client is .*AsyncClient.*httpx\.Client"
    with Client(**given(server, http_client=http_client)) as client, pytest.raises(ConfigurationError, match=expected):
        ask(client)
    asyncio.run(http_client.aclose())


@pytest.mark.F56
def test_redirects_are_not_followed(serve: Serve) -> None:
    """A client handed in that follows redirects does not when qonduit sends: a key stays with its host."""
    server = serve([json_response({}, 307, location="/elsewhere")])
    with (
        httpx.Client(follow_redirects=True, trust_env=False) as http_client,
        Client(**given(server, http_client=http_client)) as client,
        pytest.raises(APIStatusError, match="307"),
    ):
        ask(client)
    assert len(server.requests) == 1


@pytest.mark.parametrize("messages", ["text", b"text", {"role": "user", "content": "x"}])
def test_messages_is_a_list(messages: Any) -> None:
    """A single message or a text in place of a list is refused with an example."""
    client = Client(provider="qwen", model="m", api_key="sk-x", plugins=[MemoryTransport(said("Hi"))])
    with pytest.raises(BadRequestError, match=r'messages: expected a list, e\.g\. \[\{"role": "user"'):
        client.chat.completions.create(messages=messages)


def test_a_missing_model() -> None:
    """A call without a model, of a client without one, is refused before anything is sent."""
    transport = MemoryTransport(said("Hi"))
    client = Client(provider="qwen", api_key="sk-x", plugins=[transport])
    with pytest.raises(BadRequestError, match="model: is missing; name it in the call, the client or the profile"):
        ask(client)
    assert transport.sent == []


def test_organization_and_workspace(serve: Serve) -> None:
    """The organization goes to OpenAI as its header, the workspace to Model Studio as its own."""
    server = serve(answering)
    with Client(**given(server, provider="openai", organization="org-1")) as client:
        ask(client)
    with Client(**given(server, workspace="ws-1")) as client:
        ask(client)
    assert server.requests[0].headers["openai-organization"] == "org-1"
    assert server.requests[1].headers["x-dashscope-workspace"] == "ws-1"


def test_one_client_for_several_loops(serve: Serve) -> None:
    """An async client may be used from one event loop after another; each has its own connections."""
    server = serve(answering)
    client = AsyncClient(**given(server))

    async def once() -> str:
        return (await client.chat.completions.create(messages=MESSAGES)).text

    async def last() -> str:
        async with client:
            return await once()

    assert asyncio.run(once()) == "hello"
    assert asyncio.run(last()) == "hello"
    assert server.connections == 2
    assert server.wait_open(0)

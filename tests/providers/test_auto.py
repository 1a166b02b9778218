"""The provider `auto`: which of the two ways to Qwen a call takes, that the answer says so, and what both share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import MESSAGES, MODES, Mode

from qonduit import (
    AsyncClient,
    AuthenticationError,
    BadRequestError,
    Call,
    Client,
    ConfigurationError,
    NotFoundError,
    Profile,
    hookimpl,
    middleware,
)
from qonduit_emulator import Emulator

modes = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
COMPATIBLE = "/compatible-mode/v1/chat/completions"
NATIVE = "/api/v1/services/aigc/text-generation/generation"
SOURCES = {"enable_source": True}
NATIVE_ONLY = {"qwen-flash": {"providers": ["dashscope"]}}


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    """An emulator that has not been asked yet."""
    running.reset()
    return running


def settings(emulator: Emulator, **more: Any) -> dict[str, Any]:
    given = {"provider": "auto", "model": "qwen-plus", "base_url": emulator.url, "api_key": emulator.api_key}
    return {**given, "max_retries": 0, **more}


def paths(emulator: Emulator) -> list[str]:
    return [request.path for request in emulator.requests]


CHOICES: dict[str, tuple[dict[str, Any], str]] = {
    # request, words of the reason where the native API is chosen
    "plain": ({}, ""),
    "parameters of both": ({"top_k": 5, "reasoning": 50, "seed": 7}, ""),
    "a search": ({"search": True}, ""),
    "what neither has": ({"frequency_penalty": 0.5}, ""),
    "a search whose pages are wanted": ({"search": SOURCES}, "'qwen' takes no search results"),
    "a seed that only one takes": ({"seed": 2**31}, "seed: expected from 0 to 2147483647, got 2147483648"),
    "a model of one only": ({"model": "qwen-flash"}, "'qwen-flash' is served by provider 'dashscope'"),
}


@modes
@pytest.mark.parametrize(("request_", "words"), CHOICES.values(), ids=list(CHOICES))
async def test_what_decides(mode: Mode, emulator: Emulator, request_: dict[str, Any], words: str) -> None:
    """Compatible mode serves what it can say all of; else the native API, and the answer says which and why."""
    client = mode.client(None, **settings(emulator, models=NATIVE_ONLY))
    response = (await mode.ask(client, **request_)).response
    await mode.leave(client)
    assert response.text
    assert response.provider == ("dashscope" if words else "qwen")
    assert paths(emulator) == [NATIVE if words else COMPATIBLE]
    chosen = [warning for warning in response.warnings if "was chosen" in warning]
    if not words:
        assert chosen == []
        return
    assert chosen == list(response.warnings[:1])
    assert chosen[0].startswith("Provider 'dashscope' was chosen: ")
    assert words in chosen[0]


@modes
async def test_the_pages_that_were_found(mode: Mode, emulator: Emulator) -> None:
    """Who asks for the pages gets them, with their titles and addresses."""
    client = mode.client(None, **settings(emulator))
    search = (await mode.ask(client, search=SOURCES)).response.search
    await mode.leave(client)
    assert search is not None
    assert [(page.index, bool(page.title), bool(page.url)) for page in search.results] == [
        (1, True, True),
        (2, True, True),
        (3, True, True),
    ]


@both
@pytest.mark.parametrize(
    ("model", "more", "provider", "path"),
    [
        ("qwen3-rerank", {}, "qwen", "/compatible-api/v1/reranks"),
        ("qwen3-rerank", {"return_documents": True}, "dashscope", "/api/v1/services/rerank/text-rerank/text-rerank"),
        ("gte-rerank-v2", {}, "dashscope", "/api/v1/services/rerank/text-rerank/text-rerank"),
    ],
)
async def test_reranks(
    asynchronous: bool, emulator: Emulator, model: str, more: dict[str, Any], provider: str, path: str
) -> None:
    """The flat rerank serves its own model; another model, or the documents themselves, come from the native API."""
    client: Any = (AsyncClient if asynchronous else Client)(**settings(emulator, model=model))
    result = client.rerank.create(query="lakes", documents=["hills", "lakes"], **more)
    response = await result if asynchronous else result
    assert response.results[0].index == 1
    assert (response.provider, paths(emulator)) == (provider, [path])
    assert [f"Provider '{provider}' was chosen" in warning for warning in response.warnings] == (
        [True] if provider == "dashscope" else []
    )


@both
async def test_other_operations(asynchronous: bool, emulator: Emulator) -> None:
    """Vectors and the list of models come by compatible mode, which has them; token counts by the tokenizer."""
    client: Any = (AsyncClient if asynchronous else Client)(**settings(emulator))
    for result in (
        client.embeddings.create(model="text-embedding-v4", input="a"),
        client.models.list(),
        client.count_tokens(messages=MESSAGES),
    ):
        response = await result if asynchronous else result
        assert (response.provider, response.warnings) == ("qwen", ())
    assert paths(emulator) == ["/compatible-mode/v1/embeddings", "/compatible-mode/v1/models", "/api/v1/tokenizer"]


@pytest.mark.parametrize("path", ["", "/", "/compatible-mode/v1", "/api/v1", "/api/v1/"])
def test_base_urls(emulator: Emulator, path: str) -> None:
    """A base URL is given without a path or with that of either way; both ways are found from it."""
    with Client(**settings(emulator, base_url=emulator.url + path)) as client:
        for more in ({}, {"search": SOURCES}):
            assert client.chat.completions.create(messages=MESSAGES, **more).text
    assert paths(emulator) == [COMPATIBLE, NATIVE]


def test_a_region() -> None:
    """Without a base URL each way has the region's own."""
    transports = Transports()
    client = Client(provider="auto", region="us-east-1", model="m", api_key="sk-a", plugins=[transports])
    client.chat.completions.create(messages=MESSAGES)
    (sent,) = transports.made["qwen"].sent
    assert sent.url == f"https://dashscope-us.aliyuncs.com{COMPATIBLE}"
    assert transports.of["dashscope"].base_url == "https://dashscope-us.aliyuncs.com/api/v1"


@modes
async def test_options_over_the_same_connections(mode: Mode, emulator: Emulator) -> None:
    """A client of `with_options` still chooses, with the new options on either way."""
    client: Any = mode.client(None, **settings(emulator, model="qwen-max"))
    other = client.with_options(model="qwen-plus", tags={"team": "a"})
    assert (client.profile.provider, other.profile.provider) == ("auto", "auto")
    for more, provider in (({}, "qwen"), ({"search": SOURCES}, "dashscope")):
        assert (await mode.ask(other, **more)).response.provider == provider
    assert paths(emulator) == [COMPATIBLE, NATIVE]
    assert [request.json["model"] for request in emulator.requests] == ["qwen-plus", "qwen-plus"]
    await mode.leave(client)


@modes
async def test_a_key_of_with_options_is_sent_on_either_way(mode: Mode, emulator: Emulator) -> None:
    """A new key is the key of both ways; the refusal of it names the host, not the key."""
    client: Any = mode.client(None, **settings(emulator))
    other = client.with_options(api_key="sk-wrong")
    for more in ({}, {"search": SOURCES}):
        with pytest.raises(AuthenticationError, match=r"The key was sent to 127\.0\.0\.1:") as caught:
            await mode.ask(other, **more)
        assert "sk-wrong" not in str(caught.value)
    await mode.leave(client)


class Transports:
    """A plugin that gives each provider a transport of its own, and keeps them."""

    def __init__(self) -> None:
        self.made: dict[str, MemoryTransport] = {}
        self.of: dict[str, Profile] = {}

    @hookimpl
    def qonduit_transport(self, profile: Profile) -> MemoryTransport:
        self.of[profile.provider] = profile
        return self.made.setdefault(profile.provider, MemoryTransport(said("Hello")))


@both
async def test_closing_closes_both_ways(asynchronous: bool) -> None:
    """Each way has connections of its own; a client that is closed leaves neither open, used or not."""
    transports = Transports()
    kind = AsyncClient if asynchronous else Client
    client: Any = kind(provider="auto", model="qwen-plus", api_key="sk-a", plugins=[transports])
    result = client.close()
    if asynchronous:
        await result
    assert {name: transport.closed for name, transport in transports.made.items()} == {"qwen": 1, "dashscope": 1}


@modes
async def test_what_middleware_sees(mode: Mode, emulator: Emulator) -> None:
    """A layer around the call knows the way once it was chosen; a layer around an attempt is on it already."""
    seen: list[str] = []

    @middleware("outer")
    def outer(call: Call) -> Any:
        seen.append(call.profile.provider)
        response = yield call.request
        seen.append(call.profile.provider)
        return response

    @middleware("inner", scope="attempt")
    def inner(call: Call) -> Any:
        seen.append(call.profile.provider)
        return (yield call.request)

    client = mode.client(None, outer, inner, **settings(emulator))
    for more in ({}, {"search": SOURCES}):
        await mode.ask(client, **more)
    assert seen == ["auto", "qwen", "qwen", "auto", "dashscope", "dashscope"]
    await mode.leave(client)


@modes
async def test_an_error_names_the_provider_that_was_chosen(mode: Mode, emulator: Emulator) -> None:
    """What failed, failed on one of the two ways: the error is that provider's."""
    client = mode.client(None, **settings(emulator, model="no-such-model"))
    for more, provider in (({}, "qwen"), ({"search": SOURCES}, "dashscope")):
        with pytest.raises((NotFoundError, BadRequestError)) as caught:
            await mode.ask(client, **more)
        assert caught.value.provider == provider
    await mode.leave(client)


@modes
async def test_what_neither_way_can_say(mode: Mode, emulator: Emulator) -> None:
    """Nothing is sent, and the error is that of the first way."""
    client = mode.client(None, **settings(emulator))
    with pytest.raises(BadRequestError, match="temperature: expected") as caught:
        await mode.ask(client, temperature=3)
    assert (caught.value.outcome, paths(emulator)) == ("not_sent", [])
    await mode.leave(client)


@pytest.fixture
def profile_of(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """A configuration with one profile for the emulator, and these lines in it."""
    monkeypatch.setenv("TEST_KEY", emulator.api_key)

    def write(lines: str) -> Path:
        path = tmp_path / "named.toml"
        path.write_text(
            f'[profiles.a]\nprovider = "auto"\nmodel = "qwen-plus"\nbase_url = "{emulator.url}"\n'
            f'api_key = "env:TEST_KEY"\n{lines}'
        )
        return path

    return write


@pytest.mark.parametrize("policy", ["error", "drop"])
def test_what_is_left_out_is_the_profiles_policy(profile_of: Callable[[str], Path], policy: str) -> None:
    """The policy is applied to the way that is taken: what the other lacks troubles nobody."""
    with Client("a", config=profile_of(f'unsupported = "{policy}"')) as client:
        assert client.chat.completions.create(messages=MESSAGES, search=SOURCES).provider == "dashscope"
        if policy == "drop":
            assert client.chat.completions.create(messages=MESSAGES, user="u").warnings == ()
            return
        with pytest.raises(BadRequestError, match="'qwen' takes no user"):
            client.chat.completions.create(messages=MESSAGES, user="u")


def test_options_are_those_of_both_ways(profile_of: Callable[[str], Path], emulator: Emulator) -> None:
    """An option of the profile is a header on either way; an option that there is not is refused by its place."""
    with Client("a", config=profile_of("[profiles.a.options]\nwait_timeout = 5\n")) as client:
        for more in ({}, {"search": SOURCES}):
            client.chat.completions.create(messages=MESSAGES, **more)
    assert [request.headers["x-dashscope-wait-timeout"] for request in emulator.requests] == ["5", "5"]
    with pytest.raises(ConfigurationError, match=r"profiles\.a\.options: wait_timout"):
        Client("a", config=profile_of("[profiles.a.options]\nwait_timout = 5\n"))


@modes
async def test_temporary_tokens_on_either_way(mode: Mode, emulator: Emulator) -> None:
    """Each way fetches a token of its own, from the one place that makes them, and its calls carry no key."""
    client = mode.client(None, ("temporary-token", {"seconds": 60}), **settings(emulator))
    for more in ({}, {"search": SOURCES}, {}):
        assert (await mode.ask(client, **more)).response.text
    assert paths(emulator) == ["/api/v1/tokens", COMPATIBLE, "/api/v1/tokens", NATIVE, COMPATIBLE]
    await mode.leave(client)

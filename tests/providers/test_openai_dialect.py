"""What OpenAI's wire has no word for, what its models do not take, and what is known of its own host only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.parts import builder, chat

from qonduit import BadRequestError
from qonduit.models import ModelTable

OWN = "https://api.openai.com/v1"
HI = [{"role": "user", "content": "hi"}]
MARK = {"cache_control": {"type": "ephemeral"}}


def sent(base_url: str = OWN, columns: dict[str, Any] | None = None, **fields: Any) -> tuple[Any, tuple[str, ...]]:
    """The body beyond model and messages, and the names of what was left out."""
    settings = {"models": ModelTable.empty().overlaid({"m": columns})} if columns is not None else {}
    wire = builder("openai", base_url=base_url, **settings).build(chat(**{"model": "m", **fields}))
    assert wire.warnings == ()
    body = json.loads(wire.content)
    return {name: value for name, value in body.items() if name not in {"model", "messages"}}, wire.unsupported


LIMITS: dict[str, tuple[str | None, dict[str, Any], dict[str, Any]]] = {
    "either name, of an unknown model": (None, {"max_tokens": 5}, {"max_tokens": 5}),
    "both names, of an unknown model": (
        None,
        {"max_tokens": 5, "max_completion_tokens": 6},
        {"max_tokens": 5, "max_completion_tokens": 6},
    ),
    "the older name": ("max_completion_tokens", {"max_tokens": 5}, {"max_completion_tokens": 5}),
    "the right name": ("max_completion_tokens", {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
    "both: the right one wins": (
        "max_completion_tokens",
        {"max_tokens": 5, "max_completion_tokens": 6},
        {"max_completion_tokens": 6},
    ),
    "the newer name for an older server": ("max_tokens", {"max_completion_tokens": 5}, {"max_tokens": 5}),
    "none": ("max_completion_tokens", {"temperature": 0.5}, {"temperature": 0.5}),
}


@pytest.mark.parametrize(("name", "request_", "body"), LIMITS.values(), ids=list(LIMITS))
def test_the_output_limit_under_the_models_name(
    name: str | None, request_: dict[str, Any], body: dict[str, Any]
) -> None:
    """A limit is a limit: it is sent under the name that the model takes, and there is nothing to warn of."""
    assert sent(columns={"limit_name": name} if name else {}, **request_) == (body, ())


REASONING: dict[str, tuple[dict[str, Any], Any, dict[str, Any], tuple[str, ...]]] = {
    # columns, reasoning, body, left out
    "an effort": ({}, "high", {"reasoning_effort": "high"}, ()),
    "off": ({}, False, {"reasoning_effort": "none"}, ()),
    "off, where it never reasons": ({"thinking": "off"}, False, {}, ()),
    "off, whatever else is said": (
        {},
        {"enabled": False, "effort": "low", "budget": 5},
        {"reasoning_effort": "none"},
        (),
    ),
    "refused": ({"refuses": ["reasoning"]}, "low", {}, ("reasoning of this model",)),
    "on": ({}, True, {}, ("reasoning without an effort",)),
    "a budget": ({}, 100, {}, ("reasoning budget (name an effort)",)),
    "a budget beside an effort": (
        {},
        {"effort": "low", "budget": 5},
        {"reasoning_effort": "low"},
        ("reasoning budget (the effort is sent)",),
    ),
    "nothing": ({}, {}, {}, ()),
}


@pytest.mark.parametrize(("columns", "reasoning", "body", "names"), REASONING.values(), ids=list(REASONING))
def test_reasoning(columns: dict[str, Any], reasoning: Any, body: dict[str, Any], names: tuple[str, ...]) -> None:
    """The wire bounds reasoning by an effort only; what it has no word for is named."""
    assert sent(columns=columns, reasoning=reasoning) == (body, names)


def test_what_a_model_refuses() -> None:
    """Parameters that the table says a model refuses are left out and named; its others are sent."""
    columns = {"refuses": ["temperature", "top_p", "stop"], "limit_name": "max_completion_tokens"}
    body, names = sent(columns=columns, temperature=1.0, seed=7, stop=None, max_tokens=5)
    assert body == {"seed": 7, "max_completion_tokens": 5}
    assert names == ("temperature of this model",)


def test_the_table_of_openais_models() -> None:
    """The provider's own table is asked: o3 takes neither a temperature nor the older name of the limit."""
    wire = builder("openai").build(chat(model="o3", temperature=0.5, max_tokens=5))
    assert json.loads(wire.content) == {"model": "o3", "messages": HI, "max_completion_tokens": 5}
    assert wire.unsupported == ("temperature of this model",)


@pytest.mark.parametrize("base_url", [OWN, "https://example.test/v1"])
def test_what_the_wire_does_not_have(base_url: str) -> None:
    """Every one is named; a search that was not wanted is none."""
    assert sent(base_url, top_k=5, repetition_penalty=1.5, search={"forced_search": True}) == (
        {},
        ("repetition_penalty", "search", "top_k"),
    )
    assert sent(base_url, search=False) == ({}, ())


def test_a_retired_model_is_warned_of() -> None:
    """The sentence of the table is on the request, and so on the answer."""
    table = ModelTable.empty().overlaid({"m": {"retired": "2026-10-23", "successor": "n"}})
    wire = builder("openai", models=table).build(chat(model="m"))
    assert wire.warnings == ("Model 'm' was announced to be taken offline on 2026-10-23; use 'n'.",)


def messages_of(base_url: str, messages: list[dict[str, Any]]) -> tuple[Any, tuple[str, ...]]:
    wire = builder("openai", base_url=base_url).build(chat(messages=messages))
    return json.loads(wire.content)["messages"], wire.unsupported


@pytest.mark.parametrize("base_url", [OWN, "https://example.test/v1"])
def test_a_partial_message(base_url: str) -> None:
    """An assistant's beginning is sent as a message; that it was to be gone on with is named as left out."""
    given: list[dict[str, Any]] = [*HI, {"role": "assistant", "content": "Well", "partial": True}]
    assert messages_of(base_url, given) == (
        [*HI, {"role": "assistant", "content": "Well"}],
        ("partial continuation",),
    )
    given = [{**HI[0], "partial": False}]
    assert messages_of(base_url, given) == (HI, ())


def test_cache_marks() -> None:
    """OpenAI's own host refuses marks, so they are taken off and named; another server may know them."""
    marked = [{"role": "user", "content": [{"type": "text", "text": "a", **MARK}, {"type": "text", "text": "b"}]}]
    bare = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    assert messages_of(OWN, marked) == (bare, ("cache_control",))
    assert messages_of("https://example.test/v1", marked) == (marked, ())
    assert messages_of("https://api.openai.com.example.test/v1", marked) == (marked, ())
    assert messages_of(OWN, bare) == (bare, ())


def test_roles_are_openais_own() -> None:
    """A developer is a developer; messages without history are sent as they are."""
    given: list[dict[str, Any]] = [{"role": "developer", "content": "Be brief."}, *HI]
    assert messages_of(OWN, given) == (given, ())


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 2.1}, "temperature: expected from 0 to 2, got 2.1"),
    ({"temperature": -1}, "temperature: expected from 0 to 2, got -1"),
    ({"top_p": 1.1}, "top_p: expected from 0 to 1, got 1.1"),
    ({"presence_penalty": 3}, "presence_penalty: expected from -2 to 2, got 3"),
    ({"frequency_penalty": -3}, "frequency_penalty: expected from -2 to 2, got -3"),
    ({"n": 129}, "n: expected from 1 to 128, got 129"),
    ({"top_logprobs": 21}, "top_logprobs: expected from 0 to 20, got 21"),
]


@pytest.mark.parametrize(("fields", "words"), WRONG)
def test_ranges_of_openais_own_host(fields: dict[str, Any], words: str) -> None:
    """What OpenAI refuses for certain is refused before it is sent; another server's ranges are its own."""
    with pytest.raises(BadRequestError, match=words) as caught:
        sent(**fields)
    assert (caught.value.outcome, caught.value.status_code) == ("not_sent", None)
    assert sent("https://example.test/v1", **fields)[0] == fields


@pytest.mark.parametrize(
    "fields",
    [{"temperature": 2}, {"temperature": 0}, {"top_p": 0}, {"top_p": 1}, {"n": 128}, {"top_logprobs": 20}],
)
def test_the_ends_of_the_ranges(fields: dict[str, Any]) -> None:
    """The ends of a range are in it."""
    assert sent(**fields)[0] == fields


@pytest.mark.parametrize("kind", ["video_url", "video", "hologram"])
def test_a_part_that_openai_does_not_know(kind: str) -> None:
    """A film is refused for OpenAI's own host, before it is sent; other servers with its wire may see it."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": kind, kind: "https://v"}]}]
    with pytest.raises(BadRequestError, match=rf"messages\[0\]: OpenAI knows no part of type '{kind}'"):
        sent(messages=messages)
    assert sent("https://example.test/v1", messages=messages) == ({}, ())


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file", "refusal"])
def test_a_part_that_openai_knows(kind: str) -> None:
    """Other parts than those that every provider has are sent as they are."""
    assert sent(messages=[{"role": "user", "content": [{"type": kind, kind: {}}]}]) == ({}, ())

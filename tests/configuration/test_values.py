"""The values that callers and plugins hold: requests, answers, errors."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from pydantic import ValidationError
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import MESSAGES

import qonduit
from qonduit import (
    APIError,
    BadRequestError,
    ChatChunk,
    ChatRequest,
    ChatResponse,
    Client,
    Message,
    QonduitError,
    RateLimitError,
    StreamInterruptedError,
    Usage,
    WireRequest,
    WireResponse,
)
from qonduit.request import ChatParameters

ANSWER = {
    "id": "1",
    "model": "m",
    "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"input_tokens": 1},
}

MISTAKES = [
    ({"temprature": 1}, ["temprature: is not known", "did you mean 'temperature'?", "extra_body"]),
    ({"enable_thinking": True}, ["enable_thinking: is not known", "extra_body"]),
    ({"temperature": "hot"}, ["temperature: expected a number"]),
    ({"temperature": "0.5"}, ["temperature: expected a number"]),
    ({"temperature": float("nan")}, ["temperature: expected a finite number"]),
    ({"temperature": True}, ["temperature: expected a number"]),
    ({"max_tokens": 1.5}, ["max_tokens: expected a whole number"]),
    ({"max_tokens": "many"}, ["max_tokens: expected a whole number"]),
    ({"n": 0}, ["n: expected at least 1"]),
    ({"timeout": 0}, ["timeout: expected more than 0"]),
    ({"deadline": -1}, ["deadline: expected more than 0"]),
    ({"tags": "text"}, ["tags: expected a mapping"]),
    ({"tags": {"a": 1}}, ["tags.a: expected text"]),
    ({"extra_headers": {"a": 1}}, ["extra_headers.a: expected text"]),
    ({"extra_body": 3}, ["extra_body: expected a mapping"]),
    ({"tools": "text"}, ["tools: expected a list"]),
    ({"tools": ["text"]}, ["tools[0]: expected a mapping"]),
    ({"stream_options": 3}, ["stream_options: expected a mapping"]),
    ({"reasoning": {"efort": "low"}}, ["reasoning.efort: is not known", "did you mean 'effort'?"]),
    ({"reasoning": -3}, ["reasoning.budget: expected at least 0"]),
    ({"reasoning": {"enabled": "on"}}, ["reasoning.enabled: expected true or false"]),
    ({"reasoning": {"budget": "3"}}, ["reasoning.budget: expected a whole number"]),
    ({"stream": "yes"}, ["stream: expected true or false"]),
    ({"stream": 1}, ["stream: expected true or false"]),
    ({"stream": None}, ["stream: expected true or false"]),
    ({"parallel_tool_calls": "false"}, ["parallel_tool_calls: expected true or false"]),
    ({"logprobs": 1}, ["logprobs: expected true or false"]),
    ({"search": "yes"}, ["search: expected true or false or expected a mapping"]),
    ({"messages": []}, ["messages: "]),
    ({"messages": [{}]}, ["messages[0].role: is missing"]),
    ({"messages": [{"content": "x"}]}, ["messages[0].role: is missing"]),
    ({"messages": [{"role": "usr", "content": "x"}]}, ["messages[0].role: expected 'system'", "'user'"]),
    ({"messages": [*MESSAGES, {"role": "user", "content": 3}]}, ["messages[1].content: expected text"]),
    ({"messages": ["text"]}, ["messages[0]: expected a mapping"]),
    ({"messages": [None]}, ["messages[0]: expected a mapping"]),
    ({"messages": 3}, ["messages: expected a list"]),
    ({"messages": None}, ["messages: expected a list"]),
    ({"model": 3}, ["model: expected text"]),
]


@pytest.mark.parametrize(("parameters", "parts"), MISTAKES)
def test_a_wrong_request_is_refused_before_it_is_sent(parameters: dict[str, Any], parts: list[str]) -> None:
    """A wrong request names the field, what was expected and the nearest name; nothing is sent."""
    transport = MemoryTransport(said("Hi"))
    client = Client(provider="qwen", model="m", api_key="sk-x", plugins=[transport])
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(**{"messages": MESSAGES, **parameters})
    error = caught.value
    assert str(error).startswith("The request was not sent: ")
    assert not [part for part in parts if part not in str(error)], str(error)
    assert (error.status_code, error.attempts, transport.sent) == (None, 0, [])


def test_every_mistake_is_named() -> None:
    """All mistakes of a request are said at once."""
    with pytest.raises(BadRequestError) as caught:
        ChatRequest.of({"messages": [{"content": "x"}], "temperature": "hot", "seed": "x"})
    for place in ("messages[0].role", "temperature", "seed"):
        assert f"{place}: " in str(caught.value)


@pytest.mark.F60
def test_a_mistake_does_not_show_the_prompt() -> None:
    """An error of a request shows neither the prompt nor the value that was wrong."""
    with pytest.raises(BadRequestError) as caught:
        ChatRequest.of({"messages": [{"role": "user", "content": ["my secret prompt"]}], "seed": "secret"})
    assert "secret" not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"


SURROGATES = [
    ({"messages": [{"role": "user", "content": "a\ud800b"}]}, "messages[0].content"),
    ({"messages": [*MESSAGES, {"role": "user", "content": "\udfff"}]}, "messages[1].content"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "\ud800"}]}]},
        "messages[0].content[0].text",
    ),
    ({"user": "\ud800"}, "user"),
    ({"stop": ["a", "\ud800"]}, "stop[1]"),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "description": "\ud800"}}]},
        "tools[0].function.description",
    ),
    ({"extra_body": {"a": "\ud800"}}, "extra_body.a"),
    ({"model": "\ud800"}, "model"),
]


@pytest.mark.F67
@pytest.mark.parametrize("provider", ["openai", "qwen", "dashscope"])
@pytest.mark.parametrize(("parameters", "place"), SURROGATES)
def test_a_lone_surrogate_is_named(provider: str, parameters: dict[str, Any], place: str) -> None:
    """Text that UTF-8 cannot carry is refused on this side, and its place is named."""
    if provider != "openai" and place == "user":
        return  # these providers take no such field
    transport = MemoryTransport(said("Hi"))
    client = Client(provider=provider, model="m", api_key="sk-x", plugins=[transport])
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(**{"messages": MESSAGES, **parameters})
    assert place in str(caught.value)
    assert (caught.value.attempts, transport.sent) == (0, [])


def test_parameters_are_the_requests_fields() -> None:
    """The keyword arguments of `create` are exactly the fields of `ChatRequest`."""
    named = set(ChatParameters.__annotations__) | {"messages", "stream"}
    assert named == set(ChatRequest.model_fields)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, (True, None, None)),
        (False, (False, None, None)),
        ("on", (True, None, None)),
        ("off", (False, None, None)),
        ("none", (False, None, None)),
        ("high", (True, "high", None)),
        (1000, (True, None, 1000)),
        (0, (True, None, 0)),
        ({"effort": "low"}, (True, "low", None)),
        ({"budget": 5}, (True, None, 5)),
        ({"enabled": False, "budget": 5}, (False, None, 5)),
        ({"enabled": None}, (None, None, None)),
    ],
)
def test_the_ways_to_say_reasoning(given: Any, expected: tuple[Any, ...]) -> None:
    """Reasoning is given as on, off, an effort, a budget, or a mapping."""
    reasoning = ChatRequest.of({"messages": MESSAGES, "reasoning": given}).reasoning
    assert (reasoning.enabled, reasoning.effort, reasoning.budget) == expected


def test_replace_makes_a_checked_copy() -> None:
    """`replace` gives a changed copy, checked like a new value, and leaves the first as it was."""
    request = ChatRequest.of({"messages": MESSAGES, "model": "a", "temperature": 0.5})
    other = request.replace(model="b", reasoning="high")
    assert (request.model, other.model, other.temperature, other.reasoning.effort) == ("a", "b", 0.5, "high")
    assert other.replace(seed=1).reasoning == other.reasoning
    assert "seed" not in other.model_fields_set
    with pytest.raises(BadRequestError, match="temperature: expected a number"):
        request.replace(temperature="hot")
    with pytest.raises(BadRequestError, match="is not known"):
        request.replace(modle="b")
    response = ChatResponse.model_validate(ANSWER)
    assert response.replace(cached=True).cached
    with pytest.raises(ValidationError):
        response.replace(cost="much")
    with pytest.raises(ValidationError):
        response.replace(chached=True)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (ChatRequest.of({"messages": MESSAGES}), "model"),
        (ChatResponse.model_validate(ANSWER), "cached"),
        (Usage(input_tokens=1), "input_tokens"),
        (Message(role="user", content="x"), "content"),
        (ChatChunk(id="1"), "id"),
        (Client(provider="qwen", api_key="sk-x").profile, "timeout"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_frozen_and_copied(value: Any, field: str) -> None:
    """Values cannot be changed, hold unknown names out, are copied and pickled, and are not hashed."""
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, field, None)
    assert copy.copy(value) == value
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value
    assert value != "text"
    with pytest.raises(TypeError, match="unhashable"):
        hash(value)


def test_equality_ignores_unknown_fields() -> None:
    """Two providers that mean the same give equal values, whatever else they say."""
    one = {"role": "assistant", "content": "Hi", "annotations": []}
    two = {"role": "assistant", "content": "Hi"}
    assert Message.model_validate(one) == Message.model_validate(two)
    assert Message.model_validate(one).model_extra == {"annotations": []}
    first = ChatResponse.model_validate({**ANSWER, "content": (b'{"a": 1}',)})
    assert first == ChatResponse.model_validate(ANSWER)
    assert first != ChatResponse.model_validate({**ANSWER, "model": "n"})
    assert Usage.model_validate({"prompt_tokens": 1, "completion_tokens": 2}) == Usage.model_validate(
        {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    )


def test_unknown_is_none() -> None:
    """What a provider did not say is None, and a response without choices has an empty text."""
    usage = Usage.model_validate({"prompt_tokens": 1})
    assert (usage.output_tokens, usage.total_tokens, usage.cached_tokens) == (None, None, None)
    assert (usage.prompt_tokens, usage.completion_tokens) == (1, None)
    empty = ChatResponse()
    assert (empty.text, empty.usage, empty.cost, empty.raw) == ("", None, None, None)


def test_raw_is_the_providers_own_json() -> None:
    """`raw` is parsed from the bytes when asked for: an object, or the list of a stream's events."""
    whole = ChatResponse(content=(b'{"a": ', b"1}"))
    assert whole.raw == {"a": 1}
    stream = ChatResponse(content=(b'data: {"a": 1}\n\nda', b'ta: {"b": 2}\n\ndata: [DONE]\n\n'))
    assert stream.raw == [{"a": 1}, {"b": 2}]


KINDS = sorted(
    (kind for name in qonduit.__all__ if isinstance(kind := getattr(qonduit, name), type)),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if issubclass(kind, QonduitError)], ids=lambda kind: kind.__name__
)
def test_errors_survive_a_pickle(kind: type[QonduitError]) -> None:
    """Every error comes out of a pickle with its type, its message and its attributes."""
    if issubclass(kind, APIError):
        fields = {"provider": "qwen", "status_code": 418, "retry_after": 1.5, "attempts": 3, "outcome": "unknown"}
        error = kind("It went wrong.", **fields, response=ChatResponse.model_validate(ANSWER))
    else:
        fields = {}
        error = kind("It went wrong.")
    error.add_note("a note")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert (str(again), again.message, again.__notes__) == ("It went wrong.", "It went wrong.", ["a note"])
        assert {name: getattr(again, name) for name in fields} == fields
        if fields:
            assert again.response == error.response


def test_what_is_caught_by_what() -> None:
    """The tree of errors is that of OpenAI's client where it has one."""
    assert issubclass(RateLimitError, qonduit.APIStatusError)
    assert issubclass(qonduit.QuotaExhaustedError, RateLimitError)
    assert issubclass(StreamInterruptedError, qonduit.APIConnectionError)
    assert issubclass(qonduit.APITimeoutError, qonduit.APIConnectionError)
    assert issubclass(qonduit.PluginError, qonduit.ConfigurationError)
    assert issubclass(qonduit.MissingCredentialsError, qonduit.ConfigurationError)
    assert issubclass(qonduit.ContentFilterError, BadRequestError)
    assert not issubclass(qonduit.BudgetExceededError, APIError)


@pytest.mark.F59
def test_wire_values_show_no_content() -> None:
    """What crosses the network shows neither headers nor content."""
    wire = WireRequest("POST", "https://x/", {"authorization": "sk-secret"}, b"my prompt")
    assert repr(wire) == "<WireRequest POST https://x/ 9 bytes>"
    answer = WireResponse(200, {"set-cookie": "secret"}, b"my answer", wire)
    assert repr(answer) == "<WireResponse 200 9 bytes>"
    more = wire.with_headers({"authorization": "sk-other", "x-a": "1"})
    assert (dict(more.headers), dict(wire.headers)) == (
        {"authorization": "sk-other", "x-a": "1"},
        {"authorization": "sk-secret"},
    )

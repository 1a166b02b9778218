"""The key: equal requests share an entry however they are written; any other never does."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qonduit import ChatRequest, Client, EmbeddingRequest, Profile, Request, RerankRequest, TokenCountRequest
from qonduit_cache.key import _NOT_SENT, Keys

KEYS = Keys(b"")
PROFILE = Client(provider="qwen", model="qwen-plus", api_key="sk-one").profile
BASE: dict[str, Any] = {"model": "qwen-plus", "messages": [{"role": "user", "content": "Hello"}]}


def key(profile: Profile = PROFILE, namespace: str | None = None, **fields: Any) -> str | None:
    return KEYS.key(profile, ChatRequest.of({**BASE, **fields}), namespace)


CHANGES: dict[str, list[Any]] = {
    "model": ["qwen-max"],
    "messages": [
        [{"role": "user", "content": "Hello "}],
        [{"role": "system", "content": "Hello"}],
        [{"role": "user", "content": "Hello", "name": "Ann"}],
        [{"role": "user", "content": "Hello", "unknown": 1}],
        [{"role": "user", "content": "Hello", "unknown": True}],
        [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "", "partial": True}],
    ],
    "tools": [[], [{"type": "function", "function": {"name": "f"}}], [{"type": "function", "function": {"name": "g"}}]],
    "tool_choice": ["auto", {"type": "function", "function": {"name": "f"}}],
    "parallel_tool_calls": [True, False],
    "response_format": [{"type": "json_object"}, {"type": "text"}],
    "temperature": [0, 0.1, 1],
    "top_p": [0.5, 1],
    "top_k": [1, 2],
    "max_tokens": [1, 2],
    "max_completion_tokens": [1, 2],
    "stop": ["a", ["a"], ["a", "b"], [1], [1.0], [True]],
    "seed": [0, 1],
    "n": [1, 2],
    "logprobs": [True, False],
    "top_logprobs": [1, 2],
    "presence_penalty": [0, 1],
    "frequency_penalty": [0, 1],
    "repetition_penalty": [1, 1.1],
    "reasoning": [True, False, 100, "low"],
    "search": [True, False, {"forced": True}],
    "user": ["a", "b"],
    "extra_body": [
        {},
        {"x": 1},
        {"x": 1.0},
        {"x": True},
        {"x": "1"},
        {"x": "A"},
        {"x": "a"},
        {"X": "a"},
        {"x": None},
        {"y": 1},
        {"x": {"y": [1]}},
    ],
    "extra_headers": [{}, {"x-a": "1"}, {"x-a": "2"}],
}


@pytest.mark.F63
def test_every_field_of_a_request_is_in_the_table() -> None:
    """A field that is added to a request is either sent, and then in this table, or named as not sent."""
    assert set(CHANGES) == set(ChatRequest.model_fields) - _NOT_SENT


@pytest.mark.F63
def test_any_changed_field_is_another_key() -> None:
    """All of these requests, which differ in one field each, have keys of their own (F63)."""
    made = {key(**{field: value}): (field, value) for field, values in CHANGES.items() for value in values}
    made[key()] = ("nothing", None)
    assert len(made) == sum(map(len, CHANGES.values())) + 1


@pytest.mark.parametrize(
    "field", [{"stream": True}, {"stream_options": {"a": 1}}, {"timeout": 3}, {"deadline": 3}, {"tags": {"a": "b"}}]
)
def test_what_does_not_change_an_answer_is_left_out(field: dict[str, Any]) -> None:
    """A streamed call shares the entry of a plain one; limits and labels do not count."""
    assert key(**field) == key()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


def turned(value: Any) -> Any:
    """The same value, written differently: mappings the other way round, tuples for lists."""
    match value:
        case dict():
            return {name: turned(inner) for name, inner in reversed(value.items())}
        case list():
            return tuple(turned(inner) for inner in value)
        case _:
            return value


def wire(value: Any) -> Any:
    """A value as JSON tells it apart: 1, 1.0 and True are three."""
    match value:
        case dict():
            return {name: wire(inner) for name, inner in value.items()}
        case list():
            return [wire(inner) for inner in value]
        case _:
            return (type(value).__name__, repr(value))


@pytest.mark.F63
@settings(deadline=None)
@given(OBJECTS)
def test_equal_requests_share_a_key_however_they_are_written(value: dict[str, Any]) -> None:
    """The order of a mapping and the difference between list and tuple do not count."""
    message = {"role": "user", "content": "Hello", **{f"x-{name}": inner for name, inner in value.items()}}
    for field, one in (
        ("extra_body", value),
        ("search", value),
        ("tools", [value]),
        ("response_format", value),
        ("messages", [message]),
    ):
        assert key(**{field: one}) == key(**{field: turned(one)}), field


@pytest.mark.F63
@settings(deadline=None)
@given(OBJECTS, OBJECTS)
def test_requests_that_differ_never_share_a_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two bodies that JSON tells apart have two keys (F63)."""
    assert (key(extra_body=one) == key(extra_body=other)) == (wire(one) == wire(other))


@pytest.mark.F63
@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_texts_are_told_apart(one: list[str], other: list[str]) -> None:
    """However quotes, braces and line breaks stand in the texts."""

    def asked(texts: list[str]) -> str | None:
        return key(messages=[{"role": "user", "content": text} for text in texts])

    assert (asked(one) == asked(other)) == (one == other)


@pytest.mark.F62
def test_whose_and_where_it_is_asked_is_in_the_key() -> None:
    """Key, provider, address, workspace, organization, region, options, policy and model row tell calls apart (F62)."""
    changed = {
        "key_id": "other",
        "provider": "openai",
        "base_url": "https://other.example/v1",
        "workspace": "w",
        "organization": "o",
        "region": "us-east-1",
        "options": {"data_inspection": True},
        "unsupported": "drop",
        "models": PROFILE.models.overlaid({"qwen-plus": {"max_output": 7}}),
    }
    profiles = [PROFILE, *(PROFILE.model_copy(update={name: value}) for name, value in changed.items())]
    assert len({key(profile) for profile in profiles}) == len(profiles)


@pytest.mark.F62
def test_a_namespace_takes_the_place_of_the_api_key() -> None:
    """Two keys share what they ask for in one namespace, and nothing of another."""
    other = PROFILE.model_copy(update={"key_id": "other"})
    assert key(PROFILE, "a") == key(other, "a")
    assert len({key(PROFILE), key(other), key(PROFILE, "a"), key(PROFILE, "b"), key(PROFILE, PROFILE.key_id)}) == 5


@pytest.mark.F62
def test_a_secret_makes_other_keys() -> None:
    """With another secret no key can be made for a guess."""
    request = ChatRequest.of(BASE)
    assert len({Keys(secret).key(PROFILE, request, "a") for secret in (b"", b"one", b"two")}) == 3


@pytest.mark.F63
def test_other_operations_have_keys_of_their_own() -> None:
    """Each operation's own fields count, and so does the operation."""
    requests: list[Request] = [
        EmbeddingRequest.of({"model": "m", "input": "a"}),
        EmbeddingRequest.of({"model": "m", "input": "b"}),
        EmbeddingRequest.of({"model": "m", "input": ["a", "b"]}),
        EmbeddingRequest.of({"model": "m", "input": "a", "dimensions": 64}),
        RerankRequest.of({"model": "m", "query": "a", "documents": ["a"]}),
        RerankRequest.of({"model": "m", "query": "a", "documents": [{"text": "a"}]}),
        RerankRequest.of({"model": "m", "query": "a", "documents": ["a"], "top_n": 1}),
        TokenCountRequest.of({"model": "m", "messages": BASE["messages"]}),
        ChatRequest.of({"model": "m", "messages": BASE["messages"]}),
    ]
    assert len({KEYS.key(PROFILE, request, None) for request in requests}) == len(requests)


@pytest.mark.parametrize("value", [object(), {"x": "\ud800"}, b"\xff"])
def test_what_is_no_json_has_no_key(value: Any) -> None:
    """The request builder is to say what is wrong with such a request."""
    assert key(extra_body={"x": value}) is None


def test_many_callers_are_not_remembered_for_ever() -> None:
    """A server that names a namespace for each of its users does not grow."""
    keys = Keys(b"")
    for number in range(1000):
        keys.key(PROFILE, ChatRequest.of(BASE), str(number))
    assert len(keys._origins) <= 256


@pytest.mark.F54
def test_the_key_shows_nothing() -> None:
    """It is a digest: neither the prompt nor the digest of the API key stands in it."""
    found = key() or ""
    assert len(found) == 64
    assert PROFILE.key_id not in found
    assert "pickle" not in inspect.getsource(Keys)

"""Responses and chunks written as JSON and read back: the same value, whatever is in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from qonduit import ChatChunk, ChatResponse, Message, ProtocolError, ToolCall
from qonduit.usage import MAX_TOKENS, Usage, counted

TEXT = st.text(max_size=6)
WORDS = st.none() | TEXT
COUNTS = st.none() | st.integers(0, MAX_TOKENS - 1)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
EXTRA = st.dictionaries(st.sampled_from(["x", "annotations", "moderation"]), ANYTHING, max_size=2)


def values(extra: st.SearchStrategy[dict[str, Any]] = EXTRA, **fields: st.SearchStrategy[Any]) -> Any:
    """Mappings of some of `fields`, with unknown fields beside them."""
    return st.builds(lambda known, more: {**more, **known}, st.fixed_dictionaries({}, optional=fields), extra)


FUNCTIONS = st.fixed_dictionaries({"name": TEXT, "arguments": TEXT})
CALLS = st.lists(
    st.fixed_dictionaries({"function": FUNCTIONS}, optional={"id": WORDS, "index": st.integers(0, 9), "x": ANYTHING}),
    max_size=2,
)
PARTS = st.lists(st.fixed_dictionaries({"text": TEXT}, optional={"image": TEXT, "x": ANYTHING}), max_size=2)
MESSAGES = st.builds(
    lambda message, role: {**message, "role": role},
    values(content=st.none() | TEXT | PARTS, reasoning_content=WORDS, tool_calls=CALLS, name=WORDS),
    st.sampled_from(["assistant", "user", "tool"]),
)
DELTAS = values(role=WORDS, content=WORDS, reasoning_content=WORDS, tool_calls=CALLS)
LOGPROBS = st.none() | st.dictionaries(TEXT, ANYTHING, max_size=2)
USAGES = st.none() | values(
    st.just({}), input_tokens=COUNTS, output_tokens=COUNTS, cached_tokens=COUNTS, raw=st.none() | EXTRA
)
SEARCHES = st.none() | values(
    results=st.lists(values(index=st.none() | st.integers(0, 9), title=WORDS, url=WORDS), max_size=2)
)
COMMON = {"id": WORDS, "model": WORDS, "created": st.none() | st.integers()}


@settings(max_examples=60, deadline=None)
@given(
    values(
        st.just({}),
        **COMMON,
        usage=USAGES,
        search=SEARCHES,
        request_id=WORDS,
        complete=st.booleans(),
        warnings=st.lists(TEXT, max_size=2),
        choices=st.lists(
            st.builds(
                lambda more, message: {**more, "message": message},
                values(index=st.integers(0, 3), finish_reason=WORDS, logprobs=LOGPROBS),
                MESSAGES,
            ),
            max_size=2,
        ),
    )
)
def test_responses(fields: dict[str, Any]) -> None:
    """A response is what it was, with its unknown fields, and can be shown."""
    response = ChatResponse.model_validate(fields)
    again = ChatResponse.model_validate_json(response.model_dump_json())
    assert again == response
    assert again.model_dump() == response.model_dump()
    assert repr(again) == repr(response)
    assert response.replace(**fields) == response


@settings(max_examples=60, deadline=None)
@given(
    values(
        **COMMON,
        usage=USAGES,
        choices=st.lists(
            st.builds(
                lambda more, delta: {**more, "delta": delta},
                values(index=st.integers(0, 3), finish_reason=WORDS, logprobs=LOGPROBS),
                DELTAS,
            ),
            max_size=2,
        ),
    )
)
def test_chunks(fields: dict[str, Any]) -> None:
    """A chunk is what it was, with its unknown fields."""
    chunk = ChatChunk.model_validate(fields)
    again = ChatChunk.model_validate_json(chunk.model_dump_json())
    assert again == chunk
    assert again.model_dump() == chunk.model_dump()


@pytest.mark.F25
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "make",
    [
        lambda number: Message(role="assistant", content="a", x=number),
        lambda number: Message(role="assistant", content=({"text": "a", "x": number},)),
        lambda number: ToolCall.model_validate({"function": {"name": "f", "x": [number]}}),
        lambda number: ChatResponse.model_validate(
            {"choices": [{"message": {"role": "assistant"}, "logprobs": {"a": number}}]}
        ),
        lambda number: ChatChunk.model_validate({"choices": [{"delta": {"x": {"y": number}}}]}),
        lambda number: Usage(input_tokens=1, raw={"x": [number]}),
    ],
    ids=["a message", "a part", "a call", "logprobs", "a delta", "usage"],
)
def test_no_value_holds_what_json_cannot_carry(make: Any, number: float) -> None:
    """NaN and infinities are in no value: written as JSON they would come back as null."""
    assert make(1.5)
    with pytest.raises(ValidationError, match="a number is none"):
        make(number)


@pytest.mark.parametrize(
    "wire",
    [
        {"raw": 1, "input_tokens": 5},
        {"raw": {}, "input_tokens": 5, "output_tokens": -1},
        {"raw": None, "prompt_tokens": 5, "input_tokens": "many"},
        {"raw": [], "prompt_tokens": 5},
    ],
)
def test_a_servers_own_raw_in_its_usage(wire: dict[str, Any]) -> None:
    """A field that is called as ours is costs no count."""
    usage = counted(wire)
    assert (usage.input_tokens, usage.output_tokens, usage.raw) == (5, None, wire)


@pytest.mark.F25
@pytest.mark.parametrize("wanted", [{"type": "json_object"}, dict[str, float]], ids=["json_object", "a type"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": 1e999}', "larger than any float"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"a": ' + "9" * 5000 + "}", "more than 4300 digits"),
        ('{"a": ' + "[" * 100_000, "nested deeper than 200"),
        ('{"a": ', "broken"),
    ],
)
def test_parsed_is_strict(wanted: Any, text: str, says: str) -> None:
    """`parsed` guesses at nothing: what parsers disagree on is a ProtocolError; the text stays."""
    message = {"role": "assistant", "content": text}
    response = ChatResponse.model_validate({"choices": [{"message": message}], "response_format": wanted})
    with pytest.raises(ProtocolError, match=says):
        _ = response.parsed
    assert response.text == text

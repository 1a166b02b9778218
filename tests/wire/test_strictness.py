"""JSON that parsers disagree on, anywhere in an answer: refused, or mended and said, on each wire."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parts import chat, decode_stream, normalizer, wire_response
from tests.wires import WIRES, Wire, dumps

from qonduit import ChatResponse, ContentFilterError, ProtocolError, RateLimitError
from qonduit.answer_json import MAX_DEPTH, MAX_DIGITS, REPLACED, NotStrictError, error_fields, parse, parse_vectors
from qonduit.embeddings import EmbeddingRequest
from qonduit.rerank import RerankRequest

HALF = "\ufffd"
FEEDS = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


def whole(provider: str, body: bytes) -> ChatResponse:
    response: ChatResponse = normalizer(provider).normalize(chat(), wire_response(body))
    return response


def read(provider: str, streamed: bool, change: Callable[[bytes], bytes]) -> ChatResponse:
    """An answer of "hello" whose bytes went through `change`; streamed, those of its first event with text."""
    wire = WIRES[provider]
    if not streamed:
        return whole(provider, change(dumps(wire.answer("hello"))))
    first, *rest = wire.events(["hello"])[0 if wire.native else 1 :]
    changed = change(first)
    assert changed != first
    return decode_stream(provider, [changed, *rest]).response


def at_the_top(fields: bytes) -> Callable[[bytes], bytes]:
    """Fields more in the outermost object."""

    def change(data: bytes) -> bytes:
        end = data.rindex(b"}")
        return data[:end] + b"," + fields + data[end:]

    return change


def in_the_choice(fields: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(b'"index":0', b'"index":0,' + fields, 1)


def in_the_message(fields: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(b'"content":', fields + b',"content":', 1)


PLACES = {"the top": at_the_top, "the choice": in_the_choice, "the message": in_the_message}
BEYOND = (b"1e999", b"-1E+999", b"1" * 400 + b".0")
NO_NUMBERS = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "-Infinity": b"-Infinity",
    **dict(zip(("1e999", "-1E+999", "400 digits and a fraction"), BEYOND, strict=True)),
    "5000 digits": b"9" * 5000,
}
DEEP = b"[" * 100_000 + b"]" * 100_000


@FEEDS
@pytest.mark.F25
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
@pytest.mark.parametrize("nested", [b'"x":%b', b'"x":{"y":[1,%b]}'], ids=["a field", "nested"])
def test_what_is_no_number(provider: str, streamed: bool, value: bytes, place: Any, nested: bytes) -> None:
    """NaN, infinities, floats beyond any float, endless whole numbers: refused in fields that nobody knows, too."""
    if provider == "dashscope" and streamed and place is not in_the_choice and value in BEYOND:
        # Events of this wire keep nothing of these places: what is not kept is looked at as JSON only.
        assert "inf" not in repr(read(provider, streamed, place(nested % value)).choices)
        return
    with pytest.raises(ProtocolError) as caught:
        read(provider, streamed, place(nested % value))
    assert caught.value.outcome == "unknown"
    assert not caught.value.retryable
    assert len(str(caught.value)) < 300


@FEEDS
@pytest.mark.F26
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_deep_nesting(provider: str, streamed: bool, place: Any) -> None:
    """Nesting of 100,000 levels is a ProtocolError; what is nested within the bound is read and can be written."""
    with pytest.raises(ProtocolError):
        read(provider, streamed, place(b'"x":' + DEEP))
    levels = MAX_DEPTH - 20
    response = read(provider, streamed, place(b'"x":' + b"[" * levels + b"]" * levels))
    assert response.text == "hello"
    assert json.loads(response.model_dump_json())["choices"]
    assert repr(response)


@pytest.mark.F25
@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"1e999"])
def test_logprobs_are_numbers(provider: str, wire: Wire, value: bytes) -> None:
    """A log probability that is no number costs the answer, whole or streamed; a good one is kept."""
    good = b'{"content":[{"token":"a","logprob":-0.5}]}'
    body = dumps(wire.answer("hello")).replace(b'"index":0', b'"index":0,"logprobs":' + good)
    assert whole(provider, body).choices[0].logprobs == {"content": [{"token": "a", "logprob": -0.5}]}
    with pytest.raises(ProtocolError):
        whole(provider, body.replace(b"-0.5", value))
    event = wire.piece("hello").replace(b'"logprobs":null', b'"logprobs":' + good)
    if wire.native:
        event = event.replace(b'"index":0', b'"index":0,"logprobs":' + good)
    assert decode_stream(provider, [event, *wire.events([])]).response.choices[0].logprobs is not None
    with pytest.raises(ProtocolError):
        decode_stream(provider, [event.replace(b"-0.5", value), *wire.events([])])


def twice(name: bytes, value: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(b'"%b":' % name, b'"%b":%b,"%b":' % (name, value, name), 1)


@pytest.mark.F25
@pytest.mark.parametrize("name", ["input", "output", "finish_reason", "choices", "usage"])
def test_a_name_that_stands_twice(provider: str, wire: Wire, name: str) -> None:
    """An answer that says its counts, its end or its choices twice is not guessed at, plain or streamed."""
    counts = list(wire.usage(5, 2))
    key = {"input": counts[0], "output": counts[1]}.get(name, name).encode()
    value = {
        "choices": b'[{"finish_reason":"stop"}]',
        "finish_reason": b'"length"',
        "usage": dumps(wire.usage(500, 200)),
    }.get(name, b"500")
    with pytest.raises(ProtocolError, match="stands twice"):
        whole(provider, twice(key, value)(dumps(wire.answer("hello"))))
    events = wire.events(["hello"])
    said = [place for place, event in enumerate(events) if b'"%b":' % key in event and b'"%b":null' % key not in event]
    if name == "choices" and not wire.native:
        said = said[:-1]  # the last one brings the usage
    events[said[-1]] = twice(key, value)(events[said[-1]])
    with pytest.raises(ProtocolError, match="stands twice"):
        decode_stream(provider, events)


# Halves of surrogate pairs


@FEEDS
@pytest.mark.F67
@pytest.mark.parametrize("half", [b"\\ud83d", b"\\uD83D", b"\\ude00", b"\\udfff", b"\\ude00\\ud83d"])
def test_half_of_a_surrogate_pair(provider: str, streamed: bool, half: bytes) -> None:
    """Half of a pair is U+FFFD, said once in the warnings; the answer can be stored, and its raw JSON too."""
    response = read(provider, streamed, lambda data: data.replace(b"hello", b"he" + half + b"llo"))
    assert response.text == "he" + HALF * (len(half) // 6) + "llo"
    assert response.warnings == (REPLACED,)
    assert (response.usage.input_tokens, response.choices[0].finish_reason) == (5, "stop")
    stored = response.model_dump_json().encode()
    assert ChatResponse.model_validate_json(stored) == response
    if not streamed:
        assert HALF in json.dumps(response.raw, ensure_ascii=False)


@FEEDS
@pytest.mark.F67
def test_a_whole_surrogate_pair(provider: str, streamed: bool) -> None:
    """A pair that is whole is the character that it means, and nothing is said of it."""
    response = read(provider, streamed, lambda data: data.replace(b"hello", b"\\ud83d\\ude00"))
    assert (response.text, response.warnings) == ("😀", ())


@pytest.mark.F67
def test_halves_are_said_once(provider: str, wire: Wire) -> None:
    """A stream whose server cuts pairs between events says so once, however many there are."""
    pieces = [wire.piece("x").replace(b'"x"', half) for half in (b'"\\ud83d"', b'"\\ude00"')] * 3
    decoded = decode_stream(provider, [*pieces, *wire.events([])])
    assert decoded.response.text == HALF * 6
    assert decoded.response.warnings == (REPLACED,)


@pytest.mark.F67
def test_halves_in_other_answers(provider: str) -> None:
    """The documents of a rerank are mended, too."""
    if provider == "openai":
        return  # it has no rerank
    results = '{"results":[{"index":0,"relevance_score":0.5,"document":{"text":"a\\ud800"}}]}'
    body = f'{{"output":{results},"usage":{{"total_tokens":3}}}}' if provider == "dashscope" else results
    request = RerankRequest.of({"model": "m", "query": "a", "documents": ["a"]})
    answer = normalizer(provider).normalize(request, wire_response(body.encode()))
    assert answer.results[0].document == {"text": f"a{HALF}"}
    assert answer.warnings == (REPLACED,)
    assert answer.model_dump_json().encode()


# Errors: read as far as they can be


@pytest.mark.F15
@pytest.mark.F67
@pytest.mark.parametrize("message", [b"\\ud83d", b"\xff\xfe", b"a\tb", b'x","note":NaN,"more":"'])
def test_the_code_of_an_error_is_not_lost(provider: str, wire: Wire, message: bytes) -> None:
    """An error whose text is broken, or that holds what is no JSON, is still the error of its code."""
    code = {"openai": "rate_limit_exceeded", "qwen": "limit_requests", "dashscope": "Throttling.RateQuota"}[provider]
    body = dumps(wire.error_body(code, "MESSAGE")).replace(b"MESSAGE", message)
    error = normalizer(provider).error(wire_response(body, 429))
    assert (type(error), error.code) == (RateLimitError, code)
    assert str(error).isprintable()
    with pytest.raises(RateLimitError) as caught:
        whole(provider, body)
    assert caught.value.code == code
    event = wire.stream_error(429, code, "MESSAGE").replace(b"MESSAGE", message)
    with pytest.raises(RateLimitError) as caught:
        decode_stream(provider, [wire.piece("a"), event])
    assert caught.value.code == code


# A filter's block


BLOCKS = {
    "promptFeedback": b'"promptFeedback":{"blockReason":"SAFETY"}',
    "prompt_feedback": b'"prompt_feedback":{"block_reason":"SAFETY"}',
    "prompt_filter_results": b'"prompt_filter_results":[{"content_filter_results":{"hate":{"filtered":true}}}]',
}
NO_BLOCKS = {
    "feedback without a reason": b'"promptFeedback":{}',
    "no verdict": b'"prompt_filter_results":[{"content_filter_results":{"hate":{"filtered":false}}}]',
    "another shape": b'"promptFeedback":"x","prompt_filter_results":[1,{"content_filter_results":[]}]',
}


@pytest.mark.F16
@pytest.mark.parametrize("provider", ["openai", "qwen"])
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("choices", [b'"choices":[],', b'"choices":null,', b""], ids=["empty", "null", "none"])
def test_a_blocked_answer(provider: str, block: bytes, choices: bytes) -> None:
    """No choice and a block reason is the content filter's refusal, not a server's failure, whole or streamed."""
    body = b"{" + choices + block + b"}"
    with pytest.raises(ContentFilterError) as caught:
        whole(provider, body)
    assert (caught.value.retryable, caught.value.outcome, caught.value.status_code) == (False, "rejected", 200)
    for end in (b"", b"data: [DONE]\n\n"):
        with pytest.raises(ContentFilterError) as caught:
            decode_stream(provider, [b"data: " + body + b"\n\n" + end])
        assert not caught.value.retryable


@pytest.mark.F16
@pytest.mark.parametrize("provider", ["openai", "qwen"])
@pytest.mark.parametrize("block", NO_BLOCKS.values(), ids=NO_BLOCKS)
def test_no_choice_and_no_block(provider: str, block: bytes) -> None:
    """Without a verdict, an answer without a choice is no answer."""
    with pytest.raises(ProtocolError):
        whole(provider, b'{"choices":[],' + block + b"}")


@pytest.mark.F16
@pytest.mark.parametrize("provider", ["openai", "qwen"])
def test_a_filters_report_beside_an_answer(provider: str) -> None:
    """A filter that says something before an answer does not cost it."""
    report = b'data: {"choices":[],' + BLOCKS["prompt_filter_results"] + b"}\n\n"
    assert decode_stream(provider, [report, *WIRES[provider].events(["hello"])]).response.text == "hello"


# The reader itself


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans())
@settings(max_examples=200)
def test_what_is_json_is_read_as_it_is(value: Any, escaped: bool) -> None:
    """Any JSON value within the bounds comes out as it went in, written with escapes or without."""
    data = json.dumps(value, ensure_ascii=escaped).encode()
    assert parse(data) == (value, False)
    assert parse_vectors(data) == (value, False)


@given(VALUES.map(json.dumps), st.data())
@settings(max_examples=200)
def test_broken_json_is_refused_or_read(text: str, data: st.DataObject) -> None:
    """JSON with a piece cut out or put in is a value whose numbers are numbers, or is refused."""
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    put = data.draw(
        st.sampled_from(["", "NaN", "1e999", "\\ud800", "{", "]", '"', ",", "9" * 400, "\x00", "-", "\ufeff"])
    )
    broken = (text[:start] + put + text[end:]).encode()
    try:
        value, replaced = parse(broken)
    except NotStrictError:
        pass
    else:
        assert json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        assert replaced == (HALF in json.dumps(value, ensure_ascii=False) and HALF.encode() not in broken)
    assert isinstance(error_fields(broken), dict)


@given(st.binary(max_size=80))
@settings(max_examples=200)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes of any kind are a value or a refusal, and never cost an error its reading."""
    with contextlib.suppress(NotStrictError):
        parse(data)
    assert isinstance(error_fields(data), dict)


@pytest.mark.F26
@pytest.mark.parametrize(("levels", "good"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False), (100_000, False)])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_the_bound_of_depth(levels: int, good: bool, opening: bytes, closing: bytes) -> None:
    """Just the bound is read, one level more is refused."""
    data = opening * levels + (b"1" if opening != b"[" else b"") + closing * levels
    if good:
        assert parse(data).value
        return
    with pytest.raises(NotStrictError, match=f"deeper than {MAX_DEPTH}"):
        parse(data)
    assert error_fields(data) == {} or levels < 1000


@pytest.mark.F25
def test_the_bound_of_digits() -> None:
    """Just the bound is read, one digit more is refused."""
    assert parse(b"9" * MAX_DIGITS).value == int("9" * MAX_DIGITS)
    with pytest.raises(NotStrictError, match=f"more than {MAX_DIGITS} digits"):
        parse(b"9" * (MAX_DIGITS + 1))


@pytest.mark.F25
@pytest.mark.parametrize("value", [b"NaN", b"1e999", b"-Infinity"])
def test_vectors_are_numbers(provider: str, value: bytes) -> None:
    """A vector that holds no number is refused."""
    vector = b"[0.5," + value + b"]"
    body = b'{"data":[{"index":0,"embedding":%b}],"output":{"embeddings":[{"text_index":0,"embedding":%b}]}}'
    request = EmbeddingRequest.of({"model": "m", "input": "a"})
    with pytest.raises(ProtocolError):
        normalizer(provider).normalize(request, wire_response(body % (vector, vector)))
    good = normalizer(provider).normalize(request, wire_response(body % (b"[0.5]", b"[0.5]")))
    assert good.data[0].embedding == (0.5,)
    assert all(math.isfinite(number) for number in good.data[0].embedding)

"""Streams of both wires, however their bytes are cut, and wherever they are cut off."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parts import Decoded, decode_stream
from tests.wires import CREATED, REQUEST_ID, dumps

from qonduit import StreamInterruptedError


def compatible(*choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
    """A compatible stream of the chunks with these choices, usage and [DONE]."""
    head = {
        "id": f"chatcmpl-{REQUEST_ID}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": "m",
        "system_fingerprint": None,
    }
    chunks: list[dict[str, Any]] = [{**head, "choices": chosen, "usage": None} for chosen in choices]
    if usage is not None:
        chunks.append({**head, "choices": [], "usage": usage})
    return b"".join(b"data: " + dumps(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def native(*choices: list[dict[str, Any]]) -> bytes:
    """A native stream of the events with these choices, each with the usage so far."""
    events = b""
    for number, chosen in enumerate(choices, 1):
        usage = {"input_tokens": 9, "output_tokens": number, "total_tokens": 9 + number}
        body = {"output": {"choices": chosen}, "usage": usage, "request_id": REQUEST_ID}
        events += f"id:{number}\nevent:result\n:HTTP_STATUS/200\ndata:".encode() + dumps(body) + b"\n\n"
    return events


def delta(index: int = 0, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish_reason, "logprobs": None}


def message(index: int = 0, finish_reason: str | None = "null", **fields: Any) -> dict[str, Any]:
    return {"index": index, "message": {"role": "assistant", **fields}, "finish_reason": finish_reason}


def call(index: int, identifier: str, name: str | None, arguments: str, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"index": index, "id": identifier, "type": "function", "function": function, **more}


WEATHER = [
    {"id": "call_a", "name": "weather", "arguments": '{"city":"北京"}'},
    {"id": "call_b", "name": "time", "arguments": '{"zone":"CST"}'},
]


class Case(NamedTuple):
    """A stream and what it says: (content, reasoning, tool calls, finish reason) of each choice."""

    provider: str
    body: bytes
    choices: list[tuple[str | None, str | None, list[dict[str, str]], str | None]]
    usage: tuple[int, int] | None
    request: Mapping[str, Any] = MappingProxyType({})


USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}

CASES: dict[str, Case] = {
    "compatible text": Case(
        "qwen",
        compatible(
            [delta(content="", role="assistant")],
            [delta(content="你好")],
            [delta(content=", \u2028🌍")],
            [delta(content="", finish_reason="stop")],
            usage=USAGE,
        ),
        [("你好, \u2028🌍", None, [], "stop")],
        (9, 4),
    ),
    "compatible text without usage": Case(
        "openai",
        compatible([delta(content="a", role="assistant")], [delta(finish_reason="length")]),
        [("a", None, [], "length")],
        None,
    ),
    "compatible, two choices": Case(
        "qwen",
        compatible(
            [delta(0, content="a", role="assistant")],
            [delta(1, content="x", role="assistant")],
            [delta(0, content="b"), delta(1, content="y")],
            [delta(1, finish_reason="length")],
            [delta(0, content="c")],
            [delta(0, finish_reason="stop")],
            usage=USAGE,
        ),
        [("abc", None, [], "stop"), ("xy", None, [], "length")],
        (9, 4),
        {"n": 2},
    ),
    "compatible thinking": Case(
        "qwen",
        compatible(
            [delta(content=None, role="assistant", reasoning_content="")],
            [delta(content=None, reasoning_content="Let me")],
            [delta(content=None, reasoning_content=" see.")],
            [delta(content="Yes", reasoning_content=None)],
            [delta(content="", reasoning_content=None, finish_reason="stop")],
            usage={**USAGE, "completion_tokens_details": {"reasoning_tokens": 3}},
        ),
        [("Yes", "Let me see.", [], "stop")],
        (9, 4),
    ),
    "compatible tool calls": Case(
        "qwen",
        compatible(
            [
                delta(content="", role="assistant", tool_calls=[call(0, "call_a", "weather", "")])  # then "id": ""
            ],
            [delta(content="", tool_calls=[call(0, "", None, '{"city":')])],
            [delta(tool_calls=[call(0, "", "", '"北京"}'), call(1, "call_b", "time", "")])],
            [{"index": 0, "delta": {"tool_calls": [call(1, "", None, '{"zone":"CST"}')]}}],
            [delta(finish_reason="tool_calls")],
            usage=USAGE,
        ),
        [(None, None, WEATHER, "tool_calls")],
        (9, 4),
    ),
    "openai tool calls": Case(
        "openai",
        compatible(
            [delta(content=None, role="assistant", tool_calls=[call(0, "call_a", "weather", "")])],
            [
                delta(
                    tool_calls=[{"index": 0, "function": {"arguments": '{"city":"北京"}'}}],
                )
            ],
            [delta(tool_calls=[call(1, "call_b", "time", '{"zone":')])],
            [delta(tool_calls=[{"index": 1, "function": {"arguments": '"CST"}'}}])],
            [delta(finish_reason="tool_calls")],
            usage=USAGE,
        ),
        [(None, None, WEATHER, "tool_calls")],
        (9, 4),
    ),
    "compatible, forced call that ends with stop": Case(
        "qwen",
        compatible(
            [delta(role="assistant", tool_calls=[call(0, "call_a", "weather", '{"city":"北京"}')])],
            [delta(finish_reason="stop")],
        ),
        [(None, None, WEATHER[:1], "tool_calls")],
        None,
    ),
    'compatible, "null" for a running choice': Case(
        "openai",
        compatible(
            [delta(content="a", role="assistant", finish_reason="null")],
            [delta(content="b", finish_reason="")],
            [delta(finish_reason="stop")],
        ),
        [("ab", None, [], "stop")],
        None,
    ),
    "compatible, choices empty and null": Case(
        "qwen",
        compatible([], [delta(content="a", role="assistant")], [], [delta(finish_reason="stop")]).replace(
            b'"choices":[]', b'"choices":null', 1
        ),
        [("a", None, [], "stop")],
        None,
    ),
    "native text": Case(
        "dashscope",
        native(
            [message(content="你好")],
            [message(content=", \u2028🌍")],
            [message(content="", finish_reason="stop")],
        ),
        [("你好, \u2028🌍", None, [], "stop")],
        (9, 3),
    ),
    "native, last text beside the finish reason": Case(
        "dashscope",
        native([message(content="a")], [message(content="b", finish_reason="length")]),
        [("ab", None, [], "length")],
        (9, 2),
    ),
    "native with [DONE] and with spaces": Case(
        "dashscope",
        (native([message(content="a")], [message(content="", finish_reason="stop")]) + b"data:[DONE]\n\n")
        .replace(b"data:", b"data: ")
        .replace(b"event:", b"event: "),
        [("a", None, [], "stop")],
        (9, 2),
    ),
    "native, two choices": Case(
        "dashscope",
        native(
            [message(0, content="a")],
            [message(1, content="x")],
            [message(0, content="b"), message(1, content="y")],
            [message(1, content="", finish_reason="length")],
            [message(0, content="c")],
            [message(0, content="", finish_reason="stop")],
        ),
        [("abc", None, [], "stop"), ("xy", None, [], "length")],
        (9, 6),
        {"n": 2},
    ),
    "native, cumulative": Case(
        "dashscope",
        native(
            [message(content="")],
            [message(content="你好")],
            [message(content="你好, 🌍")],
            [message(content="你好, 🌍", finish_reason="stop")],
        ),
        [("你好, 🌍", None, [], "stop")],
        (9, 4),
        {"extra_body": {"incremental_output": False}},
    ),
    "native, cumulative thinking and calls": Case(
        "dashscope",
        native(
            [message(content="", reasoning_content="Let")],
            [message(content="", reasoning_content="Let me")],
            [message(content="", reasoning_content="Let me", tool_calls=[call(0, "call_a", "weather", "")])],
            [
                message(
                    content="",
                    reasoning_content="Let me",
                    tool_calls=[call(0, "call_a", "weather", '{"city":"北京"}')],
                )
            ],
            [
                message(
                    content="",
                    reasoning_content="Let me",
                    tool_calls=[
                        call(0, "call_a", "weather", '{"city":"北京"}'),
                        call(1, "call_b", "time", '{"zone":"CST"}'),
                    ],
                    finish_reason="tool_calls",
                )
            ],
        ),
        [(None, "Let me", WEATHER, "tool_calls")],
        (9, 5),
        {"extra_body": {"parameters": {"incremental_output": False}}},
    ),
    "native thinking": Case(
        "dashscope",
        native(
            [message(content="", reasoning_content="Let me")],
            [message(content="", reasoning_content=" see.")],
            [message(content="Yes", reasoning_content="")],
            [message(content="", reasoning_content="", finish_reason="stop")],
        ),
        [("Yes", "Let me see.", [], "stop")],
        (9, 4),
    ),
    "native parts": Case(
        "dashscope",
        native(
            [message(content=[], reasoning_content="Hm.")],
            [message(content=[{"text": "a"}], reasoning_content="")],
            [message(content=[{"text": "b"}, {"text": "c"}])],
            [message(content=[], finish_reason="stop")],
        ),
        [("abc", "Hm.", [], "stop")],
        (9, 4),
    ),
    "native tool calls": Case(
        "dashscope",
        native(
            [message(content="", tool_calls=[call(0, "call_a", "weather", '{"city"')])],
            [message(content="", tool_calls=[call(0, "", None, ':"北京"}')])],
            [message(content="", tool_calls=[call(0, "", None, ""), call(1, "call_b", "time", "")])],
            [message(content="", tool_calls=[call(1, "", None, '{"zone":"CST"}')], finish_reason="tool_calls")],
        ),
        [(None, None, WEATHER, "tool_calls")],
        (9, 4),
    ),
    "native, forced call that ends with stop": Case(
        "dashscope",
        native(
            [message(content="", tool_calls=[call(0, "call_a", "weather", '{"city":"北京"}')])],
            [message(content="", finish_reason="stop")],
        ),
        [(None, None, WEATHER[:1], "tool_calls")],
        (9, 2),
    ),
    "native text format": Case(
        "dashscope",
        b"".join(
            b"data:" + dumps({"output": {"text": text, "finish_reason": reason}, "usage": {}}) + b"\n\n"
            for text, reason in (("a", "null"), ("b", "null"), ("", "stop"))
        ),
        [("ab", None, [], "stop")],
        None,
    ),
    "native, keep-alive comments and a first event without choices": Case(
        "dashscope",
        b": \n\n: \n\n"
        + native([], [message(content="a")]).replace(b'"choices":[]', b'"choices":[],"search_info":{}')
        + b":\n\n"
        + native([message(content="", finish_reason="stop")]),
        [("a", None, [], "stop")],
        (9, 1),
    ),
}


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def what_was_said(decoded: Decoded) -> list[tuple[str | None, str | None, list[dict[str, str]], str | None]]:
    choices = []
    for choice in decoded.response.choices:
        calls = [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in choice.message.tool_calls or ()
        ]
        said = choice.message
        choices.append((said.content, said.reasoning_content, calls, choice.finish_reason))
    return choices


@pytest.mark.F9
@pytest.mark.F10
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_stream_says_what_it_says(case: Case) -> None:
    """Text, thinking, tool calls, finish reasons and usage come out whole."""
    decoded = decode_stream(case.provider, [case.body], **case.request)
    assert what_was_said(decoded) == case.choices
    usage = decoded.response.usage
    assert (usage and (usage.input_tokens, usage.output_tokens)) == case.usage
    assert decoded.response.warnings == ()
    assert all(choice.message.role == "assistant" for choice in decoded.response.choices)
    assert decoded.finished_early


@pytest.mark.F10
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_only_the_usage_chunk_has_no_choices_of_its_own(case: Case) -> None:
    """Whatever the wire repeats, only the usage chunk and empty ones have no choice."""
    decoded = decode_stream(case.provider, [case.body], **case.request)
    with_usage = [chunk for chunk in decoded.chunks if chunk.usage is not None]
    assert len(with_usage) == (case.usage is not None)
    assert all(not chunk.choices for chunk in with_usage)


@pytest.mark.F1
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_chunks_do_not_depend_on_cuts(case: Case) -> None:
    """The chunks are the same whole, byte by byte, in pieces of any size, and cut at each single place."""
    whole = decode_stream(case.provider, [case.body], **case.request)
    for size in (1, 2, 3, 7, 64, 1000):
        assert decode_stream(case.provider, cut(case.body, size), **case.request).said() == whole.said()
    for place in range(1, len(case.body)):
        decoded = decode_stream(case.provider, [case.body[:place], case.body[place:]], **case.request)
        assert decoded.response == whole.response
        assert len(decoded.chunks) == len(whole.chunks)


@pytest.mark.F1
@pytest.mark.F2
@settings(max_examples=30, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_random_cuts_and_line_ends(case: Case, ending: bytes, data: st.DataObject) -> None:
    """Random cuts and other line ends change nothing."""
    body = case.body.replace(b"\n", ending)
    places = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    parts = [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]
    whole = decode_stream(case.provider, [case.body], **case.request)
    assert decode_stream(case.provider, parts, **case.request).said() == whole.said()


@pytest.mark.F11
@pytest.mark.F12
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_stream_cut_off_is_never_a_wrong_answer(case: Case) -> None:
    """Every prefix is an interruption, or the whole answer; usage may be missing, never wrong."""
    whole = decode_stream(case.provider, [case.body], **case.request).response
    answers = 0
    for place in range(len(case.body)):
        try:
            response = decode_stream(case.provider, [case.body[:place]], **case.request).response
        except StreamInterruptedError as error:
            assert answers == 0, "more bytes cannot make an answer less whole"
            assert error.outcome == "unknown"  # noqa: PT017
            continue
        answers += 1
        assert response.choices == whole.choices
        assert response.usage in (None, whole.usage)
    assert answers > 0, "the last event needs no blank line"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_last_event_needs_no_blank_line(case: Case) -> None:
    """A stream whose last blank line was lost is the same answer."""
    whole = decode_stream(case.provider, [case.body], **case.request)
    for lost in (1, 2):
        assert decode_stream(case.provider, [case.body[:-lost]], **case.request).said() == whole.said()


@pytest.mark.F69
@pytest.mark.parametrize(
    "name", ["compatible tool calls", "native tool calls", "native, cumulative thinking and calls"]
)
def test_an_empty_id_is_no_id(name: str) -> None:
    """A fragment that continues a call says no id, whether its wire says "" or nothing; the first one says it."""
    case = CASES[name]
    chunks = decode_stream(case.provider, [case.body], **case.request).chunks
    fragments = [
        call
        for chunk in chunks
        for choice in chunk.choices
        for call in choice.delta.tool_calls or ()
        if call.index == 0
    ]
    assert fragments[0].id == "call_a"
    assert "" not in [fragment.id for fragment in fragments]
    assert all(fragment.id in {None, "call_a"} for fragment in fragments)

"""What is no answer inside a stream: errors, nonsense, and streams that end before they began."""

from __future__ import annotations

from typing import Any

import pytest
from tests.parts import SSE_HEADERS, chat, decode_stream, normalizer, wire_response
from tests.wires import REQUEST_ID, WIRES, Wire, dumps

from qonduit import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    InternalServerError,
    ProtocolError,
    QuotaExhaustedError,
    RateLimitError,
    StreamInterruptedError,
)

DONE = b"data: [DONE]\n\n"


def native_error(status_line: str, code: str, *, event: str = "event:error\n", message: str = "No.") -> bytes:
    body = dumps({"code": code, "message": message, "request_id": REQUEST_ID})
    return f"id:1\n{event}{status_line}data:".encode() + body + b"\n\n"


# (status line, code) -> (class, status, retryable)
NATIVE_ERRORS: dict[str, tuple[bytes, type[APIError], int | None, bool]] = {
    "status in a comment": (
        native_error(":HTTP_STATUS/429\n", "Unheard.Of"),
        RateLimitError,
        429,
        True,
    ),
    "a reason phrase": (
        native_error(":HTTP_STATUS/429 TOO_MANY_REQUESTS\n", "Unheard.Of"),
        RateLimitError,
        429,
        True,
    ),
    "a space after the colon": (
        native_error(": HTTP_STATUS/500\n", "Unheard.Of"),
        InternalServerError,
        500,
        True,
    ),
    "no colon before the status": (
        native_error("HTTP_STATUS/429 TOO_MANY_REQUESTS\n", "Unheard.Of"),
        RateLimitError,
        429,
        True,
    ),
    "event: error with a space": (
        native_error(":HTTP_STATUS/400\n", "InvalidParameter", event="event: error\n"),
        BadRequestError,
        400,
        False,
    ),
    "no event name, a code in the body": (
        native_error(":HTTP_STATUS/400\n", "DataInspectionFailed", event=""),
        ContentFilterError,
        400,
        False,
    ),
    "status 200 in the comment, status by the code": (
        native_error(":HTTP_STATUS/200\n", "Throttling.AllocationQuota"),
        RateLimitError,
        429,
        True,
    ),
    "no status at all": (native_error("", "InvalidApiKey"), AuthenticationError, 401, False),
    "a free quota that is used up": (
        native_error(":HTTP_STATUS/429\n", "Throttling.AllocationQuota", message="Free allocated quota exceeded."),
        QuotaExhaustedError,
        429,
        False,
    ),
    "a name that misleads": (
        native_error(":HTTP_STATUS/400\n", "InternalError.Algo.InvalidParameter"),
        BadRequestError,
        400,
        False,
    ),
    "an event without JSON": (
        b"event:error\n:HTTP_STATUS/503\ndata:busy\n\n",
        InternalServerError,
        503,
        True,
    ),
}


@pytest.mark.F14
@pytest.mark.F15
@pytest.mark.F27
@pytest.mark.F28
@pytest.mark.parametrize("begun", [False, True], ids=["first", "after a chunk"])
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "without its blank line"])
@pytest.mark.parametrize(("event", "kind", "status", "retryable"), NATIVE_ERRORS.values(), ids=list(NATIVE_ERRORS))
def test_native_error_events(
    event: bytes, kind: type[APIError], status: int | None, retryable: bool, closed: bool, begun: bool
) -> None:
    """An error event of the native wire is the error of its status and code, however its status is written."""
    body = WIRES["dashscope"].piece("a") * begun + (event if closed else event.rstrip(b"\n"))
    for parts in ([body], [body[place : place + 1] for place in range(len(body))]):
        with pytest.raises(kind) as caught:
            decode_stream("dashscope", parts)
        assert (caught.value.status_code, caught.value.retryable) == (status, retryable)
        assert caught.value.request_id == REQUEST_ID


COMPATIBLE_ERRORS: dict[str, tuple[Any, type[APIError], int | None, str | None]] = {
    "as DashScope says it": (
        {
            "error": {"message": "Slow.", "type": "limit_requests", "code": "limit_requests", "param": None},
            "request_id": REQUEST_ID,
        },
        RateLimitError,
        429,
        "limit_requests",
    ),
    "with id and choices beside it": (
        {
            "id": "c",
            "choices": [],
            "error": {"message": "Bad.", "type": "data_inspection_failed", "code": "data_inspection_failed"},
        },
        ContentFilterError,
        400,
        "data_inspection_failed",
    ),
    "choices null beside it": (
        {"choices": None, "error": {"message": "Bad.", "code": "internal_error"}},
        InternalServerError,
        500,
        "internal_error",
    ),
    "type but no code": (
        {"error": {"message": "Bad.", "type": "invalid_parameter_error", "code": None}},
        BadRequestError,
        400,
        "invalid_parameter_error",
    ),
    "a status as its code": ({"error": {"message": "Down.", "code": 503}}, InternalServerError, 503, "503"),
    "only a text": ({"error": "overloaded"}, APIError, None, None),
}


@pytest.mark.F14
@pytest.mark.F15
@pytest.mark.parametrize("done", [b"", DONE], ids=["", "[DONE]"])
@pytest.mark.parametrize("begun", [False, True], ids=["first", "after a chunk"])
@pytest.mark.parametrize(("body", "kind", "status", "code"), COMPATIBLE_ERRORS.values(), ids=list(COMPATIBLE_ERRORS))
def test_compatible_error_events(
    body: Any, kind: type[APIError], status: int | None, code: str | None, begun: bool, done: bytes
) -> None:
    """An error object in place of a chunk is the error that it names, whether [DONE] follows or not."""
    stream = WIRES["qwen"].piece("a") * begun + b"data: " + dumps(body) + b"\n\n" + done
    for parts in ([stream], [stream[place : place + 1] for place in range(len(stream))]):
        with pytest.raises(kind) as caught:
            decode_stream("qwen", parts)
        assert not isinstance(caught.value, StreamInterruptedError)
        assert (caught.value.status_code, caught.value.code) == (status, code)
        assert caught.value.request_id == REQUEST_ID


@pytest.mark.F14
@pytest.mark.F28
def test_an_event_after_an_error_does_not_hide_it(wire: Wire, provider: str) -> None:
    """An error is raised even where the finish reason comes in the same bytes, after it."""
    body = wire.stream_error(400, "DataInspectionFailed") + b"".join(wire.events())
    with pytest.raises(APIError, match="DataInspectionFailed"):
        decode_stream(provider, [body])


NONSENSE = {
    "text": b"hello",
    "half an object": b'{"choices":[',
    "two objects": b'{"choices":[]}{"choices":[]}',
    "a list": b"[]",
    "a number": b"17",
    "null": b"null",
    "deep nesting": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "broken UTF-8": b'{"id":"\xff"}',
    "a control character": b'{"id":"\x00"}',
}


@pytest.mark.F7
@pytest.mark.F26
@pytest.mark.parametrize("begun", [False, True], ids=["first", "after a chunk"])
@pytest.mark.parametrize("data", NONSENSE.values(), ids=list(NONSENSE))
def test_nonsense_is_a_protocol_error(wire: Wire, provider: str, data: bytes, begun: bool) -> None:
    """An event that is no JSON object is a ProtocolError that does not repeat it."""
    body = wire.piece("a") * begun + b"data: " + data + b"\n\n" + b"".join(wire.events())
    with pytest.raises(ProtocolError) as caught:
        decode_stream(provider, [body])
    assert caught.value.outcome == "unknown"
    assert len(str(caught.value)) < 300
    assert data[:6].decode("latin-1") not in str(caught.value) or len(data) < 3


WRONG_SHAPES = {
    "choices is a text": (b'{"choices":"x"}', b'{"output":{"choices":"x"}}'),
    "a choice is a number": (b'{"choices":[1]}', b'{"output":{"choices":[1]}}'),
    "content is a number": (
        b'{"choices":[{"index":0,"delta":{"content":1}}]}',
        b'{"output":{"choices":[{"index":0,"message":{"content":1}}]}}',
    ),
    "content is an object": (
        b'{"choices":[{"index":0,"delta":{"content":{}}}]}',
        b'{"output":{"choices":[{"index":0,"message":{"content":{"x":1}}}]}}',
    ),
    "the index is a text": (
        b'{"choices":[{"index":"x","delta":{"content":"a"}}]}',
        b'{"output":{"choices":[{"index":"x","message":{"content":"a"}}]}}',
    ),
    "the index is a list": (
        b'{"choices":[{"index":[],"delta":{"content":"a"}}]}',
        b'{"output":{"choices":[{"index":[],"message":{"content":"a"}}]}}',
    ),
    "the message is a text": (
        b'{"choices":[{"index":0,"delta":"a"}]}',
        b'{"output":{"choices":[{"index":0,"message":"a"}]}}',
    ),
    "tool calls are a text": (
        b'{"choices":[{"index":0,"delta":{"tool_calls":"a"}}]}',
        b'{"output":{"choices":[{"index":0,"message":{"tool_calls":"a"}}]}}',
    ),
    "a tool call is a text": (
        b'{"choices":[{"index":0,"delta":{"tool_calls":["a"]}}]}',
        b'{"output":{"choices":[{"index":0,"message":{"tool_calls":["a"]}}]}}',
    ),
    "arguments are a number": (
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":1}}]}}]}',
        b'{"output":{"choices":[{"index":0,"message":{"tool_calls":[{"index":0,"function":{"arguments":1}}]}}]}}',
    ),
    "the finish reason is a list": (
        b'{"choices":[{"index":0,"delta":{},"finish_reason":[]}]}',
        b'{"output":{"choices":[{"index":0,"message":{},"finish_reason":[]}]}}',
    ),
}


@pytest.mark.parametrize("shapes", WRONG_SHAPES.values(), ids=list(WRONG_SHAPES))
@pytest.mark.parametrize("cumulative", [False, True], ids=["incremental", "cumulative"])
def test_json_of_the_wrong_shape_is_a_protocol_error(
    wire: Wire, provider: str, shapes: tuple[bytes, bytes], cumulative: bool
) -> None:
    """JSON that is no chunk is a ProtocolError, whichever field is wrong."""
    data = shapes[1] if wire.native else shapes[0]
    extra = {"extra_body": {"incremental_output": False}} if cumulative else {}
    with pytest.raises(ProtocolError):
        decode_stream(provider, [b"data: " + data + b"\n\n"], **extra)


@pytest.mark.F11
@pytest.mark.F18
def test_a_stream_without_events(wire: Wire, provider: str) -> None:
    """A stream that ends before its first event may be tried again; one that ends after it may not."""
    for body in (b"", b": keep-alive\n\n", b"<html></html>", b'{"error": {}}'):
        with pytest.raises(StreamInterruptedError, match="before its first event") as caught:
            decode_stream(provider, [body])
        assert caught.value.retryable
    with pytest.raises(StreamInterruptedError, match="cut") as caught:
        decode_stream(provider, [wire.piece("a")])
    assert not caught.value.retryable


@pytest.mark.F11
def test_only_one_of_two_choices_ended(wire: Wire, provider: str) -> None:
    """With n=2 a stream is whole when both choices have ended, not one."""
    body = b"".join(event for event in wire.events() if b"[DONE]" not in event)
    with pytest.raises(StreamInterruptedError):
        decode_stream(provider, [body], n=2)
    assert decode_stream(provider, [body]).response.text == "hello"


@pytest.mark.F12
def test_done_without_a_finish_reason(wire: Wire, provider: str) -> None:
    """[DONE] without a finish_reason ends the answer, with a warning and an unknown reason."""
    decoded = decode_stream(provider, [wire.piece("a") + DONE])
    assert decoded.response.text == "a"
    assert decoded.response.choices[0].finish_reason is None
    assert len(decoded.response.warnings) == 1


@pytest.mark.F18
def test_done_and_nothing_else_is_no_answer(wire: Wire, provider: str) -> None:
    """A stream that is nothing but its end mark holds no answer."""
    for body in (DONE, wire.event({"choices": [], "output": {}, "usage": {}}) + DONE):
        with pytest.raises(StreamInterruptedError, match="there is no answer") as caught:
            decode_stream(provider, [body])
        assert caught.value.retryable


@pytest.mark.F13
def test_the_end_mark_ends_reading(wire: Wire, provider: str) -> None:
    """What comes after the end mark is not read, however wrong it is."""
    decoded = decode_stream(provider, [b"".join(wire.events()) + b"data: nonsense\n\n"])
    assert decoded.response.text == "hello"


@pytest.mark.F6
@pytest.mark.F17
@pytest.mark.F18
@pytest.mark.parametrize(
    ("kind", "raises"),
    [
        ("text/html; charset=utf-8", True),
        ("application/json", None),
        ("text/event-stream", False),
        ("text/event-stream;charset=ISO-8859-1", False),
        ("", False),
    ],
)
def test_content_type(wire: Wire, provider: str, kind: str, raises: bool | None) -> None:
    """HTML in place of a stream is refused at its head; the charset of a stream is not looked at."""
    response = wire_response(headers={**SSE_HEADERS, "content-type": kind})
    if raises:
        with pytest.raises(ProtocolError):
            normalizer(provider).decoder(chat(stream=True), response)
    elif raises is not None:
        decoder = normalizer(provider).decoder(chat(stream=True), response)
        chunks = decoder.feed(b"".join(wire.events(["é你", "好"])))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "é你好"


# Tool calls whose fragments are hard to tell apart. Each: fragments of one choice -> (id, name, arguments).
FRAGMENTS: dict[str, tuple[list[dict[str, Any]], list[tuple[str | None, str, str]] | None]] = {
    "ids in every fragment, no index": (
        [
            {"id": "a", "function": {"name": "f", "arguments": "{"}},
            {"id": "b", "function": {"name": "g", "arguments": "["}},
            {"id": "a", "function": {"arguments": "}"}},
            {"id": "b", "function": {"arguments": "]"}},
        ],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "neither id nor index: the current call": (
        [
            {"id": "a", "function": {"name": "f", "arguments": "{"}},
            {"function": {"arguments": "}"}},
            {"id": "b", "function": {"name": "g", "arguments": "["}},
            {"function": {"arguments": "]"}},
        ],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "a new id on a used index is a new call": (
        [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"index": 0, "id": "b", "function": {"name": "g", "arguments": "["}},
            {"index": 0, "function": {"arguments": "]"}},
        ],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "the index drifts but the id stays": (
        [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}},
            {"index": 1, "id": "a", "function": {"arguments": "}"}},
        ],
        [("a", "f", "{}")],
    ),
    "the id comes late": (
        [
            {"index": 0, "function": {"name": "f", "arguments": "{"}},
            {"index": 0, "id": "a", "function": {"arguments": "}"}},
        ],
        [("a", "f", "{}")],
    ),
    "no id at all": (
        [
            {"index": 0, "function": {"name": "f", "arguments": "{}"}},
            {"index": 1, "function": {"name": "g", "arguments": "[]"}},
        ],
        [(None, "f", "{}"), (None, "g", "[]")],
    ),
    "the same name twice": (
        [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"index": 1, "id": "b", "function": {"name": "f", "arguments": "[]"}},
        ],
        [("a", "f", "{}"), ("b", "f", "[]")],
    ),
    "interleaved by index": (
        [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}},
            {"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}},
            {"index": 1, "id": "", "function": {"arguments": "[]"}},
            {"index": 0, "id": "", "function": {"arguments": "{}"}},
        ],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "a fragment of no call": ([{"index": 0, "function": {"arguments": "{}"}}], None),
    "a fragment of an unknown index": (
        [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"index": 3, "function": {"arguments": "{}"}},
        ],
        None,
    ),
    "an unknown id without a name": (
        [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"index": 0, "id": "b", "function": {"arguments": "{}"}},
        ],
        None,
    ),
}


@pytest.mark.F69
@pytest.mark.parametrize(("fragments", "expected"), FRAGMENTS.values(), ids=list(FRAGMENTS))
def test_fragments_of_tool_calls(
    wire: Wire,
    provider: str,
    fragments: list[dict[str, Any]],
    expected: list[tuple[str | None, str, str]] | None,
) -> None:
    """A fragment goes to the call of its id, else of its index, else to the current one; never to a wrong one."""
    events = []
    for fragment in fragments:
        said = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", **fragment}]}
        choice: dict[str, Any] = {"index": 0, "finish_reason": None}
        body = (
            {"output": {"choices": [{**choice, "message": said}]}}
            if wire.native
            else {"choices": [{**choice, "delta": said}]}
        )
        events.append(wire.event(body))
    events += wire.events([""])
    if expected is None:
        with pytest.raises(ProtocolError, match="belongs to no call"):
            decode_stream(provider, events)
        return
    calls = decode_stream(provider, events).response.choices[0].message.tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == expected
    assert [call.index for call in calls] == list(range(len(expected)))


@pytest.mark.F70
def test_the_first_finish_reason_wins(wire: Wire, provider: str) -> None:
    """A second finish_reason of one choice changes nothing."""
    first = [event for event in wire.events(["a"], finish_reason="length") if b"[DONE]" not in event]
    decoded = decode_stream(provider, [*first, *wire.events(["b"])])
    assert decoded.response.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    "found", [5, "weather", True, [], [1], {}, {"results": [{"title": "t"}]}, {"results": 7}, None]
)
@pytest.mark.parametrize("provider", ["openai", "qwen"])
def test_a_strangers_search_in_a_chunk(provider: str, found: Any) -> None:
    """This wire has no field `search`: a server's own of that name, in any form, breaks nothing and is not ours."""
    choice = {"index": 0, "delta": {"content": "hello"}, "finish_reason": None}
    ended = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events = [dumps({"id": "c", "choices": [said], "search": found, "more": 1}) for said in (choice, ended)]
    decoded = decode_stream(provider, [b"data: " + event + b"\n\n" for event in events] + [DONE])
    assert (decoded.response.text, decoded.response.search) == ("hello", None)
    assert [chunk.search for chunk in decoded.chunks] == [None, None]
    assert [chunk.model_extra["more"] for chunk in decoded.chunks] == [1, 1]


@pytest.mark.parametrize("role", ["", "ghost", None, "tool"])
@pytest.mark.parametrize("strange", [{}, {"name": 5, "partial": "x", "tool_call_id": []}])
def test_small_print_of_a_stream_loses_no_answer(wire: Wire, provider: str, role: Any, strange: dict[str, Any]) -> None:
    """What was delivered is the answer, whatever role it came under, and whatever else is called like ours."""
    said = {"role": role, "content": "hello", **strange}
    choice = {"index": 0, "finish_reason": "stop", "message" if wire.native else "delta": said}
    body = {"output": {"choices": [choice]}} if wire.native else {"choices": [choice]}
    message = decode_stream(provider, [wire.event(body), *([] if wire.native else [DONE])]).response.choices[0].message
    assert (message.role, message.text) == (role if role == "tool" else "assistant", "hello")
    assert (message.name, message.partial, message.tool_call_id) == (None, None, None)

"""The shapes in which the native API answers: what is read of each, whole, in pieces, and cut off."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from tests.parts import chat as chat_request
from tests.parts import decode_stream, normalizer, wire_response
from tests.servers import ScriptedServer, sse_response
from tests.wires import REQUEST_ID, dumps

from qonduit import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ChatResponse,
    Client,
    StreamInterruptedError,
)

WEATHER = {"id": "call_w", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
PAGES = [
    {
        "site_name": "Example",
        "icon": "https://example.com/i.ico",
        "index": 1,
        "title": "Lakes",
        "url": "https://e.com/1",
    },
    {"site_name": "", "icon": "", "index": 2, "title": "Hills", "url": "https://e.com/2"},
]
FOUND = [(1, "Lakes", "https://e.com/1"), (2, "Hills", "https://e.com/2")]
PROBABLE = [
    {
        "token": "4",
        "logprob": -0.25,
        "bytes": [52],
        "top_logprobs": [{"token": "4", "logprob": -0.25, "bytes": [52]}],
    }
]


def said(content: Any, finish_reason: str = "stop", **more: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **more}, "finish_reason": finish_reason}


def body(output: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    return {"output": dict(output), "usage": dict(usage), "request_id": REQUEST_ID}


class Read(NamedTuple):
    """What is read of an answer."""

    text: str
    finish_reason: str | None = "stop"
    usage: tuple[int | None, int | None, int | None] = (9, 3, 12)
    reasoning: str | None = None
    calls: tuple[tuple[str, str, str], ...] = ()
    found: tuple[tuple[int, str, str], ...] | None = None
    logprobs: Any = None
    details: Mapping[str, int] = MappingProxyType({})


USAGE = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}


PLAIN: dict[str, tuple[dict[str, Any], Read]] = {
    "text format": (body({"finish_reason": "stop", "text": "Hello."}, USAGE), Read("Hello.")),
    "message format, no index": (body({"choices": [said("Hello.")]}, USAGE), Read("Hello.")),
    "message format, cache details": (
        body({"choices": [{**said("Hello."), "index": 0}]}, {**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}),
        Read("Hello.", details={"cached_tokens": 4}),
    ),
    "a forced tool": (
        body({"choices": [said("", tool_calls=[{**WEATHER, "index": 0}])]}, USAGE),
        Read("", "tool_calls", calls=(("call_w", "weather", '{"city": "Oslo"}'),)),
    ),
    "thinking": (
        body(
            {"choices": [said("Four.", reasoning_content="Two and two.")]},
            {**USAGE, "output_tokens_details": {"reasoning_tokens": 2, "text_tokens": 1}},
        ),
        Read("Four.", reasoning="Two and two.", details={"reasoning_tokens": 2}),
    ),
    "thinking that used up the limit": (
        body({"choices": [said("", "length", reasoning_content="Two and")]}, USAGE),
        Read("", "length", reasoning="Two and"),
    ),
    "search": (
        body(
            {
                "choices": [said("Lakes[1].")],
                "search_info": {"search_results": PAGES, "extra_tool_info": [{"tool": "stock", "result": "3"}]},
            },
            {**USAGE, "plugins": {"search": {"count": 1, "strategy": "turbo"}}},
        ),
        Read("Lakes[1].", found=tuple(FOUND)),
    ),
    "log probabilities": (
        body({"choices": [{**said("4"), "logprobs": {"content": PROBABLE}}]}, USAGE),
        Read("4", logprobs={"content": PROBABLE}),
    ),
    "JSON": (body({"choices": [said('{"a": 1}')]}, USAGE), Read('{"a": 1}')),
    "translation": (
        body({"finish_reason": "stop", "model_name": "qwen-mt-plus", "choices": [said("Hello.")]}, USAGE),
        Read("Hello."),
    ),
    "a picture, no total": (
        body({"choices": [said([{"text": "A lake."}])]}, {"input_tokens": 9, "output_tokens": 3, "image_tokens": 7}),
        Read("A lake.", details={"image_tokens": 7}),
    ),
    "a picture and a search": (
        body(
            {"choices": [said([{"text": "A lake."}])], "search_info": {"search_results": PAGES}},
            {**USAGE, "input_tokens_details": {"text_tokens": 2, "image_tokens": 7}, "prompt_tokens_details": {}},
        ),
        Read("A lake.", found=tuple(FOUND), details={"image_tokens": 7}),
    ),
}


def read(response: ChatResponse) -> Read:
    """What a response says, in the words of the table."""
    choice, usage = response.choices[0], response.usage
    assert usage is not None
    names = ("cached_tokens", "reasoning_tokens", "image_tokens")
    return Read(
        response.text,
        choice.finish_reason,
        (usage.input_tokens, usage.output_tokens, usage.total_tokens),
        choice.message.reasoning_content,
        tuple((str(call.id), call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()),
        None
        if response.search is None
        else tuple((page.index or 0, page.title or "", page.url or "") for page in response.search.results),
        choice.logprobs,
        {name: value for name in names if (value := getattr(usage, name)) is not None},
    )


@pytest.mark.parametrize(("content", "expected"), PLAIN.values(), ids=list(PLAIN))
def test_plain_shapes(content: dict[str, Any], expected: Read) -> None:
    """Text, calls, thinking, usage, finish reason, search and log probabilities are read; `raw` is the wire's own."""
    response = normalizer("dashscope").normalize(chat_request(), wire_response(dumps(content)))
    assert read(response) == expected
    assert (response.request_id, response.warnings) == (REQUEST_ID, ())
    assert response.raw == content


def test_what_else_a_search_says_is_kept() -> None:
    """What a search says beside its pages, such as the answer of a tool, is kept on it."""
    content, _ = PLAIN["search"]
    response = normalizer("dashscope").normalize(chat_request(), wire_response(dumps(content)))
    assert response.search is not None
    assert response.search.model_extra == {"extra_tool_info": [{"tool": "stock", "result": "3"}]}
    assert [page.title for page in response.search.cited(response.text)] == ["Lakes"]


@pytest.mark.parametrize(
    "info",
    [None, {}, [], "none", {"search_results": "x"}, {"search_results": [1]}, {"search_results": [{"index": "a"}]}],
)
def test_a_search_of_another_shape_costs_no_answer(info: Any) -> None:
    """What was found, in a shape that is not known, is left in `raw`; the answer is given."""
    content = body({"choices": [said("Hello.")], "search_info": info}, USAGE)
    response = normalizer("dashscope").normalize(chat_request(), wire_response(dumps(content)))
    assert (response.text, response.search) == ("Hello.", None)
    assert response.raw == content


# Streams


def event(number: int, output: Mapping[str, Any], usage: Mapping[str, Any]) -> bytes:
    return f"id:{number}\nevent:result\n:HTTP_STATUS/200\ndata:".encode() + dumps(body(output, usage)) + b"\n\n"


def events(*outputs: Mapping[str, Any], first_usage: Mapping[str, Any] | None = None) -> list[bytes]:
    """Events with these outputs, each with the usage so far."""
    framed = []
    for number, output in enumerate(outputs, 1):
        usage = {"input_tokens": 9, "output_tokens": number, "total_tokens": 9 + number}
        framed.append(event(number, output, first_usage if number == 1 and first_usage is not None else usage))
    return framed


def piece(content: Any, finish_reason: str = "null", **more: Any) -> dict[str, Any]:
    return {"choices": [{**said(content, finish_reason, **more), "index": 0}]}


def fragment(index: int, arguments: str, **first: Any) -> dict[str, Any]:
    named = {"name": first["name"]} if first else {}
    return {
        "index": index,
        "id": first.get("id", ""),
        "type": "function",
        "function": {**named, "arguments": arguments},
    }


INFO = {"search_info": {"search_results": PAGES, "extra_tool_info": []}}
STREAMED: dict[str, tuple[list[bytes], Read]] = {
    "text format": (
        events(
            *({"finish_reason": end, "text": text} for end, text in (("null", "Hel"), ("null", "lo."), ("stop", "")))
        ),
        Read("Hello."),
    ),
    "the same piece twice": (events(piece("ha"), piece("ha"), piece("", "stop")), Read("haha")),
    "message format": (events(piece("Hel"), piece("lo."), piece("", "stop")), Read("Hello.")),
    "thinking": (
        events(
            piece("", reasoning_content="Two"),
            piece("Four.", reasoning_content=""),
            piece("", "stop", reasoning_content=""),
        ),
        Read("Four.", reasoning="Two"),
    ),
    "thinking, multimodal": (
        events(piece([], reasoning_content="Two"), piece([{"text": "Four."}]), piece([], "stop")),
        Read("Four.", reasoning="Two"),
    ),
    "tools": (
        events(
            piece("", tool_calls=[fragment(0, '{"a"', id="call_a", name="f")]),
            piece("", tool_calls=[fragment(0, ": 1}"), fragment(1, "", id="call_b", name="g")]),
            piece("", "tool_calls", tool_calls=[fragment(1, "{}")]),
        ),
        Read("", "tool_calls", calls=(("call_a", "f", '{"a": 1}'), ("call_b", "g", "{}"))),
    ),
    "a forced tool": (
        events(
            piece("", tool_calls=[fragment(0, '{"a"', id="call_a", name="f")]),
            piece("", tool_calls=[fragment(0, ": 1}")]),
            piece("", "stop"),
        ),
        Read("", "tool_calls", calls=(("call_a", "f", '{"a": 1}'),)),
    ),
    "search in the first chunk": (
        events({**piece("Lakes"), **INFO}, piece("[1]."), piece("", "stop")),
        Read("Lakes[1].", found=tuple(FOUND)),
    ),
    "search in a chunk between": (
        events(piece("Lakes"), {**piece("[1]."), **INFO}, piece("", "stop")),
        Read("Lakes[1].", found=tuple(FOUND)),
    ),
    "search in the last chunk": (
        events(piece("Lakes"), piece("[1]."), {**piece("", "stop"), **INFO}),
        Read("Lakes[1].", found=tuple(FOUND)),
    ),
    "search in every chunk": (
        events({**piece("Lakes"), **INFO}, {**piece("[1]."), **INFO}, {**piece("", "stop"), **INFO}),
        Read("Lakes[1].", found=tuple(FOUND)),
    ),
    "search in an event of its own, no choices": (
        events({**INFO, "choices": []}, piece("Lakes."), piece("", "stop"), first_usage={}),
        Read("Lakes.", found=tuple(FOUND)),
    ),
    "search in an event of its own, choices left out": (
        events(INFO, piece("Lakes."), piece("", "stop"), first_usage={}),
        Read("Lakes.", found=tuple(FOUND)),
    ),
    "search in an event of its own, an empty choice": (
        events({**INFO, **piece("")}, piece("Lakes."), piece("", "stop"), first_usage={}),
        Read("Lakes.", found=tuple(FOUND)),
    ),
    "log probabilities": (
        events(
            {"choices": [{**said("4", "null"), "index": 0, "logprobs": {"content": PROBABLE}}]},
            {"choices": [{**said("", "null"), "index": 0, "logprobs": {"content": []}}]},
            piece("", "stop"),
        ),
        Read("4", logprobs={"content": PROBABLE}),
    ),
}


@pytest.mark.parametrize(("stream", "expected"), STREAMED.values(), ids=list(STREAMED))
@pytest.mark.parametrize("pieces", ["whole", "events", "bytes"])
@pytest.mark.parametrize("ending", [b"\n\n", b""], ids=["", "no last blank line"])
def test_streamed_shapes(stream: list[bytes], expected: Read, pieces: str, ending: bytes) -> None:
    """Streams come to the same, whole, event by event and byte by byte; no chunk is without choices but the usage's."""
    whole = b"".join(stream).rstrip(b"\n") + ending
    parts = {"whole": [whole], "events": stream, "bytes": [whole[at : at + 1] for at in range(len(whole))]}[pieces]
    decoded = decode_stream("dashscope", parts)
    assert read(decoded.response) == expected
    assert (decoded.response.request_id, decoded.response.warnings) == (REQUEST_ID, ())
    assert all(chunk.choices or chunk.usage is not None for chunk in decoded.chunks)
    assert sum(chunk.search is not None for chunk in decoded.chunks) == (expected.found is not None)


@pytest.mark.parametrize(("stream", "expected"), STREAMED.values(), ids=list(STREAMED))
def test_a_shape_cut_off_early_carries_what_had_come(stream: list[bytes], expected: Read) -> None:
    """A connection that ends before the last event is an interruption with the partial answer, over real sockets."""
    with ScriptedServer([sse_response(stream[:-1])]) as server, client_of(server) as client:
        with ask(client, stream=True) as answer, pytest.raises(StreamInterruptedError) as caught:
            list(answer)
        partial = caught.value.response
    assert isinstance(partial, ChatResponse)
    assert not partial.complete
    assert expected.text.startswith(partial.text)
    assert (expected.reasoning or "").startswith(partial.choices[0].message.reasoning_content or "")
    assert partial.choices[0].finish_reason is None
    assert partial.request_id == REQUEST_ID
    if expected.found and b"search_info" in b"".join(stream[:-1]):
        assert partial.search is not None


def client_of(server: ScriptedServer) -> Client:
    return Client(
        provider="dashscope",
        model="qwen-plus",
        api_key="sk-test",
        base_url=f"{server.url}/api/v1",
        max_retries=0,
        timeout=10,
    )


def ask(client: Client, **fields: Any) -> Any:
    return client.chat.completions.create(messages=[{"role": "user", "content": "hi"}], **fields)


def test_a_plain_call_that_had_to_be_streamed_is_put_together() -> None:
    """A model that answers in streams only is streamed inside of a plain call: the answer is the same."""
    stream, expected = STREAMED["thinking"]
    with ScriptedServer([sse_response(stream)]) as server, client_of(server) as client:
        response = ask(client, model="qwq-plus")
        (request,) = server.requests
    assert read(response) == expected
    assert response.complete
    assert request.headers["x-dashscope-sse"] == "enable"
    assert request.json["parameters"]["incremental_output"] is True


def test_a_plain_call_streamed_inside_takes_chunks_that_repeat_if_asked() -> None:
    """`incremental_output` of the caller's own counts also where only the wire is streamed."""
    stream = events(piece("Hel"), piece("Hello."), piece("Hello.", "stop"))
    with ScriptedServer([sse_response(stream)]) as server, client_of(server) as client:
        response = ask(client, model="qwq-plus", extra_body={"incremental_output": False})
    assert response.text == "Hello."


# Errors

ERRORS: dict[str, tuple[int, dict[str, Any], type[APIError], str | None]] = {
    "400": (
        400,
        {"code": "InvalidParameter", "message": "[] is too short", "request_id": REQUEST_ID},
        BadRequestError,
        "InvalidParameter",
    ),
    "401": (
        401,
        {"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": REQUEST_ID},
        AuthenticationError,
        "InvalidApiKey",
    ),
    "400 in OpenAI's shape, code null": (
        400,
        {"error": {"message": "no", "type": "invalid_request_error", "param": "purpose", "code": None}},
        BadRequestError,
        None,
    ),
    "200 in OpenAI's shape": (
        200,
        {"error": {"message": "no", "type": "x", "code": "InvalidApiKey"}, "request_id": REQUEST_ID},
        AuthenticationError,
        "InvalidApiKey",
    ),
}


@pytest.mark.parametrize(("status", "content", "kind", "code"), ERRORS.values(), ids=list(ERRORS))
def test_error_shapes(status: int, content: dict[str, Any], kind: type[APIError], code: str | None) -> None:
    """Each shape of an error is its error, under an error's status and under 200, plain and as an event."""
    made = normalizer("dashscope")
    response = wire_response(dumps(content), status)
    if status == 200:
        with pytest.raises(kind) as caught:
            made.normalize(chat_request(), response)
        error: APIError = caught.value
    else:
        error = made.error(response)
    assert isinstance(error, kind)
    assert (error.code, error.request_id) == (code, REQUEST_ID)
    framed = f"id:1\nevent:error\n:HTTP_STATUS/{status}\ndata:".encode() + dumps(content) + b"\n\n"
    with pytest.raises(kind) as in_stream:
        decode_stream("dashscope", [framed])
    assert in_stream.value.code == code

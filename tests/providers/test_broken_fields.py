"""Answers with one field broken at a time: a response that can be used and stored, or an error of qonduit's."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parts import chat, decode_stream, normalizer, wire_response
from tests.wires import CREATED, REQUEST_ID, WIRES, Wire, dumps

from qonduit import ChatResponse, QonduitError
from qonduit._replay import replay
from qonduit._tool_fragments import marked
from qonduit.embeddings import EmbeddingRequest
from qonduit.model_list import ModelsRequest
from qonduit.request import Request
from qonduit.rerank import RerankRequest
from qonduit.token_count import TokenCountRequest

Path = tuple[str | int, ...]
GONE = object()
BROKEN: dict[str, Any] = {
    "null": None,
    "true": True,
    "negative": -1,
    "a fraction": 0.5,
    "a text": "x",
    "no text": "",
    "huge": 10**400,
    "a list": [1, None, "x"],
    "an empty list": [],
    "an object": {"x": [{}], "raw": 1},
    "an empty object": {},
    "gone": GONE,
}
CALL = {"id": "call_a", "type": "function", "index": 0, "function": {"name": "f", "arguments": '{"a":1}'}}
LOGPROBS = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}
DETAILS = {"cached_tokens": 1, "cache_type": "ephemeral", "cache_creation": {"ephemeral_5m_input_tokens": 1}}
FOUND = {"search_results": [{"index": 1, "title": "t", "url": "https://example.test", "site_name": "s", "icon": ""}]}


def paths(value: Any, place: Path = ()) -> Iterator[Path]:
    """The place of every field and every item."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield (*place, name)
        yield from paths(item, (*place, name))


def broken(value: Any, place: Path, other: Any) -> Any:
    """A copy of `value` with `other` at `place`."""
    changed = copy.deepcopy(value)
    holder = changed
    for name in place[:-1]:
        holder = holder[name]
    if other is GONE:
        del holder[place[-1]]
    else:
        holder[place[-1]] = other
    return changed


def usage(wire: Wire) -> dict[str, Any]:
    return {
        **wire.usage(5, 2),
        "prompt_tokens_details": DETAILS,
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


def answer(wire: Wire) -> dict[str, Any]:
    """A whole answer that has everything."""
    body = wire.answer("hello", reasoning_content="Hm.", tool_calls=[CALL], finish_reason="tool_calls")
    choices = body["output"]["choices"] if wire.native else body["choices"]
    choices[0]["logprobs"] = LOGPROBS
    if wire.native:
        body["output"]["search_info"] = FOUND
    return {**body, "usage": usage(wire)}


def text_format() -> dict[str, Any]:
    """The older form of a native answer."""
    return {"output": {"text": "hello", "finish_reason": "stop"}, "usage": usage(WIRES["dashscope"])}


def events(wire: Wire) -> list[dict[str, Any]]:
    """The events of a stream that has everything: the beginning, a piece, a tool call, the end with the usage."""
    begun = {"role": "assistant", "content": "he", "reasoning_content": "Hm."}
    calling = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    if wire.native:
        said = [(begun, "null"), ({"role": "assistant", "content": [{"text": "llo"}]}, "null"), (calling, "tool_calls")]
        choices = [
            {"index": 0, "message": message, "finish_reason": reason, "logprobs": LOGPROBS} for message, reason in said
        ]
        return [
            {"output": {"choices": [choice], "search_info": FOUND}, "usage": usage(wire), "request_id": REQUEST_ID}
            for choice in choices
        ]
    head = {"id": f"chatcmpl-{REQUEST_ID}", "object": "chat.completion.chunk", "created": CREATED, "model": "m"}
    deltas = [(begun, None), ({"content": "llo"}, None), (calling, None), ({"content": ""}, "tool_calls")]
    choices = [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": LOGPROBS} for delta, reason in deltas]
    chunks: list[dict[str, Any]] = [{**head, "choices": [choice], "usage": None} for choice in choices]
    return [*chunks, {**head, "choices": [], "usage": usage(wire)}]


def usable(response: Any) -> None:
    """A response that can be shown, measured, stored, restored and replayed."""
    assert repr(response)
    assert isinstance(response.raw, (dict, list))
    assert type(response).model_validate_json(response.model_dump_json()) == response
    if isinstance(response, ChatResponse):
        assert isinstance(response.text, str)
        assert marked(response).text == response.text
        assert all(json.loads(chunk.model_dump_json()) for chunk in replay(response, usage=True))
        counts = response.usage.model_dump(exclude={"raw"}).values() if response.usage is not None else ()
        assert all(count is None or (count.__class__ is int and 0 <= count < 1 << 53) for count in counts)


def asked(provider: str, request: Request, body: Any) -> bool:
    """Whether `body` is an answer, which is then a usable one; anything but an error of qonduit's fails."""
    try:
        response = normalizer(provider).normalize(request, wire_response(dumps(body)))
    except QonduitError as error:
        assert len(str(error)) < 1000  # noqa: PT017
        return False
    usable(response)
    return True


def streamed(provider: str, bodies: list[Any]) -> bool:
    """`asked`, streamed."""
    wire = WIRES[provider]
    try:
        decoded = decode_stream(provider, [*map(wire.event, bodies), *([] if wire.native else [b"data: [DONE]\n\n"])])
    except QonduitError as error:
        assert len(str(error)) < 1000  # noqa: PT017
        return False
    for chunk in decoded.chunks:
        assert repr(chunk)
        assert type(chunk).model_validate_json(chunk.model_dump_json()).choices == chunk.choices
    usable(decoded.response.replace(content=tuple(map(dumps, bodies))))
    return True


def identifier(case: tuple[str, Path]) -> str:
    return f"{case[0]}-{'.'.join(map(str, case[1]))}"


ANSWERS = {"openai": answer(WIRES["openai"]), "dashscope": answer(WIRES["dashscope"])}
STREAMS = {"openai": events(WIRES["openai"]), "dashscope": events(WIRES["dashscope"])}


@pytest.mark.F9
@pytest.mark.F25
@pytest.mark.parametrize(
    "case", [(name, place) for name, body in ANSWERS.items() for place in paths(body)], ids=identifier
)
def test_every_field_of_an_answer(case: tuple[str, Path]) -> None:
    """Whatever stands in a field of a whole answer, nothing but qonduit's own errors comes of it."""
    provider, place = case
    assert asked(provider, chat(), ANSWERS[provider])
    for value in BROKEN.values():
        asked(provider, chat(), broken(ANSWERS[provider], place, value))


@pytest.mark.F9
@pytest.mark.F25
@pytest.mark.parametrize(
    "case",
    [(name, place) for name, bodies in STREAMS.items() for place in paths(bodies) if len(place) > 1],
    ids=identifier,
)
def test_every_field_of_a_stream(case: tuple[str, Path]) -> None:
    """Whatever stands in a field of an event, nothing but qonduit's own errors comes of it."""
    provider, place = case
    assert streamed(provider, STREAMS[provider])
    for value in BROKEN.values():
        streamed(provider, broken(STREAMS[provider], place, value))


@pytest.mark.parametrize("place", list(paths(text_format())), ids=lambda place: ".".join(map(str, place)))
def test_every_field_of_the_text_format(place: Path) -> None:
    """The older form of a native answer, too."""
    for value in BROKEN.values():
        body = broken(text_format(), place, value)
        asked("dashscope", chat(), body)
        streamed("dashscope", [body])


OTHERS: dict[str, tuple[str, Request, dict[str, Any]]] = {
    "embeddings-openai": (
        "openai",
        EmbeddingRequest.of({"model": "m", "input": "a"}),
        {
            "data": [{"index": 0, "embedding": [0.5, 1], "object": "embedding"}],
            "usage": {"prompt_tokens": 1},
            "id": "i",
        },
    ),
    "embeddings-dashscope": (
        "dashscope",
        EmbeddingRequest.of({"model": "m", "input": "a"}),
        {"output": {"embeddings": [{"text_index": 0, "embedding": [0.5]}]}, "usage": {"total_tokens": 1}},
    ),
    "rerank-qwen": (
        "qwen",
        RerankRequest.of({"model": "m", "query": "a", "documents": ["a"]}),
        {"results": [{"index": 0, "relevance_score": 0.5}], "usage": {"total_tokens": 1}, "id": "i", "model": "m"},
    ),
    "rerank-dashscope": (
        "dashscope",
        RerankRequest.of({"model": "m", "query": "a", "documents": ["a"]}),
        {"output": {"results": [{"index": 0, "relevance_score": 0.5}]}, "usage": {"total_tokens": 1}},
    ),
    "models-openai": (
        "openai",
        ModelsRequest.of({}),
        {"object": "list", "data": [{"id": "m", "created": 1, "owned_by": "o"}]},
    ),
    "models-dashscope": (
        "dashscope",
        ModelsRequest.of({}),
        {"output": {"models": [{"model": "m", "provider": "p"}], "total": 1, "page_no": 1}, "request_id": "r"},
    ),
    "tokens-qwen": (
        "qwen",
        TokenCountRequest.of({"model": "m", "messages": [{"role": "user", "content": "a"}]}),
        {"output": {"token_ids": [1], "tokens": ["a"]}, "usage": {"input_tokens": 1}, "request_id": "r"},
    ),
    "tokens-dashscope": (
        "dashscope",
        TokenCountRequest.of({"model": "m", "messages": [{"role": "user", "content": "a"}]}),
        {"output": {"token_ids": [1], "tokens": ["a"]}, "usage": {"input_tokens": 1}, "request_id": "r"},
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_field_of_another_operation(name: str) -> None:
    """Embeddings, reranks, lists and counts: an answer or an error of qonduit's, whatever stands in a field."""
    provider, request, body = OTHERS[name]
    assert asked(provider, request, body)
    for place in paths(body):
        for value in BROKEN.values():
            asked(provider, request, broken(body, place, value))


ERRORS = {
    "openai": {"error": {"message": "No.", "type": "t", "param": None, "code": "c"}, "request_id": REQUEST_ID},
    "dashscope": {"code": "InvalidParameter", "message": "No.", "request_id": REQUEST_ID},
}


@pytest.mark.F15
@pytest.mark.parametrize("provider", ERRORS)
@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_every_field_of_an_error(provider: str, status: int) -> None:
    """Whatever stands in a field of an error, it is an error of qonduit's that can be shown."""
    for place in paths(ERRORS[provider]):
        for value in BROKEN.values():
            body = broken(ERRORS[provider], place, value)
            if status == 200:
                asked(provider, chat(), body)
                streamed(provider, [body])
                continue
            error = normalizer(provider).error(wire_response(dumps(body), status))
            assert isinstance(error, QonduitError)
            assert error.status_code == status
            assert repr(error)


LEAVES = st.sampled_from(
    [*(value for value in BROKEN.values() if value is not GONE), "\ud800", 1e300, "finish", [[]], {"a": {}}]
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ANSWERS)), st.data())
def test_several_fields_at_once(provider: str, data: st.DataObject) -> None:
    """Two or three fields broken together come to no other end."""
    body: Any = ANSWERS[provider]
    bodies: Any = STREAMS[provider]
    for _ in range(data.draw(st.integers(2, 3))):
        body = (
            broken(body, data.draw(st.sampled_from(list(paths(body)) or [("x",)])), data.draw(LEAVES)) if body else body
        )
        places = [place for place in paths(bodies) if len(place) > 1]
        bodies = broken(bodies, data.draw(st.sampled_from(places)), data.draw(LEAVES)) if places else bodies
    text = json.dumps(body).encode()
    try:
        response = normalizer(provider).normalize(chat(), wire_response(text))
    except QonduitError:
        pass
    else:
        usable(response)
    wire = WIRES[provider]
    parts = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in bodies]
    try:
        decoded = decode_stream(provider, [*parts, *([] if wire.native else [b"data: [DONE]\n\n"])])
    except QonduitError:
        return
    usable(decoded.response.replace(content=tuple(parts)))

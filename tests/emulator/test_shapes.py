"""The framing of each kind of traffic: keys, order of events, separators, header names.

The shapes are written down here by hand, from what the real service sent. A shape is a type for a leaf, a dict of
shapes for an object, a list with one shape for an array; a literal stands for itself.
"""

import json
import re
from typing import Any

import httpx
import pytest

CHAT = "/compatible-mode/v1/chat/completions"
TEXT = "/api/v1/services/aigc/text-generation/generation"
MULTIMODAL = "/api/v1/services/aigc/multimodal-generation/generation"
EMBEDDINGS = "/api/v1/services/embeddings/text-embedding/text-embedding"
RERANK = "/api/v1/services/rerank/text-rerank/text-rerank"
NATIVE_EVENT = re.compile(rb"id:\d+\nevent:(\w+)\n:HTTP_STATUS/(\d{3})\ndata:(\{[^\n]*\})\n\n")
COMPATIBLE_EVENT = re.compile(rb"data: (\{[^\n]*\}|\[DONE\])\n\n")
PLAIN_HEADERS = {
    "x-request-id",
    "x-dashscope-call-gateway",
    "x-dashscope-finished",
    "x-dashscope-timeout",
    "req-cost-time",
    "req-arrive-time",
    "resp-start-time",
    "content-type",
    "date",
}

DETAILS = {"cached_tokens": int}
USAGE = {"total_tokens": int, "output_tokens": int, "input_tokens": int, "prompt_tokens_details": DETAILS}
THINKING_USAGE = {**USAGE, "output_tokens_details": {"reasoning_tokens": int}}
CALL = {"index": int, "id": str, "type": "function", "function": {"name": str, "arguments": str}}
TOOL = {
    "type": "function",
    "function": {
        "name": "find_train",
        "description": "Find a train",
        "parameters": {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]},
    },
}
FORCED = {"type": "function", "function": {"name": "find_train"}}
LOGPROB = {"token": str, "logprob": float, "bytes": [int]}
SEARCH_RESULT = {"icon": str, "site_name": str, "index": int, "title": str, "url": str}


def fits(value: Any, expected: Any) -> bool:
    """Whether a value has the expected shape, with exactly its keys."""
    if isinstance(expected, dict):
        return (
            isinstance(value, dict)
            and value.keys() == expected.keys()
            and all(fits(value[key], expected[key]) for key in expected)
        )
    if expected == []:
        return bool(value == [])
    if isinstance(expected, list):
        return isinstance(value, list) and bool(value) and all(fits(item, expected[0]) for item in value)
    if isinstance(expected, type):
        return type(value) is expected
    return bool(value == expected)


def check(value: Any, expected: Any) -> None:
    assert fits(value, expected), f"{json.dumps(value, ensure_ascii=False)}\nhas not the shape\n{expected}"


def message_choice(content: Any = str, reason: Any = "stop", **more: Any) -> dict[str, Any]:
    return {"finish_reason": reason, "index": int, "message": {"role": "assistant", "content": content}, **more}


def native(choice: Any, usage: Any = USAGE, **output: Any) -> dict[str, Any]:
    return {"output": {"choices": [choice], **output}, "usage": usage, "request_id": str}


def request(path: str, model: str, content: Any = "1+1?", **parameters: Any) -> tuple[str, Any]:
    options = {"result_format": "message", **parameters}
    return path, {"model": model, "input": {"messages": [{"role": "user", "content": content}]}, "parameters": options}


def prompted(**parameters: Any) -> tuple[str, Any]:
    return TEXT, {"model": "qwen-max", "input": {"prompt": "1+1?"}, "parameters": parameters}


FORCED_CHOICE = message_choice("")
FORCED_CHOICE["message"]["tool_calls"] = [CALL]

NATIVE_PLAIN: dict[str, tuple[tuple[str, Any], Any]] = {
    "text format": (
        prompted(result_format="text"),
        {"output": {"finish_reason": "stop", "text": str}, "usage": USAGE, "request_id": str},
    ),
    "message format": (request(TEXT, "qwen-max"), native(message_choice())),
    "forced tool": (request(TEXT, "qwen-max", tools=[TOOL], tool_choice=FORCED), native(FORCED_CHOICE)),
    "search": (
        request(TEXT, "qwen-plus", enable_search=True, search_options={"enable_source": True}),
        native(
            message_choice(),
            {**USAGE, "plugins": {"search": {"count": 1, "strategy": "turbo"}}},
            search_info={"search_results": [SEARCH_RESULT], "extra_tool_info": []},
        ),
    ),
    "log probabilities": (
        request(TEXT, "qwen-max", logprobs=True, top_logprobs=2),
        native(message_choice(logprobs={"content": [{**LOGPROB, "top_logprobs": [LOGPROB]}]})),
    ),
    "json": (
        request(TEXT, "qwen-max", "in json", response_format={"type": "json_object"}),
        native(message_choice()),
    ),
    "vision": (
        request(MULTIMODAL, "qwen-vl-plus", [{"image": "https://example.com/a.png"}, {"text": "?"}]),
        native(
            message_choice([{"text": str}]),
            {
                "input_tokens": int,
                "output_tokens": int,
                "image_tokens": int,
                "input_tokens_details": {"text_tokens": int, "image_tokens": int},
                "prompt_tokens_details": DETAILS,
            },
        ),
    ),
    "embedding": (
        (EMBEDDINGS, {"model": "text-embedding-v2", "input": {"texts": ["a"]}}),
        {
            "output": {"embeddings": [{"embedding": [float], "text_index": int}]},
            "usage": {"total_tokens": int},
            "request_id": str,
        },
    ),
    "tokenizer": (
        ("/api/v1/tokenizer", {"model": "qwen-max", "input": {"messages": [{"role": "user", "content": "ab"}]}}),
        {"output": {"token_ids": [int], "tokens": [str]}, "usage": {"input_tokens": int}, "request_id": str},
    ),
    "rerank": (
        (
            RERANK,
            {
                "model": "gte-rerank-v2",
                "input": {"query": "a", "documents": ["a b", "c"]},
                "parameters": {"return_documents": True},
            },
        ),
        {
            "output": {"results": [{"document": {"text": str}, "index": int, "relevance_score": float}]},
            "usage": {"total_tokens": int},
            "request_id": str,
        },
    ),
}


@pytest.mark.parametrize("kind", NATIVE_PLAIN)
def test_native_plain(http: httpx.Client, kind: str) -> None:
    """Each kind of plain native answer has its keys and no others, and the vendor's headers."""
    (path, body), expected = NATIVE_PLAIN[kind]
    response = http.post(path, json=body)
    check(response.json(), expected)
    assert response.headers["content-type"] == "application/json"
    assert set(response.headers) == PLAIN_HEADERS | {"content-length"}
    assert response.headers["x-dashscope-finished"] == "true"
    assert response.json()["request_id"] == response.headers["x-request-id"]


def fragment(identity: Any, *, named: bool) -> dict[str, Any]:
    function = {"name": str, "arguments": str} if named else {"arguments": str}
    return {"index": int, "id": identity, "type": "function", "function": function}


def delta_choice(reason: Any, **message: Any) -> dict[str, Any]:
    return {"finish_reason": reason, "index": int, "message": {"role": "assistant", "content": str, **message}}


def native_events(http: httpx.Client, path: str, body: Any) -> list[Any]:
    """The data of all events, after checking that they are framed as they should be, to the last byte."""
    response = http.post(path, json=body, headers={"Accept": "text/event-stream"})
    found = NATIVE_EVENT.findall(response.content)
    assert b"".join(match.group() for match in NATIVE_EVENT.finditer(response.content)) == response.content
    assert {(event, status) for event, status, _ in found} == {(b"result", b"200")}
    assert response.headers["content-type"] == "text/event-stream;charset=UTF-8"
    assert set(response.headers) == PLAIN_HEADERS | {"transfer-encoding"}
    assert response.headers["x-dashscope-finished"] == "false"
    return [json.loads(data) for *_, data in found]


def test_native_text_stream(http: httpx.Client) -> None:
    """In text format each event has text and finish reason, "null" until the last."""
    events = native_events(http, *prompted(result_format="text", incremental_output=True))
    for event in events[:-1]:
        check(event, {"output": {"finish_reason": "null", "text": str}, "usage": USAGE, "request_id": str})
    check(events[-1], {"output": {"finish_reason": "stop", "text": ""}, "usage": USAGE, "request_id": str})


def test_native_message_stream(http: httpx.Client) -> None:
    """In message format each event has one choice; the last has no text, but the reason."""
    events = native_events(http, *request(TEXT, "qwen-max", incremental_output=True))
    for event in events[:-1]:
        check(event, native(delta_choice("null")))
    check(events[-1], native(delta_choice("stop", content="")))


def test_native_thinking_stream(http: httpx.Client) -> None:
    """Each event has both texts, one of them empty; reasoning tokens grow beside the others."""
    events = native_events(
        http, *request(TEXT, "qwen-plus", incremental_output=True, enable_thinking=True, thinking_budget=10)
    )
    for event in events:
        check(event, native(delta_choice(str, reasoning_content=str), THINKING_USAGE))
    assert events[-1]["usage"]["output_tokens_details"]["reasoning_tokens"] == 10


def test_native_tool_stream(http: httpx.Client) -> None:
    """The first event names the call; the later ones have the id "" and arguments only, the last the reason."""
    body = request(TEXT, "qwen-plus", "train to Hangzhou", tools=[TOOL], incremental_output=True)
    first, *middle, last = native_events(http, *body)
    check(first, native(delta_choice("null", tool_calls=[fragment(str, named=True)])))
    for event in middle:
        check(event, native(delta_choice("null", tool_calls=[fragment("", named=False)])))
    check(last, native(delta_choice("tool_calls", tool_calls=[fragment("", named=False)])))


def test_native_errors(http: httpx.Client) -> None:
    """An error is three texts; in a stream an event of its own kind, its status in the comment; 401 is plain."""
    path, body = request(TEXT, "qwen-max", temperature=5)
    plain = http.post(path, json=body)
    check(plain.json(), {"code": "InvalidParameter", "message": str, "request_id": str})
    streamed = http.post(path, json=body, headers={"Accept": "text/event-stream"})
    assert streamed.status_code == 200
    ((event, status, data),) = NATIVE_EVENT.findall(streamed.content)
    assert (event, status) == (b"error", b"400")
    check(json.loads(data), {"code": "InvalidParameter", "message": str, "request_id": str})
    headers = {"Authorization": "Bearer sk-no", "X-DashScope-SSE": "enable"}
    refused = http.post(path, json=body | {"parameters": {}}, headers=headers)
    assert refused.status_code == 401
    check(refused.json(), {"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": str})


def test_temporary_token(http: httpx.Client) -> None:
    """A temporary key's answer is its two fields alone."""
    check(http.post("/api/v1/tokens").json(), {"token": str, "expires_at": int})


COMPATIBLE_USAGE = {
    "prompt_tokens": int,
    "completion_tokens": int,
    "total_tokens": int,
    "prompt_tokens_details": DETAILS,
}


def chat(**options: Any) -> Any:
    return {"model": "qwen3-max", "messages": [{"role": "user", "content": "train to Hangzhou"}], **options}


def chunk(choices: Any, usage: Any = None) -> dict[str, Any]:
    return {
        "choices": choices,
        "object": "chat.completion.chunk",
        "usage": usage,
        "created": int,
        "system_fingerprint": None,
        "model": "qwen3-max",
        "id": str,
    }


def compatible_choice(delta: Any, reason: Any = None) -> list[Any]:
    return [{"delta": delta, "finish_reason": reason, "index": 0, "logprobs": None}]


def compatible_events(http: httpx.Client, **options: Any) -> list[Any]:
    response = http.post(CHAT, json=chat(stream=True, **options))
    found = COMPATIBLE_EVENT.findall(response.content)
    assert b"".join(b"data: %s\n\n" % data for data in found) == response.content
    assert response.headers["content-type"] == "text/event-stream;charset=UTF-8"
    assert found.pop() == b"[DONE]"
    return [json.loads(data) for data in found]


def test_compatible_plain(http: httpx.Client) -> None:
    """A plain chat completion."""
    response = http.post(CHAT, json=chat())
    expected = {**chunk(None), "object": "chat.completion", "usage": COMPATIBLE_USAGE}
    expected["choices"] = [
        {
            "message": {"role": "assistant", "content": str},
            "finish_reason": "stop",
            "index": 0,
            "logprobs": None,
        }
    ]
    check(response.json(), expected)
    assert set(response.headers) == PLAIN_HEADERS | {"content-length"}


def test_compatible_text_stream(http: httpx.Client) -> None:
    """Role, text, reason, usage, in this order."""
    first, *middle, last, usage = compatible_events(http, stream_options={"include_usage": True})
    check(first, chunk(compatible_choice({"content": "", "role": "assistant"})))
    for event in middle:
        check(event, chunk(compatible_choice({"content": str})))
    check(last, chunk(compatible_choice({"content": ""}, "stop")))
    assert usage["choices"] == []
    check(usage["usage"], COMPATIBLE_USAGE)


def test_compatible_thinking_stream(http: httpx.Client) -> None:
    """Null where native has empty text: content while it thinks, reasoning afterwards."""
    events = compatible_events(http, enable_thinking=True)
    check(events[0], chunk(compatible_choice({"content": None, "role": "assistant", "reasoning_content": ""})))
    kinds = []
    for event in events[1:-1]:
        delta = event["choices"][0]["delta"]
        kinds.append(delta["content"] is None)
        check(delta, {"content": type(delta["content"]), "reasoning_content": type(delta["reasoning_content"])})
        assert (delta["content"] is None) != (delta["reasoning_content"] is None)
    assert kinds == sorted(kinds, reverse=True)
    check(events[-1], chunk(compatible_choice({"content": "", "reasoning_content": None}, "stop")))


def test_compatible_tool_stream(http: httpx.Client) -> None:
    """Name first, arguments with the id "", a bare choice, an empty delta, in this order."""
    first, *middle, bare, last = compatible_events(http, tools=[TOOL])
    opening = {"content": None, "tool_calls": [fragment(str, named=True)], "role": "assistant"}
    check(first, chunk(compatible_choice(opening)))
    for event in middle:
        check(event, chunk(compatible_choice({"content": None, "tool_calls": [fragment("", named=False)]})))
    check(bare, chunk([{"delta": {"tool_calls": [fragment("", named=False)]}, "index": 0}]))
    check(last, chunk(compatible_choice({}, "tool_calls")))


def test_compatible_error(http: httpx.Client) -> None:
    """An error object with two ids beside it; the wrong key's message ends with a space."""
    response = http.post(CHAT, json=chat(), headers={"Authorization": "Bearer sk-no"})
    error = {
        "message": "Incorrect API key provided. ",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
    check(response.json(), {"error": error, "id": str, "request_id": str})
    assert response.json()["id"] == "chatcmpl-" + response.headers["x-request-id"]


def test_compatible_embedding_and_rerank(http: httpx.Client) -> None:
    """Lists with an id that OpenAI has not."""
    body = {"model": "text-embedding-v4", "input": ["a"], "dimensions": 64, "encoding_format": "float"}
    check(
        http.post("/compatible-mode/v1/embeddings", json=body).json(),
        {
            "data": [{"embedding": [float], "index": int, "object": "embedding"}],
            "model": "text-embedding-v4",
            "object": "list",
            "usage": {"prompt_tokens": int, "total_tokens": int},
            "id": str,
        },
    )
    body = {"model": "qwen3-rerank", "query": "a", "documents": ["a", "b"]}
    check(
        http.post("/compatible-api/v1/reranks", json=body).json(),
        {
            "object": "list",
            "results": [{"index": int, "relevance_score": float}],
            "model": "qwen3-rerank",
            "id": str,
            "usage": {"total_tokens": int},
        },
    )

"""What the servers of the three providers say, for the conformance cases. The bytes are of our own making."""

from __future__ import annotations

from typing import Any

from tests.wires import DATE, REQUEST_ID, WIRES, Wire, dumps

from qonduit.embeddings import EmbeddingRequest
from qonduit.errors import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    InternalServerError,
    NotFoundError,
    QuotaExhaustedError,
    RateLimitError,
)
from qonduit.model_list import ModelsRequest
from qonduit.parts import Resend
from qonduit.rerank import RerankRequest
from qonduit.testing import Answer, Expected, ProviderSuite, Refusal, StreamedAnswer
from qonduit.token_count import TokenCountRequest
from qonduit_dashscope import DashScopeProvider
from qonduit_openai import OpenAIProvider
from qonduit_qwen import QwenProvider

HEADERS = {"x-request-id": REQUEST_ID, "date": DATE}
EMBED = EmbeddingRequest.of({"model": "text-embedding-v4", "input": ["水", "fire"]})
RERANK = RerankRequest.of({"model": "gte-rerank-v2", "query": "水", "documents": ["fire", "water"]})
MODELS = ModelsRequest.of({})
COUNT = TokenCountRequest.of({"model": "qwen-plus", "messages": [{"role": "user", "content": "水"}]})
TOOLS = {
    "tools": [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
        for name in ("get_weather", "get_time")
    ]
}

PLAIN: Expected = {"text": "你好, world", "finish_reason": "stop", "usage": (5, 2), "request_id": REQUEST_ID}
CALLS: Expected = {
    "text": "",
    "tool_calls": [("get_weather", {"city": "北京"}), ("get_time", {})],
    "finish_reason": "tool_calls",
}
FORCED: Expected = {**CALLS, "tool_calls": CALLS["tool_calls"][:1]}
THOUGHT: Expected = {"text": "4", "reasoning": "两个 2 相加。", "finish_reason": "stop"}
TWO: Expected = {"texts": ["one", "二"], "finish_reason": "stop"}
CUT: Expected = {"text": "once upon", "finish_reason": "length"}


def call(index: int, name: str | None, arguments: str, *, identifier: str | None = None) -> dict[str, Any]:
    """A tool call, or a fragment of one."""
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"index": index, "id": identifier or "", "type": "function", "function": function}


WHOLE_CALLS = [
    call(0, "get_weather", '{"city": "北京"}', identifier="call_a"),
    call(1, "get_time", "{}", identifier="call_b"),
]
PIECES_OF_CALLS = [
    [call(0, "get_weather", "", identifier="call_a")],
    [call(0, None, '{"city": ')],
    [call(0, None, '"北京"}')],
    [call(1, "get_time", "{}", identifier="call_b")],
]


def answer(name: str, body: Any, expect: Expected, request: Any = None, **headers: str) -> Answer:
    """An answer with the usual headers."""
    return Answer(name, dumps(body), expect=expect, request=request or {}, headers={**HEADERS, **headers})


def chat_answers(wire: Wire) -> list[Answer]:
    """Chats that every wire has."""
    two = wire.answer("one")
    choices = two["output"]["choices"] if wire.native else two["choices"]
    choices.append({"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "二"}})
    return [
        answer("plain", wire.answer("你好, world"), PLAIN),
        answer("tools", wire.answer("", finish_reason="tool_calls", tool_calls=WHOLE_CALLS), CALLS, TOOLS),
        answer("a forced call", wire.answer("", finish_reason="stop", tool_calls=WHOLE_CALLS[:1]), FORCED, TOOLS),
        answer("two choices", two, TWO, {"n": 2}),
        answer("cut by its limit", wire.answer("once upon", finish_reason="length"), CUT, {"max_tokens": 2}),
    ]


def thought(wire: Wire) -> Answer:
    """An answer with its reasoning."""
    return answer("reasoning", wire.answer("4", reasoning_content="两个 2 相加。"), THOUGHT)


# OpenAI's wire


def compatible_events(*deltas: dict[str, Any], finish_reason: str = "stop", index: int = 0) -> list[bytes]:
    """Events of one choice, without the usage and the end mark."""
    wire = WIRES["qwen"]
    ended = [({}, finish_reason)]
    return [
        wire.event({**_HEAD, "choices": [{"index": index, "delta": delta, "finish_reason": reason}], "usage": None})
        for delta, reason in [*((delta, None) for delta in deltas), *ended]
    ]


_HEAD = {"id": f"chatcmpl-{REQUEST_ID}", "object": "chat.completion.chunk", "created": 1772712000, "model": "m"}


def compatible_stream(name: str, events: list[bytes], expect: Expected, request: Any = None) -> StreamedAnswer:
    """A stream of OpenAI's wire: `events`, the usage, the end mark."""
    wire = WIRES["qwen"]
    end = [wire.event({**_HEAD, "choices": [], "usage": wire.usage(5, 2)}), b"data: [DONE]\n\n"]
    usage: Expected = {"usage": (5, 2)}
    return StreamedAnswer(
        name, b"".join([*events, *end]), expect={**expect, **usage}, request=request or {}, headers=HEADERS
    )


def compatible_streams() -> list[StreamedAnswer]:
    """The streams of OpenAI's wire."""
    texts = [{"role": "assistant", "content": ""}, {"content": "你"}, {"content": "好, "}, {"content": "world"}]
    calls = [{"tool_calls": piece} for piece in PIECES_OF_CALLS]
    return [
        compatible_stream("plain", compatible_events(*texts), PLAIN),
        compatible_stream("tools", compatible_events(*calls, finish_reason="tool_calls"), CALLS, TOOLS),
        compatible_stream("a forced call", compatible_events(*calls[:3]), FORCED, TOOLS),
        compatible_stream(
            "two choices",
            [*compatible_events({"content": "one"}), *compatible_events({"content": "二"}, index=1)],
            TWO,
            {"n": 2},
        ),
        compatible_stream("cut by its limit", compatible_events({"content": "once upon"}, finish_reason="length"), CUT),
    ]


def vectors(**fields: Any) -> Answer:
    """Embeddings on OpenAI's wire, in another order than the texts."""
    rows = [{"object": "embedding", "index": index, "embedding": [index + 0.5, 1.0]} for index in (1, 0)]
    body = {"object": "list", "data": rows, "model": "text-embedding-v4", **fields}
    expect: Expected = {"vectors": [[0.5, 1.0], [1.5, 1.0]], "usage": (3, None), "request_id": REQUEST_ID}
    return answer("vectors", {**body, "usage": {"prompt_tokens": 3, "total_tokens": 3}}, expect, EMBED)


def listed() -> Answer:
    """A list of models on OpenAI's wire."""
    rows = [{"id": name, "object": "model", "created": 1, "owned_by": "acme"} for name in ("m-1", "m-2")]
    return answer("models", {"object": "list", "data": rows}, {"models": ["m-1", "m-2"]}, MODELS)


OPENAI = ProviderSuite(
    OpenAIProvider(),
    name="openai",
    base_url="https://api.openai.com/v1",
    model="gpt-4.1",
    models=dict.fromkeys(("reasoning", "reasoning_effort", "reasoning_switch"), "gpt-5.6-sol"),
    answers=(*chat_answers(WIRES["openai"]), vectors(), listed()),
    streams=tuple(compatible_streams()),
    refusals=(
        Refusal(
            "no such key",
            401,
            dumps({"error": {"message": "Incorrect key.", "type": "invalid_request_error", "code": "invalid_api_key"}}),
            error=AuthenticationError,
            retryable=False,
            code="invalid_api_key",
            headers=HEADERS,
        ),
        Refusal(
            "too fast",
            429,
            dumps({"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}),
            error=RateLimitError,
            retryable=True,
        ),
        Refusal(
            "out of credit",
            429,
            dumps({"error": {"message": "You are out.", "type": "insufficient_quota", "code": "insufficient_quota"}}),
            error=QuotaExhaustedError,
            retryable=False,
        ),
        Refusal(
            "an error in an answer's place",
            200,
            dumps({"error": {"message": "It broke.", "code": "server_error"}}),
            error=InternalServerError,
            retryable=True,
        ),
        Refusal(
            "an error in a stream",
            500,
            b"".join(compatible_events({"content": "hel"})[:1])
            + b'data: {"error": {"message": "It broke.", "type": "server_error", "code": "server_error"}}\n\n',
            error=InternalServerError,
            in_stream=True,
        ),
    ),
)

QWEN_WIRE = WIRES["qwen"]
QWEN = ProviderSuite(
    QwenProvider(),
    name="qwen",
    base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
    model="qwen-plus",
    models={"embeddings": "text-embedding-v4", "rerank": "qwen3-rerank"},
    settings={"workspace": "ws-1"},
    answers=(
        *chat_answers(QWEN_WIRE),
        thought(QWEN_WIRE),
        answer(
            "cut by the server",
            QWEN_WIRE.answer("once upon"),
            {**CUT, "complete": False},
            **{"x-dashscope-partialresponse": "true"},
        ),
        vectors(),
        listed(),
        answer(
            "ranking",
            {
                "object": "list",
                "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
                "usage": {"total_tokens": 7},
                "model": "qwen3-rerank",
            },
            {"ranking": [1, 0], "usage": (7, None)},
            RERANK.replace(model="qwen3-rerank"),
        ),
        answer(
            "tokens",
            {
                "output": {"token_ids": [1, 2], "tokens": ["水", "!"]},
                "usage": {"input_tokens": 2},
                "request_id": REQUEST_ID,
            },
            {"input_tokens": 2, "request_id": REQUEST_ID},
            COUNT,
        ),
    ),
    streams=(
        *compatible_streams(),
        compatible_stream(
            "reasoning",
            compatible_events(
                {"role": "assistant", "content": None, "reasoning_content": "两个 2 "},
                {"content": None, "reasoning_content": "相加。"},
                {"content": "4", "reasoning_content": None},
            ),
            THOUGHT,
        ),
    ),
    refusals=(
        Refusal(
            "no such key",
            401,
            dumps(QWEN_WIRE.error_body("invalid_api_key")),
            error=AuthenticationError,
            retryable=False,
            code="invalid_api_key",
            headers=HEADERS,
        ),
        Refusal("too fast", 429, dumps(QWEN_WIRE.error_body("limit_requests")), error=RateLimitError, retryable=True),
        Refusal(
            "the free quota is gone",
            429,
            dumps(QWEN_WIRE.error_body("insufficient_quota", "Free allocated quota exceeded.")),
            error=QuotaExhaustedError,
            retryable=False,
        ),
        Refusal(
            "inspected",
            400,
            dumps(QWEN_WIRE.error_body("data_inspection_failed")),
            error=ContentFilterError,
            retryable=False,
        ),
        Refusal(
            "a native error",
            404,
            dumps(WIRES["dashscope"].error_body("ModelNotFound")),
            error=NotFoundError,
            code="ModelNotFound",
        ),
        Refusal(
            "an error in a stream",
            400,
            QWEN_WIRE.piece("hel") + QWEN_WIRE.stream_error(400, "data_inspection_failed"),
            error=ContentFilterError,
            in_stream=True,
        ),
    ),
)

# The native wire

NATIVE = WIRES["dashscope"]
FOUND = [{"index": 1, "title": "Lakes", "url": "https://lakes.example/", "site_name": "Lakes", "icon": ""}]
SEARCHED: Expected = {"text": "Deep[1].", "search": ["https://lakes.example/"], "finish_reason": "stop"}


def native_events(*messages: dict[str, Any], finish_reason: str = "stop", **output: Any) -> bytes:
    """Events of one choice; the last one says how it ended, and `output` stands in the first."""
    last = len(messages)
    events = []
    for number, message in enumerate(messages, start=1):
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "", **message},
            "finish_reason": finish_reason if number == last else "null",
        }
        said = {"choices": [choice], **(output if number == 1 else {})}
        body = {"output": said, "usage": NATIVE.usage(5, min(number, 2)), "request_id": REQUEST_ID}
        events.append(NATIVE.event(body, number=number))
    return b"".join(events)


def native_stream(name: str, content: bytes, expect: Expected, request: Any = None) -> StreamedAnswer:
    """A stream of the native wire."""
    return StreamedAnswer(name, content, expect=expect, request=request or {}, headers=HEADERS)


def native_two() -> bytes:
    """Two choices, event by event in turn."""
    events = []
    for number, (index, text, reason) in enumerate(
        [(0, "one", "null"), (1, "二", "null"), (0, "", "stop"), (1, "", "stop")], start=1
    ):
        choice = {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
        body = {"output": {"choices": [choice]}, "usage": NATIVE.usage(5, 2), "request_id": REQUEST_ID}
        events.append(NATIVE.event(body, number=number))
    return b"".join(events)


def native(output: Any, usage: Any) -> dict[str, Any]:
    """The body of a native answer."""
    return {"output": output, "usage": usage, "request_id": REQUEST_ID}


_searched = NATIVE.answer("Deep[1].")
_searched["output"]["search_info"] = {"search_results": FOUND}

DASHSCOPE = ProviderSuite(
    DashScopeProvider(),
    name="dashscope",
    base_url="https://dashscope.aliyuncs.com/api/v1",
    model="qwen-plus",
    models={"embeddings": "text-embedding-v4", "rerank": "gte-rerank-v2", "cache_control": "qwen3-vl-plus"},
    settings={"workspace": "ws-1"},
    answers=(
        *chat_answers(NATIVE),
        thought(NATIVE),
        answer("search", _searched, SEARCHED, {"search": True}),
        answer("the older form", native({"text": "你好, world", "finish_reason": "stop"}, NATIVE.usage(5, 2)), PLAIN),
        answer(
            "vectors",
            native(
                {"embeddings": [{"text_index": index, "embedding": [index + 0.5, 1.0]} for index in (1, 0)]},
                {"total_tokens": 3},
            ),
            {"vectors": [[0.5, 1.0], [1.5, 1.0]], "usage": (3, None), "request_id": REQUEST_ID},
            EMBED,
        ),
        answer(
            "ranking",
            native(
                {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]},
                {"total_tokens": 7},
            ),
            {"ranking": [1, 0], "usage": (7, None)},
            RERANK,
        ),
        answer(
            "models",
            native({"total": 2, "page_no": 1, "models": [{"model": "m-1"}, {"model": "m-2", "provider": "acme"}]}, {}),
            {"models": ["m-1", "m-2"]},
            MODELS,
        ),
        answer(
            "tokens",
            native({"token_ids": [1, 2], "tokens": ["水", "!"]}, {"input_tokens": 2}),
            {"input_tokens": 2, "request_id": REQUEST_ID},
            COUNT,
        ),
    ),
    streams=(
        native_stream(
            "plain", native_events({"content": "你"}, {"content": "好, "}, {"content": "world"}, {"content": ""}), PLAIN
        ),
        native_stream(
            "tools",
            native_events(*({"tool_calls": piece} for piece in PIECES_OF_CALLS), {}, finish_reason="tool_calls"),
            CALLS,
            TOOLS,
        ),
        native_stream(
            "a forced call", native_events(*({"tool_calls": piece} for piece in PIECES_OF_CALLS[:3])), FORCED, TOOLS
        ),
        native_stream("two choices", native_two(), TWO, {"n": 2}),
        native_stream("cut by its limit", native_events({"content": "once upon"}, {}, finish_reason="length"), CUT),
        native_stream(
            "reasoning",
            native_events({"reasoning_content": "两个 2 "}, {"reasoning_content": "相加。"}, {"content": "4"}, {}),
            THOUGHT,
        ),
        native_stream(
            "search",
            native_events({"content": "Deep"}, {"content": "[1]."}, {}, search_info={"search_results": FOUND}),
            SEARCHED,
            {"search": True},
        ),
        native_stream(
            "all text so far in each event",
            native_events({"content": "你"}, {"content": "你好, "}, {"content": "你好, world"}),
            PLAIN,
            {"extra_body": {"incremental_output": False}},
        ),
    ),
    refusals=(
        Refusal(
            "no such key",
            401,
            dumps(NATIVE.error_body("InvalidApiKey")),
            error=AuthenticationError,
            retryable=False,
            code="InvalidApiKey",
        ),
        Refusal(
            "too fast", 429, dumps(NATIVE.error_body("Throttling.RateQuota")), error=RateLimitError, retryable=True
        ),
        Refusal("owing", 400, dumps(NATIVE.error_body("Arrearage")), error=QuotaExhaustedError, retryable=False),
        Refusal(
            "a name that misleads",
            400,
            dumps(NATIVE.error_body("InternalError.Algo.InvalidParameter")),
            error=BadRequestError,
            retryable=False,
        ),
        Refusal(
            "on the other path",
            400,
            dumps(NATIVE.error_body("InvalidParameter", "url error, please check url!")),
            error=Resend,
        ),
        Refusal(
            "an error in an answer's place",
            200,
            dumps(NATIVE.error_body("InternalError")),
            error=InternalServerError,
            retryable=True,
        ),
        Refusal(
            "an error in a stream",
            429,
            NATIVE.piece("hel") + NATIVE.stream_error(429, "Throttling.RateQuota"),
            error=RateLimitError,
            in_stream=True,
        ),
        Refusal(
            "on the other path, in a stream",
            None,
            NATIVE.stream_error(400, "InvalidParameter", "url error, please check url!"),
            error=Resend,
            in_stream=True,
        ),
    ),
)

SUITES = {"openai": OPENAI, "qwen": QWEN, "dashscope": DASHSCOPE}

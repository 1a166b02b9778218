"""The bytes the benchmark's server answers with, made once, and what a caller must read out of them.

Shapes follow captures of both wires: a chat completion of about 1 KB, and a stream of 500 events of about 300
bytes, each event in an HTTP chunk of its own.
"""

import json
from typing import Any

EVENTS_PER_STREAM = 500
MODEL = "qwen-plus"
TEMPERATURE = 0.7
STREAM_PIECE = " 一路 onward"
STREAM_CHARACTERS = len(STREAM_PIECE) * (EVENTS_PER_STREAM - 1)  # the last event carries the stop reason and no text
ANSWER = (
    "A benchmark answers one question only: what does this code cost here, today, beside that code? "
    "基准测试只回答一个问题：这段代码此时此地的开销是多少。"
) * 3

_REQUEST_ID = "d2d6aab7-cbca-970f-8aa6-7d58c9724733"
_COMMON_HEADERS = (
    f"x-request-id: {_REQUEST_ID}\r\n"
    "x-envoy-upstream-service-time: 362\r\n"
    "date: Sat, 21 Nov 2026 09:00:00 GMT\r\n"
    "server: istio-envoy\r\n"
)


def _json_bytes(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _unary(body: dict[str, Any]) -> bytes:
    content = _json_bytes(body)
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n{_COMMON_HEADERS}\r\n"
    )
    return head.encode() + content


def _stream(events: list[bytes]) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream;charset=UTF-8\r\n"
        f"transfer-encoding: chunked\r\n{_COMMON_HEADERS}\r\n"
    )
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    return head.encode() + b"".join(chunks) + b"0\r\n\r\n"


def _openai_usage(output_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": 16,
        "completion_tokens": output_tokens,
        "total_tokens": 16 + output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _openai_completion() -> dict[str, Any]:
    message = {"role": "assistant", "content": ANSWER}
    return {
        "choices": [{"message": message, "finish_reason": "stop", "index": 0, "logprobs": None}],
        "object": "chat.completion",
        "usage": _openai_usage(160),
        "created": 1770764906,
        "system_fingerprint": None,
        "model": MODEL,
        "id": f"chatcmpl-{_REQUEST_ID}",
    }


def _openai_event(number: int) -> bytes:
    last = number == EVENTS_PER_STREAM
    delta = {"content": "" if last else STREAM_PIECE}
    if number == 1:
        delta["role"] = "assistant"
    chunk = {
        "choices": [{"delta": delta, "finish_reason": "stop" if last else None, "index": 0, "logprobs": None}],
        "object": "chat.completion.chunk",
        "usage": _openai_usage(number) if last else None,
        "created": 1770764906,
        "system_fingerprint": None,
        "model": MODEL,
        "id": f"chatcmpl-{_REQUEST_ID}",
    }
    return b"data: %b\n\n" % _json_bytes(chunk)


def _native_usage(output_tokens: int) -> dict[str, Any]:
    return {
        "total_tokens": 16 + output_tokens,
        "output_tokens": output_tokens,
        "input_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _native_body(content: str, finish_reason: str, output_tokens: int) -> dict[str, Any]:
    message = {"content": content, "role": "assistant"}
    return {
        "output": {"choices": [{"message": message, "index": 0, "finish_reason": finish_reason}]},
        "usage": _native_usage(output_tokens),
        "request_id": _REQUEST_ID,
    }


def _native_event(number: int) -> bytes:
    last = number == EVENTS_PER_STREAM
    body = _native_body("" if last else STREAM_PIECE, "stop" if last else "null", number)
    return b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:%b\n\n" % (number, _json_bytes(body))


_EVENT_NUMBERS = range(1, EVENTS_PER_STREAM + 1)

OPENAI_UNARY = _unary(_openai_completion())
OPENAI_STREAM = _stream([*map(_openai_event, _EVENT_NUMBERS), b"data: [DONE]\n\n"])
NATIVE_UNARY = _unary(_native_body(ANSWER, "stop", 160))
NATIVE_STREAM = _stream([*map(_native_event, _EVENT_NUMBERS)])

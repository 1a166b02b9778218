"""What a provider says on each of the two wires: answers, streams and errors, in the words of that wire.

The same arguments mean the same answer, so a test can ask whether it comes out the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.servers import Reply, json_response, sse_response

REQUEST_ID = "6f1c2a34-0000-4000-8000-00000000beef"
DATE = "Thu, 05 Mar 2026 12:00:00 GMT"
CREATED = 1772712000
"""`DATE` in unix seconds."""
HEADERS = {"x_request_id": REQUEST_ID, "date": DATE}


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Wire:
    """One wire. `prefix` is what a base URL of its provider ends with."""

    native: bool
    prefix: str

    # Bodies

    def usage(self, input_tokens: int, output_tokens: int) -> dict[str, Any]:
        """The usage object."""
        names = ("input_tokens", "output_tokens") if self.native else ("prompt_tokens", "completion_tokens")
        counts = (input_tokens, output_tokens)
        return {**dict(zip(names, counts, strict=True)), "total_tokens": input_tokens + output_tokens}

    def answer(
        self, text: str = "hello", *, model: str = "qwen-plus", finish_reason: str = "stop", **message: Any
    ) -> dict[str, Any]:
        """The body of a plain answer; `message` adds fields to its message. Usage: 5 in, 2 out."""
        choice = {
            "finish_reason": finish_reason,
            "index": 0,
            "message": {"role": "assistant", "content": text, **message},
        }
        if self.native:
            return {"output": {"choices": [choice]}, "usage": self.usage(5, 2), "request_id": REQUEST_ID}
        return {
            "choices": [choice],
            "object": "chat.completion",
            "usage": self.usage(5, 2),
            "created": CREATED,
            "model": model,
            "id": f"chatcmpl-{REQUEST_ID}",
        }

    def error(self, status: int, code: str, message: str = "It went wrong.") -> bytes:
        """A whole error response."""
        return json_response(self.error_body(code, message), status, **HEADERS)

    def error_body(self, code: str, message: str = "It went wrong.") -> dict[str, Any]:
        """The body of an error."""
        if self.native:
            return {"code": code, "message": message, "request_id": REQUEST_ID}
        return {
            "error": {"message": message, "type": code, "param": None, "code": code},
            "request_id": REQUEST_ID,
        }

    # Streams

    def event(self, body: Any, *, number: int = 1, kind: str = "result", status: int = 200) -> bytes:
        """One event with the framing of the wire."""
        if self.native:
            return f"id:{number}\nevent:{kind}\n:HTTP_STATUS/{status}\ndata:".encode() + dumps(body) + b"\n\n"
        return b"data: " + dumps(body) + b"\n\n"

    def piece(self, content: str, *, model: str = "qwen-plus", output_tokens: int = 1) -> bytes:
        """One event that adds `content` to choice 0."""
        if self.native:
            return self.event(self._native_chunk(content, "null", output_tokens))
        return self.event(self._compatible_chunk({"content": content}, None, model))

    def events(
        self, pieces: Sequence[str] = ("hel", "lo"), *, model: str = "qwen-plus", finish_reason: str = "stop"
    ) -> list[bytes]:
        """All events of a streamed answer. Usage: 5 in, 2 out."""
        if self.native:
            texts = [*pieces, ""]
            return [
                self.event(
                    self._native_chunk(text, finish_reason if number == len(texts) else "null", min(number, 2)),
                    number=number,
                )
                for number, text in enumerate(texts, 1)
            ]
        deltas: list[tuple[dict[str, Any], str | None]] = [({"content": "", "role": "assistant"}, None)]
        deltas += [({"content": text}, None) for text in pieces]
        deltas.append(({"content": ""}, finish_reason))
        chunks = [self._compatible_chunk(delta, reason, model) for delta, reason in deltas]
        usage = {**chunks[0], "choices": [], "usage": self.usage(5, 2)}
        return [*(self.event(chunk) for chunk in (*chunks, usage)), b"data: [DONE]\n\n"]

    def stream_error(self, status: int, code: str, message: str = "It went wrong.") -> bytes:
        """An error event inside a stream."""
        return self.event(self.error_body(code, message), kind="error", status=status)

    # Replies of a ScriptedServer

    def plain_reply(self, text: str = "hello", **fields: Any) -> bytes:
        """A whole plain response."""
        return json_response(self.answer(text, **fields), **HEADERS)

    def stream_reply(self, pieces: Sequence[str] = ("hel", "lo"), **options: Any) -> Reply:
        """A whole streamed response."""
        return sse_response(self.events(pieces, **options), **HEADERS)

    def _native_chunk(self, content: str, finish_reason: str, output_tokens: int) -> dict[str, Any]:
        message = {"role": "assistant", "content": content}
        return {
            "output": {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]},
            "usage": self.usage(5, output_tokens),
            "request_id": REQUEST_ID,
        }

    def _compatible_chunk(self, delta: dict[str, Any], finish_reason: str | None, model: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{REQUEST_ID}",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}],
            "usage": None,
        }


WIRES: dict[str, Wire] = {
    "openai": Wire(native=False, prefix="/v1"),
    "qwen": Wire(native=False, prefix="/compatible-mode/v1"),
    "dashscope": Wire(native=True, prefix="/api/v1"),
}
"""The wire of each provider."""

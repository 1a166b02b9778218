"""What the two wires have in common: their shape as seen by the server, and how JSON becomes bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from qonduit_emulator._answer import Answer
from qonduit_emulator._exchange import ChatRequest, Delta
from qonduit_emulator._models import Model
from qonduit_emulator._refusal import Refusal


class Framing(Protocol):
    """Frames the answer to one request."""

    def plain(self, answer: Answer) -> bytes:
        """The body of an answer that is not streamed."""
        ...

    def delta(self, delta: Delta) -> bytes:
        """The events for one delta; may be empty, when the wire joins it to the next one."""
        ...

    def end(self) -> bytes:
        """What closes a complete stream; empty when the connection's end does."""
        ...

    def error(self, refusal: Refusal) -> bytes:
        """The event for an error in mid-stream; nothing follows it."""
        ...


class Wire(Protocol):
    """Reads requests and frames errors of one wire."""

    @property
    def name(self) -> Literal["native", "compatible"]:
        """Which wire."""
        ...

    def parse(self, body: bytes, headers: Mapping[str, str]) -> ChatRequest:
        """Read a request; header names are lower case. Raises `Refusal` for the wrong shape."""
        ...

    def framing(self, request: ChatRequest, model: Model, request_id: str, created: int) -> Framing:
        """The framing of an admitted request's answer; `created` is in unix seconds."""
        ...

    def error(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        """Status and body of an error answer."""
        ...

    def error_stream(self, refusal: Refusal, request_id: str, headers: Mapping[str, str]) -> bytes | None:
        """The whole stream that carries an error inside HTTP 200, or `None` where a plain error is due."""
        ...


def dump(value: Any) -> bytes:
    """Compact JSON in UTF-8; a lone surrogate, which UTF-8 has no bytes for, stays the escape it came as."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def log_probabilities(tokens: Iterable[str], top_logprobs: int) -> dict[str, Any]:
    """The log probabilities of tokens: this server is always certain, so each is 0.0 and has no rival.

    Source: shape from captured traffic, 2025-07-07; both wires share it.
    """
    content = []
    for token in tokens:
        entry = {"token": token, "logprob": 0.0, "bytes": list(token.encode("utf-8", "replace"))}
        content.append({**entry, "top_logprobs": [entry] if top_logprobs else []})
    return {"content": content}

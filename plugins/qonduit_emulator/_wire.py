"""What the two wires have in common: their shape as seen by the server, and how JSON becomes bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import log
from typing import Any, Literal, Protocol

from qonduit_emulator._answer import Answer
from qonduit_emulator._exchange import ChatRequest, Delta, Usage
from qonduit_emulator._models import Model
from qonduit_emulator._refusal import Refusal
from qonduit_emulator._tokens import token_id


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


def build_cache_details(usage: Usage) -> dict[str, Any]:
    """The cache's part of the usage, which both wires name alike; the created tokens only with a mark.

    Source: https://help.aliyun.com/zh/model-studio/context-cache (2026-10-11).
    """
    details: dict[str, Any] = {"cached_tokens": usage.cached_tokens}
    if usage.cache_creation_tokens is not None:
        details["cache_creation_input_tokens"] = usage.cache_creation_tokens
        details["cache_creation"] = {"ephemeral_5m_input_tokens": usage.cache_creation_tokens}
        details["cache_type"] = "ephemeral"
    return details


def log_probabilities(tokens: Iterable[str], top_logprobs: int) -> dict[str, Any]:
    """The log probabilities of tokens, each first of its rivals; the same token always has the same ones.

    Source: shape from captured traffic, 2025-07-07; both wires share it.
    """
    content = []
    for token in tokens:
        share = 0.6 + 0.4 * (token_id(token) % 1000) / 1000
        entry = _build_entry(token, share)
        top = [entry]
        for rival in range(1, top_logprobs):
            top.append(_build_entry(_rival(token, rival), (1 - share) / 2**rival))
        content.append({**entry, "top_logprobs": top[:top_logprobs]})
    return {"content": content}


def _build_entry(token: str, share: float) -> dict[str, Any]:
    probability = round(log(max(share, 1e-9)), 6)
    return {"token": token, "logprob": probability, "bytes": list(token.encode("utf-8", "replace"))}


def _rival(token: str, number: int) -> str:
    """Another token: the same in capitals or small letters, then with letters after it."""
    other = token.swapcase()
    return other if number == 1 and other != token else token + "aeiou"[number - 1]

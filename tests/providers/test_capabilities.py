"""What a provider says of itself is what it does."""

from __future__ import annotations

from typing import Any

import pytest
from tests.parts import PROVIDERS, builder, chat

from qonduit import BadRequestError, ChatRequest
from qonduit.embeddings import EmbeddingRequest
from qonduit.model_list import ModelsRequest
from qonduit.request import Request
from qonduit.rerank import RerankRequest
from qonduit.token_count import TokenCountRequest

BASES = {
    "openai": "https://example.test/v1",
    "qwen": "https://example.test/compatible-mode/v1",
    "dashscope": "https://example.test/api/v1",
}
NEVER_SENT = {"extra_body", "extra_headers", "timeout", "deadline", "tags"}
"""Fields that are not the model's: the caller's own, or the way of the call."""
VALUES: dict[str, Any] = {
    "model": "another",
    "messages": [{"role": "user", "content": "other"}],
    "stream": True,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "max_tokens": 5,
    "max_completion_tokens": 5,
    "stop": "END",
    "seed": 7,
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "repetition_penalty": 1.5,
    "reasoning": "high",
    "search": True,
    "stream_options": {"include_usage": True, "x": 1},
    "user": "u",
}
REQUESTS: dict[str, Request] = {
    request.operation: request
    for request in (
        chat(),
        EmbeddingRequest.of({"model": "m", "input": "a"}),
        RerankRequest.of({"model": "m", "query": "q", "documents": ["a"]}),
        ModelsRequest.of({}),
        TokenCountRequest.of({"model": "m", "messages": [{"role": "user", "content": "a"}]}),
    )
}


def made(provider: str) -> Any:
    return builder(provider, base_url=BASES[provider])


def test_every_field_is_judged() -> None:
    """A new field of `ChatRequest` must be tried here."""
    assert ChatRequest.model_fields.keys() - NEVER_SENT == VALUES.keys()


@pytest.mark.parametrize("name", list(VALUES))
def test_parameters(provider: str, name: str) -> None:
    """A field that is declared changes what is sent, and is not named as left out; another one is named."""
    # Stream options are of a stream only.
    always = {"model": "m", "stream": True} if name == "stream_options" else {"model": "m"}
    plain = made(provider).build(chat(**always))
    wire = made(provider).build(chat(**{**always, name: VALUES[name]}))
    if name not in PROVIDERS[provider].info.capabilities.parameters:
        assert wire.unsupported == (name,)
        assert wire.content == plain.content
        return
    assert wire.unsupported == ()
    if (provider, name) != ("dashscope", "stream_options"):  # the core's: the native wire says its usage unasked
        assert (wire.content, wire.stream) != (plain.content, plain.stream)


@pytest.mark.parametrize("operation", list(REQUESTS))
def test_operations(provider: str, operation: str) -> None:
    """An operation that is declared is built; another one is refused by its name."""
    if operation in PROVIDERS[provider].info.capabilities.operations:
        assert made(provider).build(REQUESTS[operation]).operation == operation
        return
    with pytest.raises(BadRequestError, match=f"'{provider}' has no operation '{operation}'"):
        made(provider).build(REQUESTS[operation])


PARTS: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": "a"},
    "image_url": {"type": "image_url", "image_url": {"url": "https://example.test/a.png"}},
    "video_url": {"type": "video_url", "video_url": {"url": "https://example.test/a.mp4"}},
    "video": {"type": "video", "video": ["https://example.test/a.png"]},
    "input_audio": {"type": "input_audio", "input_audio": {"data": "https://example.test/a.wav", "format": "wav"}},
}

HELD = {
    "text": b'"a"',
    "image_url": b"https://example.test/a.png",
    "video_url": b"https://example.test/a.mp4",
    "video": b"https://example.test/a.png",
    "input_audio": b"https://example.test/a.wav",
}
"""What of each part stands in the body, whatever the wire."""


@pytest.mark.parametrize(
    ("provider", "kind"),
    [(name, kind) for name in PROVIDERS for kind in sorted(PROVIDERS[name].info.capabilities.parts)],
)
def test_parts(provider: str, kind: str) -> None:
    """A type of part that is declared is sent; what it holds stands in the body."""
    wire = made(provider).build(chat(messages=[{"role": "user", "content": [PARTS[kind]]}]))
    assert HELD[kind] in wire.content
    assert wire.unsupported == ()


FEATURES: dict[str, dict[str, Any]] = {
    "stream": {"stream": True},
    "reasoning_switch": {"reasoning": False},
    "reasoning_effort": {"reasoning": {"effort": "high"}},
    "reasoning_budget": {"reasoning": {"budget": 5}},
    "search_results": {"search": {"enable_source": True}},
    "partial": {"messages": [{"role": "assistant", "content": "Well", "partial": True}]},
    "json_object": {"response_format": {"type": "json_object"}},
    "json_schema": {"response_format": VALUES["response_format"]},
}
"""A request for each feature that a request can ask for."""


@pytest.mark.parametrize("feature", list(FEATURES))
def test_features(provider: str, feature: str) -> None:
    """A feature that is declared can be asked of a model that no table limits; another one is named as left out."""
    declared = feature in PROVIDERS[provider].info.capabilities.features
    wire = made(provider).build(chat(**{"model": "m", **FEATURES[feature]}))
    assert (wire.unsupported == ()) == declared

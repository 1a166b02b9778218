"""Samples: a value for each field of a chat, each part, feature and operation, by which a provider is tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from qonduit.embeddings import EmbeddingRequest
from qonduit.model_list import ModelsRequest
from qonduit.request import ChatRequest, Request
from qonduit.rerank import RerankRequest
from qonduit.token_count import TokenCountRequest

MESSAGES = [{"role": "user", "content": "Say hello as JSON."}]
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": _PARAMETERS}}
_FORCED = {"type": "function", "function": {"name": "get_weather"}}
_SCHEMA = {
    "name": "place",
    "schema": {**_PARAMETERS, "additionalProperties": False},
    "strict": True,
}

OPERATIONS: Mapping[str, tuple[type[Request], Mapping[str, Any]]] = {
    "chat": (ChatRequest, {"messages": MESSAGES}),
    "embeddings": (EmbeddingRequest, {"input": ["one", "two"]}),
    "rerank": (RerankRequest, {"query": "one", "documents": ["two", "three"]}),
    "models": (ModelsRequest, {}),
    "count_tokens": (TokenCountRequest, {"messages": MESSAGES}),
}
"""The class of each operation's request, and fields of a sample without its model."""


class Sample(NamedTuple):
    """Fields of a chat that are tried, what stands beside them with and without, and how `unsupported` names them."""

    fields: Mapping[str, Any]
    beside: Mapping[str, Any]
    word: str


def _field(name: str, value: Any, **beside: Any) -> tuple[str, Sample]:
    return name, Sample({name: value}, beside, name)


FIELDS: Mapping[str, Sample] = dict(
    [
        _field("model", "conformance-model"),
        _field("messages", [{"role": "user", "content": "Say good-bye."}]),
        _field("stream", True),
        _field("tools", [_TOOL]),
        _field("tool_choice", _FORCED, tools=[_TOOL]),
        _field("parallel_tool_calls", True, tools=[_TOOL]),
        _field("response_format", {"type": "json_object"}),
        _field("temperature", 0.5),
        _field("top_p", 0.5),
        _field("top_k", 5),
        _field("max_tokens", 16),
        _field("max_completion_tokens", 16),
        _field("stop", ["END"]),
        _field("seed", 7),
        _field("n", 2),
        _field("logprobs", True),
        _field("top_logprobs", 2, logprobs=True),
        _field("presence_penalty", 0.5),
        _field("frequency_penalty", 0.5),
        _field("repetition_penalty", 1.1),
        _field("reasoning", True),
        _field("search", True),
        _field("stream_options", {"include_usage": True}, stream=True),
        _field("user", "conformance-user"),
    ]
)
"""A sample of each field of a `ChatRequest` that a provider may take."""

CALLERS_OWN = frozenset({"extra_body", "extra_headers", "timeout", "deadline", "tags"})
"""Fields of every request that are no parameter of a model: the first two every provider takes, the others the core."""


def _says(content: Any, **message: Any) -> list[Any]:
    return [*MESSAGES, {"role": "assistant", "content": content, **message}]


def _marked(**mark: Any) -> list[Any]:
    return [{"role": "user", "content": [{"type": "text", "text": "Say hello as JSON.", **mark}]}]


FEATURES: Mapping[str, Sample | None] = {
    "stream": Sample({"stream": True}, {}, "stream"),
    "usage": None,
    "reasoning_effort": Sample({"reasoning": {"effort": "low"}}, {}, "reasoning"),
    "reasoning_budget": Sample({"reasoning": {"budget": 1024}}, {}, "reasoning"),
    "reasoning_switch": Sample({"reasoning": {"enabled": False}}, {}, "reasoning"),
    "reasoning_content": None,
    "search_results": None,
    "partial": Sample({"messages": _says("Hel", partial=True)}, {"messages": _says("Hel")}, "partial"),
    "cache_control": Sample(
        {"messages": _marked(cache_control={"type": "ephemeral"})}, {"messages": _marked()}, "cache_control"
    ),
    "json_object": Sample({"response_format": {"type": "json_object"}}, {}, "response_format"),
    "json_schema": Sample({"response_format": {"type": "json_schema", "json_schema": _SCHEMA}}, {}, "response_format"),
}
"""A sample of each feature; None where it is seen in answers only."""
NEEDS = {
    "stream": "stream",
    "reasoning_effort": "reasoning",
    "reasoning_budget": "reasoning",
    "reasoning_switch": "reasoning",
    "search_results": "search",
    "json_object": "response_format",
    "json_schema": "response_format",
}
"""The parameter that a feature is a part of."""

_URL = "https://media.example/conformance-part"
_DATA = "Y29uZm9ybWFuY2UtcGFydA=="

PARTS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "text": ({"type": "text", "text": "conformance-part"}, "conformance-part"),
    "image_url": ({"type": "image_url", "image_url": {"url": f"{_URL}.png"}}, f"{_URL}.png"),
    "video_url": ({"type": "video_url", "video_url": {"url": f"{_URL}.mp4"}}, f"{_URL}.mp4"),
    "video": ({"type": "video", "video": [f"{_URL}-{number}.png" for number in range(4)]}, f"{_URL}-3.png"),
    "input_audio": ({"type": "input_audio", "input_audio": {"data": _DATA, "format": "wav"}}, _DATA),
}
"""A part of each type, and the text of it that must be found in the body."""

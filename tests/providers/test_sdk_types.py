"""Bodies of OpenAI's wire, held to the types of OpenAI's own SDK: strictly, and without a key that they do not have."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from openai.types import EmbeddingCreateParams
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator
from tests.parts import builder, chat

from qonduit.embeddings import EmbeddingRequest

IMAGE = "https://example.test/a.png"
FUNCTION = {
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"id": "call_a", "type": "function", "index": 0, "function": {"name": "weather", "arguments": "{}"}}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "s", "description": "d", "schema": {"type": "object"}, "strict": True},
}
ASKED = {"role": "user", "content": "Answer in JSON."}

CASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "sampling": {
        "temperature": 0.5,
        "top_p": 0.25,
        "seed": 7,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "presence_penalty": -1.5,
        "frequency_penalty": 0.5,
        "user": "u-1",
        "stop": ["a", "b"],
    },
    "one stop": {"stop": "END"},
    "the output limit": {"max_completion_tokens": 20},
    "the output limit by its older name": {"max_tokens": 20},
    "tools": {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False},
    "a forced tool": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
    "no tools": {"tools": []},
    "a JSON object": {"response_format": {"type": "json_object"}, "messages": [ASKED]},
    "a JSON object that nobody spoke of": {"response_format": {"type": "json_object"}},
    "a JSON schema": {"response_format": SCHEMA},
    "plain text": {"response_format": {"type": "text"}},
    "reasoning off": {"reasoning": False},
    "reasoning on": {"reasoning": True},
    "a reasoning effort": {"reasoning": "high"},
    "a reasoning budget": {"reasoning": 100},
    "search": {"search": {"forced_search": True}},
    "search switched": {"search": True},
    "what Qwen takes": {"top_k": 5, "repetition_penalty": 1.1},
    "every role": {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Weather?", "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "Let me see."},
            {"role": "tool", "tool_call_id": "call_a", "content": "clear"},
            {"role": "assistant", "content": "It is clear.", "tool_calls": []},
            {"role": "user", "content": "Thanks."},
        ]
    },
    "parts": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                ],
            }
        ]
    },
    "parts of a system message": {
        "messages": [{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}, ASKED],
    },
    "a stream with options": {"stream_options": {"include_usage": False, "include_obfuscation": False}},
    "a model with one name for the limit": {"model": "o3", "max_tokens": 20, "temperature": 1.0},
}

QWEN_ONLY: dict[str, str] = {
    # Fields that OpenAI's SDK sends by extra_body, with the page that has them.
    "enable_thinking": "https://help.aliyun.com/zh/model-studio/deep-thinking (2026-05-26)",
    "thinking_budget": "https://help.aliyun.com/zh/model-studio/deep-thinking (2026-05-26)",
    "enable_search": "https://help.aliyun.com/zh/model-studio/web-search (2026-05-26)",
    "search_options": "https://help.aliyun.com/zh/model-studio/web-search (2026-05-26)",
    "top_k": "https://help.aliyun.com/zh/model-studio/compatibility-of-openai-with-dashscope (2026-05-26)",
    "repetition_penalty": "https://help.aliyun.com/zh/model-studio/compatibility-of-openai-with-dashscope (2026-05-26)",
}
QWEN_MESSAGE_ONLY: dict[str, str] = {
    "reasoning_content": "https://help.aliyun.com/zh/model-studio/deep-thinking (2026-05-26)",
    "partial": "https://help.aliyun.com/zh/model-studio/partial-mode (2026-05-26)",
}
QWEN_PART_ONLY: dict[str, str] = {
    "cache_control": "https://help.aliyun.com/zh/model-studio/context-cache (2026-05-26)",
}
QWEN_PARTS: dict[str, str] = {
    "video": "https://help.aliyun.com/zh/model-studio/vision (2026-05-26)",
    "video_url": "https://help.aliyun.com/zh/model-studio/vision (2026-05-26)",
}

QWEN_CASES: dict[str, dict[str, Any]] = {
    # Requests that OpenAI's own host does not take.
    "films": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "video_url", "video_url": {"url": "https://example.test/a.mp4"}},
                    {"type": "video", "video": [IMAGE, IMAGE]},
                    {"type": "text", "text": "What happens?"},
                ],
            }
        ]
    },
    "marked beginnings": {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be.", "cache_control": {"type": "ephemeral"}}]},
            ASKED,
            {"role": "assistant", "content": '{"sky": ', "partial": True},
        ]
    },
    "an effort as a budget": {"model": "qwen3-32b", "reasoning": "low"},
    "a schema as an instruction": {"model": "qwen3-32b", "reasoning": False, "response_format": SCHEMA},
    "a stream within": {"model": "qwq-plus", "stream": True},
}


def strict(schema: Any) -> Any:
    """A core schema whose typed dicts forbid what they do not declare, and whose iterables are looked into."""
    if isinstance(schema, (list, tuple)):
        return type(schema)(map(strict, schema))
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(value) for name, value in schema.items()}
    if made.get("type") == "typed-dict":
        made["extra_behavior"] = "forbid"
    if made.get("type") == "generator":
        made["type"] = "list"
    return made


@cache
def validator(kind: Any) -> SchemaValidator:
    return SchemaValidator(strict(TypeAdapter(kind).core_schema))


def check(kind: Any, body: Any) -> None:
    """Raises: ValidationError where `body` is not of the SDK's type."""
    validator(kind).validate_json(json.dumps(body), strict=True)


def without_qwens(body: dict[str, Any]) -> dict[str, Any]:
    """A body of compatible mode as the SDK would type it."""
    messages = []
    for message in body["messages"]:
        bare = {name: value for name, value in message.items() if name not in QWEN_MESSAGE_ONLY}
        if isinstance(bare.get("content"), list):
            bare["content"] = [
                {name: value for name, value in part.items() if name not in QWEN_PART_ONLY}
                for part in bare["content"]
                if part["type"] not in QWEN_PARTS
            ]
        if "tool_calls" in bare:  # the index of an answer's call goes back with it
            bare["tool_calls"] = [
                {name: value for name, value in call.items() if name != "index"} for call in bare["tool_calls"]
            ]
        messages.append(bare)
    return {**{name: value for name, value in body.items() if name not in QWEN_ONLY}, "messages": messages}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("provider", ["openai", "qwen"])
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_chat_bodies_are_of_the_sdks_type(provider: str, case: dict[str, Any], stream: bool) -> None:
    """Every body that is built is one that OpenAI's SDK could have sent, but for what Qwen documents beyond it."""
    body = json.loads(builder(provider).build(chat(**case, stream=stream)).content)
    if provider == "qwen":
        body = without_qwens(body)
    check(CompletionCreateParamsStreaming if stream else CompletionCreateParamsNonStreaming, body)


@pytest.mark.parametrize("case", QWEN_CASES.values(), ids=list(QWEN_CASES))
def test_bodies_of_qwen_only_are_of_the_sdks_type(case: dict[str, Any]) -> None:
    """What only Qwen takes is, without the fields and parts that its pages name, of the SDK's type as well."""
    wire = builder("qwen").build(chat(**case))
    kind = CompletionCreateParamsStreaming if wire.stream else CompletionCreateParamsNonStreaming
    check(kind, without_qwens(json.loads(wire.content)))


@pytest.mark.parametrize("provider", ["openai", "qwen"])
@pytest.mark.parametrize("more", [{}, {"dimensions": 64}, {"input": ["a", "b"], "extra_body": {"user": "u-1"}}])
def test_embedding_bodies_are_of_the_sdks_type(provider: str, more: dict[str, Any]) -> None:
    """Bodies of embeddings are those of OpenAI's SDK, too."""
    asked = EmbeddingRequest.of({"model": "text-embedding-v4", "input": "a", **more})
    check(EmbeddingCreateParams, json.loads(builder(provider).build(asked).content))


@pytest.mark.parametrize(
    "change",
    [
        {"top_k": 5},
        {"temperature": "0.5"},
        {"stream": True},
        {"messages": [{"role": "user", "content": "a", "mood": "calm"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}]},
        {"messages": [{"role": "assistant", "content": "a", "tool_calls": [CALL]}]},
        {"tools": [{**TOOL, "note": "x"}]},
        {"stream_options": {"usage": True}},
    ],
)
def test_the_check_itself_finds_mistakes(change: dict[str, Any]) -> None:
    """An unknown key or a wrong type, at any depth, is found: else the tests above would say nothing."""
    body = {"model": "gpt-5.1", "messages": [{"role": "user", "content": "a"}]}
    check(CompletionCreateParamsNonStreaming, body)
    with pytest.raises(ValidationError):
        check(CompletionCreateParamsNonStreaming, {**body, **change})

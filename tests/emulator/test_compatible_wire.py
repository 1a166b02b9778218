"""The OpenAI-compatible wire, byte by byte."""

import json
from typing import Any

import httpx
import pytest

CHAT = "/compatible-mode/v1/chat/completions"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}


def body(prompt: str = "hello", model: str = "qwen-plus", **options: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **options}


def chunks(response: httpx.Response) -> list[dict[str, Any]]:
    """The chunks, after checking that the body is events with a space, closed by [DONE]."""
    *blocks, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert all(block.startswith("data: {") and "\n" not in block for block in blocks)
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


@pytest.mark.parametrize("path", [CHAT, "/v1/chat/completions"])
def test_plain_answer_is_a_chat_completion(http: httpx.Client, path: str) -> None:
    """A plain answer is a chat completion whose id carries the request id of the header."""
    response = http.post(path, json=body("你好"))
    document = response.json()
    assert document["id"] == "chatcmpl-" + response.headers["x-request-id"]
    assert (document["object"], document["model"]) == ("chat.completion", "qwen-plus")
    assert document["system_fingerprint"] is None
    (choice,) = document["choices"]
    assert choice["message"]["role"] == "assistant"
    assert "你好" in choice["message"]["content"]
    assert (choice["finish_reason"], choice["logprobs"]) == ("stop", None)
    usage = document["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


def test_stream_opens_with_the_role_and_has_no_usage(http: httpx.Client) -> None:
    """The first delta is the role with empty content, usage is null everywhere, the end is [DONE]."""
    response = http.post(CHAT, json=body(stream=True))
    found = chunks(response)
    assert response.headers["content-type"] == "text/event-stream;charset=UTF-8"
    assert found[0]["choices"][0]["delta"] == {"content": "", "role": "assistant"}
    assert found[-1]["choices"][0]["delta"] == {"content": ""}
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in found[:-1])
    assert all(chunk["usage"] is None for chunk in found)
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in found)
    assert text == http.post(CHAT, json=body()).json()["choices"][0]["message"]["content"]


def test_usage_chunk_comes_last_when_asked_for(http: httpx.Client) -> None:
    """include_usage adds one chunk without choices, with the plain answer's usage."""
    found = chunks(http.post(CHAT, json=body(stream=True, stream_options={"include_usage": True})))
    assert found[-1]["choices"] == []
    assert found[-1]["usage"] == http.post(CHAT, json=body()).json()["usage"]
    assert all(chunk["usage"] is None for chunk in found[:-1])


def test_thinking_uses_null_where_native_has_empty_text(http: httpx.Client) -> None:
    """Reasoning deltas have content null, text deltas have reasoning_content null."""
    found = chunks(http.post(CHAT, json=body(stream=True, enable_thinking=True)))
    deltas = [chunk["choices"][0]["delta"] for chunk in found]
    assert deltas[0] == {"content": None, "role": "assistant", "reasoning_content": ""}
    assert deltas[1]["content"] is None
    assert deltas[1]["reasoning_content"]
    texts = [delta for delta in deltas if delta["content"]]
    assert all(delta["reasoning_content"] is None for delta in texts)
    assert deltas[-1] == {"content": "", "reasoning_content": None}


def test_tool_call_deltas(http: httpx.Client) -> None:
    """The first delta has role, id and name; later ids are ""; the end has a bare delta and an empty one."""
    found = chunks(http.post(CHAT, json=body("weather in Hangzhou", tools=[WEATHER], stream=True)))
    first = found[0]["choices"][0]["delta"]
    assert (first["role"], first["content"]) == ("assistant", None)
    call = first["tool_calls"][0]
    assert call["id"].startswith("call_")
    assert call["function"] == {"name": "get_weather", "arguments": ""}
    later = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in found[1:-1]]
    assert all(item["id"] == "" and "name" not in item["function"] for item in later)
    assert json.loads("".join(item["function"]["arguments"] for item in later)) == {"city": "Hangzhou"}
    assert set(found[-2]["choices"][0]) == {"delta", "index"}
    assert found[-1]["choices"][0]["delta"] == {}
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_parallel_calls_are_numbered(http: httpx.Client) -> None:
    """Two tools called in parallel come as two calls with their own index and id."""
    request = body("what is the weather", tools=[WEATHER, CLOCK], parallel_tool_calls=True)
    calls = http.post(CHAT, json=request).json()["choices"][0]["message"]["tool_calls"]
    assert [call["index"] for call in calls] == [0, 1]
    assert [call["function"]["name"] for call in calls] == ["get_weather", "get_time"]
    assert calls[0]["id"] != calls[1]["id"]


def test_image_parts_are_read(http: httpx.Client) -> None:
    """An image_url part is acknowledged and its tokens are shown in the details."""
    content = [
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        {"type": "text", "text": "描述一下"},
    ]
    request = {"model": "qwen3-vl-plus", "messages": [{"role": "user", "content": content}]}
    document = http.post(CHAT, json=request).json()
    assert "https://example.com/cat.png" in document["choices"][0]["message"]["content"]
    assert document["usage"]["prompt_tokens_details"]["image_tokens"] > 0


@pytest.mark.parametrize("path", ["/compatible-mode/v1/models", "/v1/models"])
def test_models_are_listed(http: httpx.Client, path: str) -> None:
    """The list of models has OpenAI's shape and needs a key."""
    document = http.get(path).json()
    assert document["object"] == "list"
    assert {"qwen-plus", "qwen3-max", "gpt-4o-mini"} <= {model["id"] for model in document["data"]}
    assert set(document["data"][0]) == {"id", "object", "created", "owned_by"}
    assert http.get(path, headers={"Authorization": ""}).status_code == 401


def test_lone_surrogate_comes_back_as_it_came(http: httpx.Client) -> None:
    """A lone surrogate in the prompt does not break the answer's encoding."""
    raw = b'{"model":"qwen-plus","messages":[{"role":"user","content":"a \\ud83d b"}]}'
    response = http.post(CHAT, content=raw)
    assert response.status_code == 200
    assert "a \ud83d b" in response.json()["choices"][0]["message"]["content"]

"""The vendors' own SDKs as clients: openai, and both generations of dashscope."""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from qonduit_emulator import Emulator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK warns on import, of itself and of what it imports
    import dashscope
    from dashscope.v2 import AsyncClient, Client
    from dashscope.v2.errors import AuthenticationError, DashScopeError

MESSAGES: list[Any] = [{"role": "user", "content": "你好"}]
WEATHER_MESSAGES: list[Any] = [{"role": "user", "content": "weather in Hangzhou"}]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


@pytest.fixture
def client(emulator: Emulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=emulator.base_url, api_key=emulator.api_key, max_retries=0) as running:
        yield running


def test_openai_plain(client: openai.OpenAI) -> None:
    """The openai SDK reads a plain answer, its usage and its request id."""
    answer = client.chat.completions.create(model="qwen-plus", messages=MESSAGES)
    assert answer.choices[0].finish_reason == "stop"
    assert "你好" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.id == f"chatcmpl-{answer._request_id}"


def test_openai_on_its_own_path(emulator: Emulator) -> None:
    """The openai SDK works on /v1 with an OpenAI model, and lists models."""
    with openai.OpenAI(base_url=emulator.url + "/v1", api_key=emulator.api_key) as client:
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        assert "你好" in (answer.choices[0].message.content or "")
        assert "gpt-4o-mini" in [model.id for model in client.models.list()]


def test_openai_stream(client: openai.OpenAI) -> None:
    """The openai SDK reads a stream to the plain answer, with usage in the last chunk."""
    plain = client.chat.completions.create(model="qwen-plus", messages=MESSAGES)
    stream = client.chat.completions.create(
        model="qwen-plus", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == plain.choices[0].message.content
    assert chunks[-1].usage == plain.usage


async def test_openai_async_stream(emulator: Emulator) -> None:
    """The async openai client reads a stream."""
    async with openai.AsyncOpenAI(base_url=emulator.base_url, api_key=emulator.api_key) as client:
        stream = await client.chat.completions.create(model="qwen-plus", messages=MESSAGES, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert "你好" in text


def test_openai_tool_loop(client: openai.OpenAI) -> None:
    """A tool call, its result and the final answer go round through the openai SDK."""
    first = client.chat.completions.create(model="qwen-plus", messages=WEATHER_MESSAGES, tools=TOOLS)
    assert first.choices[0].finish_reason == "tool_calls"
    call: Any = (first.choices[0].message.tool_calls or [])[0]
    assert json.loads(call.function.arguments) == {"city": "Hangzhou"}
    history: list[Any] = [
        *WEATHER_MESSAGES,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    second = client.chat.completions.create(model="qwen-plus", messages=history, tools=TOOLS)
    assert "sunny" in (second.choices[0].message.content or "")


def test_openai_thinking(client: openai.OpenAI) -> None:
    """Reasoning arrives beside content, in a stream of an open model as well."""
    stream = client.chat.completions.create(model="qwen3-32b", messages=MESSAGES, stream=True)
    deltas = [chunk.choices[0].delta for chunk in stream]
    assert any(getattr(delta, "reasoning_content", None) for delta in deltas)
    answer = client.chat.completions.create(
        model="qwen-plus", messages=MESSAGES, extra_body={"enable_thinking": True, "thinking_budget": 5}
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 5


def test_openai_errors(emulator: Emulator, client: openai.OpenAI) -> None:
    """401, 404 and 400 become the openai SDK's own exceptions with the vendor's codes."""
    with (
        openai.OpenAI(base_url=emulator.base_url, api_key="sk-wrong") as stranger,
        pytest.raises(openai.AuthenticationError) as unauthorised,
    ):
        stranger.chat.completions.create(model="qwen-plus", messages=MESSAGES)
    assert unauthorised.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nope", messages=MESSAGES, stream=True)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="Temperature should be in"):
        client.chat.completions.create(model="qwen-plus", messages=MESSAGES, temperature=2)


def generate(emulator: Emulator, **options: Any) -> Any:
    """One call through the first generation of the dashscope SDK."""
    dashscope.base_http_api_url = emulator.native_url
    return dashscope.Generation.call(
        **{"api_key": emulator.api_key, "model": "qwen-plus", "result_format": "message", **options}
    )


def test_dashscope_plain(emulator: Emulator) -> None:
    """Generation.call reads a plain answer and its usage."""
    answer = generate(emulator, messages=MESSAGES)
    assert answer.status_code == 200
    assert "你好" in answer.output.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    prompted = generate(emulator, prompt="你好", result_format="text")
    assert "你好" in prompted.output.text


@pytest.mark.parametrize("incremental", [True, False])
def test_dashscope_stream(emulator: Emulator, incremental: bool) -> None:
    """Generation.call reads incremental and cumulative streams to the plain answer."""
    plain = generate(emulator, messages=MESSAGES).output.choices[0].message.content
    answers = list(generate(emulator, messages=MESSAGES, stream=True, incremental_output=incremental))
    texts = [answer.output.choices[0].message.content for answer in answers]
    assert ("".join(texts) if incremental else texts[-1]) == plain
    assert answers[-1].output.choices[0].finish_reason == "stop"
    assert all(answer.output.choices[0].finish_reason == "null" for answer in answers[:-1])


def test_dashscope_tools_and_thinking(emulator: Emulator) -> None:
    """Generation.call reads tool calls and, in a stream, reasoning."""
    answer = generate(emulator, messages=WEATHER_MESSAGES, tools=TOOLS)
    call = answer.output.choices[0].message.tool_calls[0]
    assert json.loads(call["function"]["arguments"]) == {"city": "Hangzhou"}
    stream = generate(
        emulator,
        messages=MESSAGES,
        stream=True,
        incremental_output=True,
        enable_thinking=True,
        thinking_budget=4,
    )
    answers = list(stream)
    assert any(answer.output.choices[0].message.reasoning_content for answer in answers)
    assert answers[-1].usage.output_tokens_details["reasoning_tokens"] == 4


def test_dashscope_multimodal(emulator: Emulator) -> None:
    """MultiModalConversation.call reads content parts."""
    dashscope.base_http_api_url = emulator.native_url
    content = [{"image": "https://example.com/cat.png"}, {"text": "什么？"}]
    answer: Any = dashscope.MultiModalConversation.call(
        api_key=emulator.api_key, model="qwen3-vl-plus", messages=[{"role": "user", "content": content}]
    )
    assert "cat.png" in answer.output.choices[0].message.content[0]["text"]


def test_dashscope_errors(emulator: Emulator) -> None:
    """Generation.call reports status, code and message of a refusal, in a stream too."""
    wrong_key = generate(emulator, messages=MESSAGES, api_key="sk-wrong")
    assert (wrong_key.status_code, wrong_key.code) == (401, "InvalidApiKey")
    wrong_path = generate(emulator, messages=MESSAGES, model="qwen3.6-plus")
    assert (wrong_path.status_code, wrong_path.message) == (400, "url error, please check url！")
    (streamed,) = list(generate(emulator, messages=MESSAGES, stream=True, top_p=0))
    assert (streamed.status_code, streamed.code) == (400, "InvalidParameter")


@pytest.fixture
def native(emulator: Emulator) -> Iterator[Client]:
    client = Client(protocol="native", base_url=emulator.native_url, api_key=emulator.api_key, max_retries=0)
    yield client
    client.close()


def test_dashscope_client_plain_and_stream(native: Client) -> None:
    """The second generation reads a plain answer and a stream of the same text."""
    answer: Any = native.chat.completions.create(model="qwen-plus", messages=MESSAGES)
    text = answer.choices[0].message.content
    assert "你好" in text
    stream = native.chat.completions.create(model="qwen-plus", messages=MESSAGES, stream=True)
    assert "".join(stream.text_stream) == text


def test_dashscope_client_tools_and_thinking(native: Client) -> None:
    """The second generation reads tool calls and reasoning from streams."""
    answer: Any = native.chat.completions.create(model="qwen-plus", messages=WEATHER_MESSAGES, tools=TOOLS)
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"
    stream = native.chat.completions.create(
        model="qwen3-max", messages=MESSAGES, stream=True, enable_thinking=True, thinking_budget=4
    )
    assert "".join(stream.reasoning_stream) != ""


async def test_dashscope_async_client(emulator: Emulator) -> None:
    """The async client of the second generation reads a plain answer."""
    async with AsyncClient(protocol="native", base_url=emulator.native_url, api_key=emulator.api_key) as client:
        answer: Any = await client.chat.completions.create(model="qwen-plus", messages=MESSAGES)
    assert "你好" in answer.choices[0].message.content


def test_dashscope_client_errors(emulator: Emulator, native: Client) -> None:
    """The second generation raises its own errors for a wrong key and for an error inside a stream."""
    stranger = Client(protocol="native", base_url=emulator.native_url, api_key="sk-wrong", max_retries=0)
    with pytest.raises(AuthenticationError, match="Invalid API-key"):
        stranger.chat.completions.create(model="qwen-plus", messages=MESSAGES)
    stranger.close()
    stream = native.chat.completions.create(model="qwen-plus", messages=MESSAGES, stream=True, top_p=0)
    with pytest.raises(DashScopeError, match="Range of top_p"):
        list(stream)

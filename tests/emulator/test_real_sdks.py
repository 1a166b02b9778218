"""The vendors' SDKs alone against the emulator: openai, and both generations of dashscope.

Nothing here knows how the emulator works inside; faults are asked for by a request header, as any user may.
"""

import asyncio
import base64
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
    from dashscope import AioGeneration, Generation, MultiModalConversation, TextEmbedding, TextReRank
    from dashscope.api_entities.aio_session import close_shared_aio_session
    from dashscope.v2 import AsyncClient, Client
    from dashscope.v2.errors import APIStatusError

HELLO: list[Any] = [{"role": "user", "content": "你好"}]
POEM: list[Any] = [{"role": "user", "content": "请写一首诗"}]
WEATHER: list[Any] = [{"role": "user", "content": "杭州的天气怎么样？"}]
PIXEL = base64.b64encode(bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")).decode()
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "查询城市天气",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
STATUSES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
}


@pytest.fixture
def client(emulator: Emulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=emulator.base_url, api_key=emulator.api_key, max_retries=0) as running:
        yield running


@pytest.fixture
def native(emulator: Emulator) -> Iterator[Any]:
    with Client(protocol="native", api_key=emulator.api_key, base_url=emulator.native_url, max_retries=0) as running:
        yield running


@pytest.fixture
def old_sdk(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Key and base URL, as the seed sets them: module globals."""
    monkeypatch.setattr(dashscope, "api_key", emulator.api_key)
    monkeypatch.setattr(dashscope, "base_http_api_url", emulator.native_url)


def test_seed_plain_compatible(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """The first program: a client, one call, the answer printed."""
    client = openai.OpenAI(api_key=emulator.api_key, base_url=emulator.base_url)

    response = client.chat.completions.create(model="qwen-plus", messages=[{"role": "user", "content": "你好"}])

    print(response.choices[0].message.content)
    client.close()
    assert "你好" in capsys.readouterr().out


def test_seed_whole_program(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole program: parameters, the text, the usage, and the handlers for what may go wrong."""
    client = openai.OpenAI(api_key=emulator.api_key, base_url=emulator.base_url, timeout=30)
    messages: list[Any] = [{"role": "user", "content": "请解释什么是机器学习？"}]
    try:
        response = client.chat.completions.create(
            model="qwen-plus", messages=messages, temperature=0.7, max_tokens=1024, stream=False
        )
        generated_text = response.choices[0].message.content
        assert response.usage is not None
        print(f"生成内容: {generated_text}")
        print(f"Token使用: 输入{response.usage.prompt_tokens}, 总计{response.usage.total_tokens}")
    except openai.RateLimitError as error:
        print(f"API限流，请稍后再试: {error}")
    except openai.APIConnectionError as error:
        print(f"网络连接错误: {error}")
    client.close()
    out = capsys.readouterr().out
    assert "机器学习" in out
    assert "Token使用" in out


def test_seed_stream(client: openai.OpenAI, capsys: pytest.CaptureFixture[str]) -> None:
    """The streaming program prints the text piece by piece."""
    response = client.chat.completions.create(model="qwen-plus", messages=POEM, stream=True)
    for chunk in response:
        if chunk.choices[0].delta.content:
            print(chunk.choices[0].delta.content, end="", flush=True)
    assert "请写一首诗" in capsys.readouterr().out


@pytest.mark.usefixtures("old_sdk")
def test_seed_native(capsys: pytest.CaptureFixture[str]) -> None:
    """The native program; qwen-plus answers with choices only when it is asked to, as the real one does."""
    response: Any = Generation.call(model="qwen-plus", messages=HELLO, result_format="message")
    if response.status_code == 200:
        print(response.output.choices[0].message.content)
    else:
        print(f"Error: {response.code}")
    assert "你好" in capsys.readouterr().out
    newer: Any = Generation.call(model="qwen3-max", messages=HELLO)
    assert "你好" in newer.output.choices[0].message.content


@pytest.mark.usefixtures("old_sdk")
def test_old_sdk_streams_and_async() -> None:
    """Generation streams, also through the async class."""
    options: Any = {"model": "qwen-plus", "messages": POEM, "result_format": "message", "incremental_output": True}
    pieces: Any = list(Generation.call(**options, stream=True))
    text = "".join(piece.output.choices[0].message.content for piece in pieces)
    assert "请写一首诗" in text
    assert pieces[-1].output.choices[0].finish_reason == "stop"

    async def call() -> str:
        found = ""
        plain: Any = await AioGeneration.call(**options)
        assert plain.output.choices[0].message.content == text
        stream: Any = await AioGeneration.call(**options, stream=True)
        async for piece in stream:
            found += piece.output.choices[0].message.content
        await close_shared_aio_session()
        return found

    assert asyncio.run(call()) == text


def test_new_sdk_plain_stream_and_async(native: Any, emulator: Emulator) -> None:
    """Client(protocol="native") answers, streams, and does both asynchronously."""
    plain = native.chat.completions.create(model="qwen-plus", messages=POEM)
    text = plain.choices[0].message.content
    assert "请写一首诗" in text
    stream = native.chat.completions.create(model="qwen-plus", messages=POEM, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == text

    async def call() -> str:
        async with AsyncClient(protocol="native", api_key=emulator.api_key, base_url=emulator.native_url) as running:
            stream = await running.chat.completions.create(model="qwen-plus", messages=POEM, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(call()) == text


def test_openai_async(emulator: Emulator) -> None:
    """AsyncOpenAI answers and streams, many calls at once."""

    async def call() -> list[str]:
        async with openai.AsyncOpenAI(base_url=emulator.base_url, api_key=emulator.api_key) as running:

            async def one() -> str:
                stream = await running.chat.completions.create(model="qwen-plus", messages=HELLO, stream=True)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            return await asyncio.gather(*[one() for _ in range(20)])

    texts = asyncio.run(call())
    assert len(set(texts)) == 1
    assert "你好" in texts[0]


def test_tools(client: openai.OpenAI, native: Any) -> None:
    """A call, its result and the answer go round; streamed arguments add up; natively too."""
    first = client.chat.completions.create(model="qwen-plus", messages=WEATHER, tools=[TOOL])  # type: ignore[list-item]
    assert first.choices[0].finish_reason == "tool_calls"
    call: Any = (first.choices[0].message.tool_calls or [])[0]
    assert json.loads(call.function.arguments) == {"city": "杭州"}
    history: list[Any] = [
        *WEATHER,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "晴，25 度"},
    ]
    second = client.chat.completions.create(model="qwen-plus", messages=history, tools=[TOOL])  # type: ignore[list-item]
    assert "晴，25 度" in (second.choices[0].message.content or "")
    stream: Any = client.chat.completions.create(
        model="qwen-plus",
        messages=WEATHER,
        tools=[TOOL],
        stream=True,  # type: ignore[list-item]
    )
    fragments = [call for chunk in stream for call in chunk.choices[0].delta.tool_calls or []]
    assert json.loads("".join(part.function.arguments for part in fragments)) == {"city": "杭州"}
    called = native.chat.completions.create(model="qwen-plus", messages=WEATHER, tools=[TOOL])
    assert called.choices[0].message.tool_calls[0].function.name == "get_weather"


@pytest.mark.usefixtures("old_sdk")
def test_thinking(client: openai.OpenAI) -> None:
    """Reasoning comes before the answer, on both wires."""
    stream: Any = client.chat.completions.create(
        model="qwen-plus", messages=HELLO, stream=True, extra_body={"enable_thinking": True, "thinking_budget": 6}
    )
    deltas = [chunk.choices[0].delta for chunk in stream]
    thoughts = [index for index, delta in enumerate(deltas) if getattr(delta, "reasoning_content", None)]
    texts = [index for index, delta in enumerate(deltas) if delta.content]
    assert thoughts
    assert max(thoughts) < min(texts)
    answers: Any = Generation.call(
        model="qwen-plus",
        messages=HELLO,
        result_format="message",
        stream=True,
        incremental_output=True,
        enable_thinking=True,
    )
    assert any(answer.output.choices[0].message.reasoning_content for answer in answers)


@pytest.mark.usefixtures("old_sdk")
def test_vision(client: openai.OpenAI) -> None:
    """A picture is acknowledged by its size, on both wires."""
    url = f"data:image/png;base64,{PIXEL}"
    content: list[Any] = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "图里有什么？"},
    ]
    answer = client.chat.completions.create(model="qwen3-vl-plus", messages=[{"role": "user", "content": content}])
    assert "1×1 像素" in (answer.choices[0].message.content or "")
    native_answer: Any = MultiModalConversation.call(
        model="qwen3-vl-plus", messages=[{"role": "user", "content": [{"image": url}, {"text": "图里有什么？"}]}]
    )
    assert "1×1 像素" in native_answer.output.choices[0].message.content[0]["text"]


@pytest.mark.usefixtures("old_sdk")
def test_embeddings_and_rerank(client: openai.OpenAI) -> None:
    """Both SDKs get the same vectors; rerank puts the fitting document first."""
    answer = client.embeddings.create(
        model="text-embedding-v4", input=["风急天高"], dimensions=256, encoding_format="float"
    )
    vector = answer.data[0].embedding
    assert len(vector) == 256
    native_answer: Any = TextEmbedding.call(model="text-embedding-v4", input=["风急天高"], dimension=256)
    assert native_answer.output["embeddings"][0]["embedding"] == vector
    ranked: Any = TextReRank.call(
        model="gte-rerank-v2", query="文本排序", documents=["量子计算", "文本排序模型"], return_documents=True
    )
    assert [result.index for result in ranked.output.results] == [1, 0]


def test_embeddings_as_the_openai_sdk_asks_by_itself(client: openai.OpenAI) -> None:
    """Left alone, that SDK asks for base64, which the vendor refuses."""
    with pytest.raises(openai.BadRequestError, match="encoding_format"):
        client.embeddings.create(model="text-embedding-v4", input="a")


@pytest.mark.parametrize("status", STATUSES)
def test_statuses_in_the_openai_sdk(client: openai.OpenAI, status: int) -> None:
    """Each status is its exception, with code and request id, plain and streamed."""
    headers = {"x-emulator-fault": f"error={status}"}
    for stream in (False, True):
        with pytest.raises(STATUSES[status]) as raised:
            client.chat.completions.create(model="qwen-plus", messages=HELLO, extra_headers=headers, stream=stream)
        assert raised.value.status_code == status
        assert raised.value.code
        assert raised.value.request_id


@pytest.mark.usefixtures("old_sdk")
@pytest.mark.parametrize("status", STATUSES)
def test_statuses_in_the_old_sdk(status: int) -> None:
    """Each status is the answer's own, with code and request id; it knows no status inside a stream."""
    headers = {"x-emulator-fault": f"error={status}"}
    plain: Any = Generation.call(model="qwen-plus", messages=HELLO, headers=headers)
    assert plain.status_code == status
    assert plain.code
    assert plain.request_id
    (streamed,) = list(Generation.call(model="qwen-plus", messages=HELLO, headers=headers, stream=True))
    assert streamed.status_code == (401 if status == 401 else 400)
    assert streamed.code == plain.code


@pytest.mark.parametrize("status", STATUSES)
def test_statuses_in_the_new_sdk(native: Any, emulator: Emulator, status: int) -> None:
    """Each status is an error that carries it."""
    emulator.faults.set("error", status, times=1)
    try:
        with pytest.raises(APIStatusError) as raised:
            native.chat.completions.create(model="qwen-plus", messages=HELLO)
    finally:
        emulator.reset()
    assert raised.value.status_code == status


def test_ok_in_every_sdk(client: openai.OpenAI, native: Any, old_sdk: None) -> None:
    """200 is 200 in all three."""
    raw = client.chat.completions.with_raw_response.create(model="qwen-plus", messages=HELLO)
    assert raw.status_code == 200
    assert raw.headers["x-request-id"] in raw.parse().id
    plain: Any = Generation.call(model="qwen-plus", messages=HELLO)
    assert plain.status_code == 200
    assert native.chat.completions.create(model="qwen-plus", messages=HELLO).choices[0].finish_reason == "stop"


def test_unknown_model_and_temporary_key(client: openai.OpenAI, emulator: Emulator) -> None:
    """A model that is not there is a 404; a temporary key works like its parent."""
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="qwen-nope", messages=HELLO)
    made = client.post(f"{emulator.native_url}/tokens?expire_in_seconds=60", cast_to=object)
    assert isinstance(made, dict)
    temporary = client.with_options(api_key=made["token"])
    assert temporary.chat.completions.create(model="qwen-plus", messages=HELLO).choices


def test_retries_get_over_a_busy_server(emulator: Emulator) -> None:
    """The openai SDK's own retries get over two refusals."""
    emulator.faults.set("error", 429, times=2)
    try:
        with openai.OpenAI(base_url=emulator.base_url, api_key=emulator.api_key, max_retries=2) as client:
            client._calculate_retry_timeout = lambda *_, **__: 0.001  # type: ignore[method-assign,assignment]
            assert client.chat.completions.create(model="qwen-plus", messages=HELLO).choices
        assert emulator.faults.list()[0]["happened"] == 2
    finally:
        emulator.reset()

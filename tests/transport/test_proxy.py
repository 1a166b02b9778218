"""Calls through a proxy, and past it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.wires import WIRES

from qonduit import AsyncClient, Client

WIRE = WIRES["openai"]
MESSAGES = [{"role": "user", "content": "hi"}]
FAR = {"provider": "openai", "api_key": "sk-test", "base_url": "http://far.example/v1", "model": "m", "max_retries": 0}


def ask(asynchronous: bool, arguments: dict[str, Any]) -> list[str]:
    """A plain answer and a streamed one."""
    if not asynchronous:
        with Client(**arguments) as client:
            plain = client.chat.completions.create(messages=MESSAGES)
            with client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
                return [plain.text, "".join(chunk.choices[0].delta.content or "" for chunk in stream)]

    async def main() -> list[str]:
        async with AsyncClient(**arguments) as client:
            plain = await client.chat.completions.create(messages=MESSAGES)
            async with await client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
                return [plain.text, "".join([chunk.choices[0].delta.content or "" async for chunk in stream])]

    return asyncio.run(main())


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_proxy_of_the_environment_carries_the_call(serve, monkeypatch, asynchronous: bool, library: str) -> None:
    """HTTP_PROXY is asked for a far host, by both libraries; the host itself is never looked up on this side."""
    proxy = serve([WIRE.plain_reply("hello"), WIRE.stream_reply(["hel", "lo"])])
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("QONDUIT_HTTP_LIBRARY", library)
    assert ask(asynchronous, FAR) == ["hello", "hello"]
    assert [request.path for request in proxy.requests] == ["http://far.example/v1/chat/completions"] * 2


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_no_proxy_goes_past_it(serve, monkeypatch, asynchronous: bool) -> None:
    """A host of NO_PROXY is reached directly."""
    server = serve([WIRE.plain_reply("hello"), WIRE.stream_reply(["hel", "lo"])])
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    assert ask(asynchronous, {**FAR, "base_url": f"{server.url}/v1"}) == ["hello", "hello"]

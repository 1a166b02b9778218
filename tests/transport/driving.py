"""Client and AsyncClient behind one face, so that each test of the transport is written once and runs as both."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.servers import ScriptedServer

from qonduit import AsyncClient, ChatChunk, ChatResponse, Client

ASK = [{"role": "user", "content": "hi"}]


class Driver:
    """A client that is driven from sync code: an async one by an event loop of its own. A context manager."""

    def __init__(self, asynchronous: bool, arguments: dict[str, Any]) -> None:
        self.asynchronous = asynchronous
        self._runner = asyncio.Runner() if asynchronous else None
        self.client: Any = AsyncClient(**arguments) if asynchronous else Client(**arguments)

    def run(self, result: Any) -> Any:
        """What `result` is, or what awaiting it gives."""
        return result if self._runner is None else self._runner.run(_awaited(result))

    def ask(self, **parameters: Any) -> ChatResponse:
        """A plain call."""
        response: ChatResponse = self.run(self.client.chat.completions.create(**{"messages": ASK, **parameters}))
        return response

    def stream(self, **parameters: Any) -> Chunks:
        """A streamed call."""
        create = self.client.chat.completions.create
        return Chunks(self, self.run(create(**{"messages": ASK, "stream": True, **parameters})))

    def close(self) -> None:
        self.run(self.client.close())

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self._runner is not None:
            self._runner.close()


class Chunks:
    """A stream, driven from sync code."""

    def __init__(self, driver: Driver, stream: Any) -> None:
        self._driver = driver
        self._stream = stream

    @property
    def response(self) -> ChatResponse | None:
        response: ChatResponse | None = self._stream.response
        return response

    def next(self) -> ChatChunk | None:
        """The next chunk; None at the end."""
        if not self._driver.asynchronous:
            return next(self._stream, None)
        chunk: ChatChunk | None = self._driver.run(anext(self._stream, None))
        return chunk

    def text(self) -> str:
        """All that is left, as text."""
        texts = []
        while (chunk := self.next()) is not None:
            texts.append(chunk.choices[0].delta.content or "")
        return "".join(texts)

    def close(self) -> None:
        self._driver.run(self._stream.close())


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def arguments(server: ScriptedServer | str, **more: Any) -> dict[str, Any]:
    """Arguments of a qwen client for `server`, without retries."""
    url = server if isinstance(server, str) else server.url
    return {
        "provider": "qwen",
        "model": "qwen-plus",
        "api_key": "sk-test",
        "base_url": f"{url}/compatible-mode/v1",
        "timeout": 10,
        "max_retries": 0,
        **more,
    }

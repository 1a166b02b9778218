"""The four ways to ask, behind one helper, so that each case is written once."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.pipeline.memory import MemoryTransport

from qonduit import AsyncClient, ChatChunk, ChatResponse, Client

MESSAGES = [{"role": "user", "content": "Hello"}]


class Told(NamedTuple):
    """What a caller got: the answer, and of a stream its chunks."""

    response: ChatResponse
    chunks: tuple[ChatChunk, ...]

    @property
    def pieces(self) -> list[str]:
        """The texts of the chunks that have one."""
        return [chunk.choices[0].delta.content for chunk in self.chunks if chunk.choices[0].delta.content]


class Mode(NamedTuple):
    """Sync or async, plain or streamed. A sync call blocks the event loop of its test, which waits for nothing else."""

    asynchronous: bool
    streamed: bool

    @property
    def name(self) -> str:
        return ("async-" if self.asynchronous else "sync-") + ("stream" if self.streamed else "plain")

    def client(self, transport: MemoryTransport | None, *plugins: object, **options: Any) -> Client | AsyncClient:
        """A client of the provider qwen, over `transport`, with `plugins`, outermost first."""
        if transport is not None:
            plugins = (*plugins, transport)
        kind = AsyncClient if self.asynchronous else Client
        given = {"provider": "qwen", "model": "qwen-plus", "api_key": "sk-test", **options}
        return kind(plugins=plugins, **given)

    async def start(self, client: Any, **parameters: Any) -> Any:
        """What `create` gives."""
        given = {"messages": MESSAGES, "stream": self.streamed, **parameters}
        result = client.chat.completions.create(**given)
        return await result if self.asynchronous else result

    async def next(self, stream: Any) -> ChatChunk:
        """The next chunk. Raises: StopAsyncIteration in both kinds."""
        if self.asynchronous:
            return await anext(stream)
        try:
            return next(stream)
        except StopIteration:
            raise StopAsyncIteration from None

    async def leave(self, stream: Any) -> None:
        """Close a stream or a client."""
        result = stream.close()
        if self.asynchronous:
            await result

    async def ask(self, client: Any, **parameters: Any) -> Told:
        """Ask, and read a stream to its end."""
        result = await self.start(client, **parameters)
        if not self.streamed:
            return Told(result, ())
        chunks = []
        try:
            while True:
                chunks.append(await self.next(result))
        except StopAsyncIteration:
            return Told(result.response, tuple(chunks))


MODES = tuple(Mode(asynchronous, streamed) for streamed in (False, True) for asynchronous in (False, True))

"""Told: what a caller got; and the asking, in each of the four ways."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Self

from tests.faults.consuming import CONSUMERS, dropped

from qonduit import AsyncClient, ChatChunk, ChatResponse, Client


@dataclass
class Told:
    """What came: the pieces of a stream, the answer, the error."""

    streamed: bool
    pieces: list[str] = field(default_factory=list)
    response: ChatResponse | None = None
    error: BaseException | None = None

    def take(self, chunk: ChatChunk) -> None:
        for choice in chunk.choices:
            if choice.delta.content:
                self.pieces.append(choice.delta.content)


class Asker:
    """A client of either kind, driven from sync code. A context manager, which closes the client."""

    def __init__(self, asynchronous: bool, arguments: dict[str, Any]) -> None:
        self.runner = asyncio.Runner() if asynchronous else None
        self.client: Any = AsyncClient(**arguments) if asynchronous else Client(**arguments)
        self.unhandled: list[dict[str, Any]] = []
        if self.runner is not None:
            self.runner.get_loop().set_exception_handler(lambda _, context: self.unhandled.append(context))

    def ask(self, parameters: dict[str, Any], consumer: str = "all") -> Told:
        """Ask; what comes of a stream is read as `consumer` does."""
        told = Told(parameters.get("stream", False))
        if self.runner is not None:
            self.runner.run(_aask(self.client, parameters, consumer, told))
        else:
            _ask(self.client, parameters, consumer, told)
        return told

    def tasks(self) -> set[asyncio.Task[Any]]:
        """The tasks that are not done."""
        return set() if self.runner is None else asyncio.all_tasks(self.runner.get_loop())

    def close(self) -> None:
        if self.runner is None:
            self.client.close()
        else:
            self.runner.run(self.client.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self.runner is not None:
            self.runner.close()


def _ask(client: Any, parameters: dict[str, Any], consumer: str, told: Told) -> None:
    stream = None
    try:
        answer = client.chat.completions.create(**parameters)
        if not told.streamed:
            told.response = answer
            return
        stream = answer
        consume = CONSUMERS[consumer].sync
        assert consume is not None
        consume(stream, told)
    except (Exception, KeyboardInterrupt) as error:
        told.error = error
    if stream is not None:
        told.response = stream.response
        if consumer == "drop":
            held = [stream]
            del answer, stream
            dropped(held.clear)


async def _aask(client: Any, parameters: dict[str, Any], consumer: str, told: Told) -> None:
    stream = None
    try:
        answer = await client.chat.completions.create(**parameters)
        if not told.streamed:
            told.response = answer
            return
        stream = answer
        consume = CONSUMERS[consumer].asynchronous
        assert consume is not None
        await consume(stream, told)
    except (Exception, asyncio.CancelledError) as error:
        told.error = error
    if stream is not None:
        told.response = stream.response
        if consumer == "drop":
            held = [stream]
            del answer, stream
            dropped(held.clear)

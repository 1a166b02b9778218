"""Replay: cut a whole answer into chunks, for a stream that a layer answered or that came unstreamed."""

from __future__ import annotations

from collections.abc import Iterator

from qonduit.chunk import ChatChunk, ChunkChoice
from qonduit.messages import Delta, FunctionCallDelta, ToolCallDelta
from qonduit.response import ChatResponse, Choice, Response

PIECE = 24
"""Characters of text in one chunk."""


def replay(response: Response, *, usage: bool) -> list[ChatChunk]:
    """The chunks of `response`, the answer to a chat call; with `usage`, a last one that carries only the usage."""
    assert isinstance(response, ChatResponse)  # only chat calls are streamed
    chunks = [_chunk(response, piece) for choice in response.choices for piece in _pieces(choice)]
    if response.search is not None and chunks:
        chunks[0] = chunks[0].model_copy(update={"search": response.search})
    if usage:
        chunks.append(_chunk(response, None))
    return chunks


def _chunk(response: ChatResponse, choice: ChunkChoice | None) -> ChatChunk:
    return ChatChunk(
        id=response.id,
        model=response.model,
        created=response.created,
        choices=(choice,) if choice is not None else (),
        usage=response.usage if choice is None else None,
    )


def _pieces(choice: Choice) -> Iterator[ChunkChoice]:
    message = choice.message
    role: str | None = message.role
    for text in _cut(message.reasoning_content or ""):
        yield ChunkChoice(index=choice.index, delta=Delta(role=role, reasoning_content=text))
        role = None
    texts = _cut(message.text) or ([""] if message.content is not None else [])
    for text in texts:
        yield ChunkChoice(index=choice.index, delta=Delta(role=role, content=text))
        role = None
    for position, call in enumerate(message.tool_calls or ()):
        fragment = ToolCallDelta(
            index=position,
            id=call.id,
            type=call.type,
            function=FunctionCallDelta(name=call.function.name, arguments=call.function.arguments),
        )
        yield ChunkChoice(index=choice.index, delta=Delta(role=role, tool_calls=(fragment,)))
        role = None
    yield ChunkChoice(
        index=choice.index,
        delta=Delta(role=role),
        finish_reason=choice.finish_reason,
        logprobs=choice.logprobs,
    )


def _cut(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]

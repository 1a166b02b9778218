"""Chunks: what a stream yields."""

from __future__ import annotations

from qonduit.messages import Delta
from qonduit.search import Search
from qonduit.usage import Usage
from qonduit.value import Finite, FiniteValue, Value


class ChunkChoice(FiniteValue):
    """What one chunk says of one choice; `finish_reason` is None until the choice's last chunk."""

    index: int = 0
    delta: Delta
    finish_reason: str | None = None
    logprobs: dict[str, Finite] | None = None


class ChatChunk(Value):
    """One chunk of a streamed answer.

    `choices` is never empty, unless the caller asked for usage by `stream_options`: then a last chunk has no choice
    and carries `usage`. `search` stands on the chunk with which the pages that were found have come.
    """

    id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: tuple[ChunkChoice, ...] = ()
    usage: Usage | None = None

    @property
    def search(self) -> Search | None:
        """What was found, where the chunk brings it: `ChatChunk(search=…)`.

        Kept beside the fields: a sixth field would make every chunk of every stream dearer.
        """
        found = self.__pydantic_extra__.get("search") if self.__pydantic_extra__ else None
        return found if isinstance(found, Search) else None

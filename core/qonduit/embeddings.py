"""Embeddings: texts as vectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, FiniteFloat

from qonduit.request import Count, Request
from qonduit.response import Response
from qonduit.usage import Usage
from qonduit.value import Value


def _texts(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Embedding(Value):
    """The vector of one text; `index` is the text's place in the input."""

    index: int
    embedding: tuple[FiniteFloat, ...] = Field(repr=False)


class EmbeddingResponse(Response):
    """The vectors, in the order of the input."""

    data: tuple[Embedding, ...] = ()

    @classmethod
    def joined(cls, responses: list[Self]) -> Self:
        """The answers to the pieces of one request as one: vectors renumbered, usage added up."""
        if len(responses) == 1:
            return responses[0]
        data: list[Embedding] = []
        for response in responses:
            start = len(data)
            data += [item.model_copy(update={"index": start + item.index}) for item in response.data]
        last = responses[-1]
        return last.replace(
            data=tuple(data),
            usage=Usage.total(response.usage for response in responses),
            complete=all(response.complete for response in responses),
            warnings=unique(warning for response in responses for warning in response.warnings),
            content=tuple(part for response in responses for part in response.content),
        )


def unique(warnings: Iterable[str]) -> tuple[str, ...]:
    """`warnings` without repetitions, in their order."""
    return tuple(dict.fromkeys(warnings))


class EmbeddingRequest(Request):
    """Ask for the vectors of texts.

    More texts than the model takes in one request are sent in several, one after the other, and put together again in
    their order. What only one provider knows (`text_type`, `instruct`) goes into `extra_body`.
    """

    operation: ClassVar[str] = "embeddings"
    response_type: ClassVar[type[Response]] = EmbeddingResponse

    input: Annotated[tuple[str, ...], BeforeValidator(_texts), Field(min_length=1)]
    """A text, or a list of texts. Lists of token ids are not taken: several providers refuse them."""
    dimensions: Annotated[Count, Field(ge=1)] | None = None
    """The length of each vector; the model's own by default."""
    encoding_format: Literal["float"] = "float"
    """Always numbers: not every provider has base64."""

    def pieces(self, size: int | None) -> list[Self]:
        """The request cut into requests of at most `size` texts."""
        if size is None or len(self.input) <= size:
            return [self]
        return [self.replace(input=self.input[start : start + size]) for start in range(0, len(self.input), size)]

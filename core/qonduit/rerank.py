"""Rerank: documents in the order in which they answer a query."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, FiniteFloat

from qonduit.request import Count, Flag, Request
from qonduit.response import Response
from qonduit.value import Value


class RerankResult(Value):
    """One document's place: `index` in the list that was asked about, and how well it fits, from 0 to 1."""

    index: int
    relevance_score: FiniteFloat
    document: Any = None


class RerankResponse(Response):
    """The results, the best first."""

    results: tuple[RerankResult, ...] = ()


class RerankRequest(Request):
    """Ask which documents answer a query best. What only one provider knows (`instruct`) goes into `extra_body`."""

    operation: ClassVar[str] = "rerank"
    response_type: ClassVar[type[Response]] = RerankResponse

    query: str
    documents: Annotated[tuple[str | dict[str, Any], ...], Field(min_length=1)]
    """Texts; or for a model that takes them, mappings with "text", "image" or "video"."""
    top_n: Annotated[Count, Field(ge=1)] | None = None
    """How many results are wanted; all by default."""
    return_documents: Flag | None = None
    """Whether the documents come back with the results; they do not by default."""

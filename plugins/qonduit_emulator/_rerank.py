"""Rerank: the native form, and the flat one of `/compatible-api/v1/reranks`.

Source: https://help.aliyun.com/zh/model-studio/text-rerank-api (2026-05).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qonduit_emulator import _tokens
from qonduit_emulator._fields import (
    Fields,
    parse_body,
    read_flag,
    read_integer,
    read_list,
    read_model_name,
    read_object,
)
from qonduit_emulator._models import Model, ModelKind
from qonduit_emulator._refusal import invalid_parameter, invalid_value, missing_input
from qonduit_emulator._vectors import relate
from qonduit_emulator._wire import dump


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rerank:
    """What both forms ask for. `top_n` is `None` for all documents."""

    model: str
    query: str
    documents: Sequence[str]
    top_n: int | None = None
    kind: ModelKind = "rerank"

    @property
    def input_tokens(self) -> int:
        """The query is read with each document."""
        query = _tokens.count(self.query)
        return sum(query + _tokens.count(document) for document in self.documents)

    def check(self, model: Model) -> None:
        """The number of documents has to suit the model, and so has the longest."""
        if model.max_batch is not None and len(self.documents) > model.max_batch:
            raise invalid_value(f"Value error, documents should not be more than {model.max_batch}.")
        if self.top_n is not None and self.top_n < 1:
            raise invalid_value("Value error, top_n should be greater than 0.")

    def results(self) -> list[tuple[int, float]]:
        """Index and score of the best documents, best first, earlier ones first where scores are equal."""
        scores = [(index, relate(self.query, document)) for index, document in enumerate(self.documents)]
        return sorted(scores, key=lambda result: -result[1])[: self.top_n]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatibleRerank(_Rerank):
    """`POST /compatible-api/v1/reranks`."""

    def answer(self, model: Model, request_id: str) -> bytes:
        """A flat list, best first."""
        results = [{"index": index, "relevance_score": score} for index, score in self.results()]
        usage = {"total_tokens": self.input_tokens}
        return dump({"object": "list", "results": results, "model": self.model, "id": request_id, "usage": usage})


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeRerank(_Rerank):
    """`POST …/services/rerank/text-rerank/text-rerank`."""

    return_documents: bool = False

    def answer(self, model: Model, request_id: str) -> bytes:
        """The results, best first, with their texts if that was asked for."""
        results: list[dict[str, Any]] = []
        for index, score in self.results():
            document = {"document": {"text": self.documents[index]}} if self.return_documents else {}
            results.append({**document, "index": index, "relevance_score": score})
        usage = {"total_tokens": self.input_tokens}
        return dump({"output": {"results": results}, "usage": usage, "request_id": request_id})


def parse_compatible_rerank(body: bytes) -> CompatibleRerank:
    """Read `{"model", "query", "documents", "top_n"}`. Raises `Refusal`."""
    fields = parse_body(body)
    return CompatibleRerank(
        model=read_model_name(fields),
        query=_read_query(fields),
        documents=_read_documents(fields),
        top_n=read_integer(fields, "top_n"),
    )


def parse_native_rerank(body: bytes) -> NativeRerank:
    """Read `{"model", "input": {"query", "documents"}, "parameters"}`. Raises `Refusal`."""
    fields = parse_body(body)
    model = read_model_name(fields)
    content = read_object(fields, "input")
    if content is None:
        raise missing_input()
    options = read_object(fields, "parameters") or {}
    return NativeRerank(
        model=model,
        query=_read_query(content),
        documents=_read_documents(content),
        top_n=read_integer(options, "top_n"),
        return_documents=bool(read_flag(options, "return_documents")),
    )


def _read_query(fields: Fields) -> str:
    match fields.get("query"):
        case str(query) | {"text": str(query)} if query:
            return query
        case _:
            raise invalid_parameter("'query' is a required property")


def _read_documents(fields: Fields) -> tuple[str, ...]:
    documents = read_list(fields, "documents")
    if not documents:
        raise invalid_parameter("'documents' is a required property")
    return tuple(_read_document(document) for document in documents)


def _read_document(value: Any) -> str:
    """A text; of a picture or film only its URL counts."""
    match value:
        case str(text) | {"text": str(text)} | {"image": str(text)} | {"video": str(text)}:
            return text
        case _:
            raise invalid_parameter("'documents' should be an array of String or of objects with 'text'")

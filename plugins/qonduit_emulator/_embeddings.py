"""Text embeddings on both wires.

Source: https://help.aliyun.com/zh/model-studio/text-embedding-synchronous-api and
.../embedding-interfaces-compatible-with-openai (2026-05); captured traffic, 2024-02-27 (native).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qonduit_emulator import _tokens
from qonduit_emulator._fields import Fields, parse_body, read_integer, read_model_name, read_object, read_text
from qonduit_emulator._models import Model, ModelKind
from qonduit_emulator._refusal import Refusal, invalid_parameter, invalid_value, missing_input
from qonduit_emulator._vectors import embed, embed_sparse
from qonduit_emulator._wire import dump

OutputType = Literal["dense", "sparse", "dense&sparse"]

_CONTENTS = "Value error, contents is neither str nor list of str.: input.contents"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Embedding:
    """What both wires ask for. `dimension` is `None` for the model's own."""

    model: str
    texts: Sequence[str]
    dimension: int | None = None
    kind: ModelKind = "embedding"

    @property
    def input_tokens(self) -> int:
        """The tokens of all texts."""
        return sum(_tokens.count(text) for text in self.texts)

    def check(self, model: Model) -> None:
        """The batch, each text and the dimension have to suit the model."""
        if model.max_batch is not None and len(self.texts) > model.max_batch:
            raise invalid_value(
                f"Value error, batch size is invalid, it should not be larger than {model.max_batch}.: input.contents"
            )
        if any(not text for text in self.texts):
            raise invalid_value("Value error, contents is empty.: input.contents")
        if model.max_input is not None and any(_tokens.count(t) > model.max_input for t in self.texts):
            raise invalid_value(f"Range of input length should be [1, {model.max_input}]")
        if self.dimension is not None and self.dimension not in model.dimensions:
            known = ", ".join(map(str, model.dimensions))
            raise invalid_value(f"Value error, dimension should be one of [{known}]: parameters.dimension")

    def vectors(self, model: Model) -> list[list[float]]:
        """One vector per text."""
        dimension = self.dimension or model.dimensions[0]
        return [embed(text, dimension) for text in self.texts]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatibleEmbedding(_Embedding):
    """`POST …/embeddings`."""

    def answer(self, model: Model, request_id: str) -> bytes:
        """OpenAI's body, and an `id`, which OpenAI has not."""
        data = [
            {"embedding": vector, "index": index, "object": "embedding"}
            for index, vector in enumerate(self.vectors(model))
        ]
        usage = {"prompt_tokens": self.input_tokens, "total_tokens": self.input_tokens}
        return dump({"data": data, "model": self.model, "object": "list", "usage": usage, "id": request_id})


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeEmbedding(_Embedding):
    """`POST …/embeddings/text-embedding/text-embedding`."""

    output_type: OutputType = "dense"

    def answer(self, model: Model, request_id: str) -> bytes:
        """Dense vectors, sparse ones, or both."""
        embeddings: list[dict[str, Any]] = [{"text_index": index} for index in range(len(self.texts))]
        if self.output_type != "sparse":
            for embedding, vector in zip(embeddings, self.vectors(model), strict=True):
                embedding["embedding"] = vector
        if self.output_type != "dense":
            for embedding, text in zip(embeddings, self.texts, strict=True):
                embedding["sparse_embedding"] = [
                    {"index": _tokens.token_id(word), "value": weight, "token": word}
                    for word, weight in embed_sparse(text)
                ]
        usage = {"total_tokens": self.input_tokens}
        return dump({"output": {"embeddings": embeddings}, "usage": usage, "request_id": request_id})


def parse_compatible_embedding(body: bytes) -> CompatibleEmbedding:
    """Read `{"model", "input", "dimensions", "encoding_format"}`. Raises `Refusal`."""
    fields = parse_body(body)
    if fields.get("encoding_format") not in {None, "float"}:
        raise invalid_value("Value error, encoding_format should be float: parameters.encoding_format")
    return CompatibleEmbedding(
        model=read_model_name(fields),
        texts=_read_texts(fields.get("input")),
        dimension=read_integer(fields, "dimensions"),
    )


def parse_native_embedding(body: bytes) -> NativeEmbedding:
    """Read `{"model", "input": {"texts"}, "parameters"}`. Raises `Refusal`."""
    fields = parse_body(body)
    model = read_model_name(fields)
    content = read_object(fields, "input")
    if content is None:
        raise missing_input()
    options = read_object(fields, "parameters") or {}
    if read_text(options, "text_type") not in {None, "query", "document"}:
        raise invalid_parameter("text_type should be 'query' or 'document'")
    return NativeEmbedding(
        model=model,
        texts=_read_texts(content.get("texts")),
        dimension=read_integer(options, "dimension"),
        output_type=_read_output_type(options),
    )


def _read_output_type(options: Fields) -> OutputType:
    match options.get("output_type"):
        case None | "dense":
            return "dense"
        case "sparse":
            return "sparse"
        case "dense&sparse":
            return "dense&sparse"
        case _:
            raise invalid_parameter("output_type should be 'dense', 'sparse' or 'dense&sparse'")


def _read_texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong_contents()
    if not value:
        raise invalid_parameter("[] is too short - 'input'", compatible_message="[] is too short - 'input'")
    return tuple(value)


def _wrong_contents() -> Refusal:
    """400, also for arrays of token ids."""
    return invalid_value(_CONTENTS)

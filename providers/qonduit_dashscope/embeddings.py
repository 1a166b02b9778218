"""Embeddings on the native wire.

Source: https://help.aliyun.com/zh/model-studio/text-embedding-synchronous-api (2026-05). `extra_body` takes
`text_type` ("query", "document"), `instruct` and `output_type`; sparse vectors stand on each `Embedding` as
`sparse_embedding`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qonduit.embeddings import Embedding, EmbeddingRequest, EmbeddingResponse

PATH = "/services/embeddings/text-embedding/text-embedding"


def write(request: EmbeddingRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `input` and the `parameters` of a request."""
    parameters = {} if request.dimensions is None else {"dimension": request.dimensions}
    return {"texts": request.input}, parameters


def read(request: EmbeddingRequest, output: Mapping[str, Any], common: Mapping[str, Any]) -> EmbeddingResponse:
    """The vectors in the order of the texts. Raises: TypeError, KeyError, ValueError for what is no answer."""
    vectors = [
        Embedding.model_validate(
            {
                **{name: value for name, value in item.items() if name not in {"text_index", "embedding"}},
                "index": item.get("text_index", position),
                "embedding": item.get("embedding") or (),  # only sparse ones were asked for
            }
        )
        for position, item in enumerate(output["embeddings"])
    ]
    vectors.sort(key=lambda vector: vector.index)
    if [vector.index for vector in vectors] != list(range(len(request.input))):
        raise ValueError("a vector too few or too many would give later texts the vectors of others")
    return EmbeddingResponse(**common, data=tuple(vectors))

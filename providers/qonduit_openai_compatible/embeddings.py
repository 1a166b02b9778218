"""Embeddings on OpenAI's wire: `POST {base_url}/embeddings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from qonduit.embeddings import Embedding, EmbeddingRequest, EmbeddingResponse
from qonduit.usage import counted
from qonduit.wire import WireRequest, WireResponse


class Embeddings:
    """Always asks for numbers: not every server has base64, and OpenAI's own client would ask for it."""

    def build(self, request: EmbeddingRequest, base_url: str, headers: Mapping[str, str]) -> WireRequest:
        """See `qonduit_openai_compatible.dialect.Operation`."""
        body: dict[str, Any] = {"model": request.model, "input": request.input, "encoding_format": "float"}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        body.update(request.extra_body or {})
        return WireRequest("POST", f"{base_url}/embeddings", headers, to_json(body), operation=request.operation)

    def read(
        self, request: EmbeddingRequest, body: Any, response: WireResponse, provider: str
    ) -> EmbeddingResponse | None:
        """See `qonduit_openai_compatible.dialect.Operation`."""
        try:
            rows = sorted(body["data"], key=lambda row: row["index"])
            if [row["index"] for row in rows] != list(range(len(request.input))):
                return None  # each later text would have another's vector
            return EmbeddingResponse(
                data=tuple(Embedding(index=row["index"], embedding=row["embedding"]) for row in rows),
                model=body.get("model") or request.model,
                usage=counted(body.get("usage")),
                request_id=response.headers.get("x-request-id") or body.get("id"),
                provider=provider,
                status_code=response.status,
                content=(response.content,),
            )
        except (KeyError, TypeError, AttributeError, ValueError):  # pydantic's ValidationError is a ValueError
            return None

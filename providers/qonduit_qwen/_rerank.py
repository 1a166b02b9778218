"""Rerank beside compatible mode: `POST /compatible-api/v1/reranks` on the same host.

Source: https://help.aliyun.com/zh/model-studio/text-rerank-api (2026-05).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from qonduit.errors import BadRequestError
from qonduit.rerank import RerankRequest, RerankResponse, RerankResult
from qonduit.usage import Usage
from qonduit.wire import WireRequest, WireResponse

PATH = "/compatible-mode/v1"
"""What the provider's base URLs end with."""


class Rerank:
    """A flat body, and a flat answer."""

    def build(self, request: RerankRequest, base_url: str, headers: Mapping[str, str]) -> WireRequest:
        """See `qonduit_openai_compatible.dialect.Operation`."""
        if not base_url.endswith(PATH):
            raise BadRequestError(
                f"The request was not sent: rerank is asked beside {base_url}, which cannot be found because that does "
                f"not end with {PATH}.",
                outcome="not_sent",
            )
        body: dict[str, Any] = {"model": request.model, "query": request.query, "documents": request.documents}
        if request.top_n is not None:
            body["top_n"] = request.top_n
        body.update(request.extra_body or {})
        url = f"{base_url.removesuffix(PATH)}/compatible-api/v1/reranks"
        left_out = ("return_documents",) if request.return_documents else ()
        return WireRequest("POST", url, headers, to_json(body), operation=request.operation, unsupported=left_out)

    def read(self, request: RerankRequest, body: Any, response: WireResponse, provider: str) -> RerankResponse | None:
        """See `qonduit_openai_compatible.dialect.Operation`."""
        try:
            usage = body.get("usage") or {}
            total = usage.get("total_tokens")
            return RerankResponse(
                results=tuple(RerankResult.model_validate(row) for row in body["results"]),
                model=body.get("model") or request.model,
                usage=Usage(input_tokens=total, total_tokens=total, raw=usage) if total is not None else None,
                request_id=response.headers.get("x-request-id") or body.get("id"),
                provider=provider,
                status_code=response.status,
                content=(response.content,),
            )
        except (KeyError, TypeError, AttributeError, ValidationError):
            return None

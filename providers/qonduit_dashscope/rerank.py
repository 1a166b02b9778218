"""Rerank on the native wire.

Source: https://help.aliyun.com/zh/model-studio/text-rerank-api (2026-05). `extra_body` takes `instruct`, and `fps`
where documents may be films.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qonduit.rerank import RerankRequest, RerankResponse

PATH = "/services/rerank/text-rerank/text-rerank"


def write(request: RerankRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `input` and the `parameters` of a request."""
    asked = {"top_n": request.top_n, "return_documents": request.return_documents}
    parameters = {name: value for name, value in asked.items() if value is not None}
    return {"query": request.query, "documents": request.documents}, parameters


def read(output: Mapping[str, Any], common: Mapping[str, Any]) -> RerankResponse:
    """The results, the best first. Raises: TypeError, KeyError, ValueError for what is no answer."""
    return RerankResponse(**common, results=output["results"])

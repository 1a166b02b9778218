"""The list of models on OpenAI's wire: `GET {base_url}/models`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from qonduit.model_list import ListedModel, ModelList, ModelsRequest
from qonduit.wire import WireRequest, WireResponse


class Models:
    """One page; a server with nothing to list may say null."""

    def build(self, request: ModelsRequest, base_url: str, headers: Mapping[str, str]) -> WireRequest:
        """See `qonduit_openai_compatible.dialect.Operation`."""
        bare = {name: value for name, value in headers.items() if name != "content-type"}
        nowhere = ("extra_body",) if request.extra_body else ()
        return WireRequest("GET", f"{base_url}/models", bare, b"", operation=request.operation, unsupported=nowhere)

    def read(self, request: ModelsRequest, body: Any, response: WireResponse, provider: str) -> ModelList | None:
        """See `qonduit_openai_compatible.dialect.Operation`."""
        try:
            return ModelList(
                data=tuple(ListedModel.model_validate(row) for row in body["data"] or ()),
                request_id=response.headers.get("x-request-id"),
                provider=provider,
                status_code=response.status,
                content=(response.content,),
            )
        except (KeyError, TypeError, ValidationError):
            return None

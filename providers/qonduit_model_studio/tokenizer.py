"""Token counts by the vendor's tokenizer, a native endpoint that serves both providers.

Source: Alibaba's SDK, dashscope 2.0.2, and captured traffic of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from qonduit.errors import BadRequestError
from qonduit.token_count import TokenCount, TokenCountRequest
from qonduit.usage import Usage
from qonduit.wire import WireRequest, WireResponse

NATIVE = "/api/v1"


def build(request: TokenCountRequest, *, base_url: str, path: str, headers: Mapping[str, str]) -> WireRequest:
    """The request; `path` is what the provider's base URLs end with.

    Raises: BadRequestError when the base URL does not end so, and the native API beside it cannot be found.
    """
    if not base_url.endswith(path):
        raise BadRequestError(
            f"The request was not sent: count_tokens is asked of the native API beside {base_url}, which cannot be "
            f'found because that does not end with {path}. Use provider = "dashscope" with its own base_url.',
            outcome="not_sent",
        )
    messages = [{"role": message.role, "content": message.text} for message in request.messages]
    body: dict[str, Any] = {"model": request.model, "input": {"messages": messages}, **(request.extra_body or {})}
    own = {name.lower(): value for name, value in (request.extra_headers or {}).items()}
    url = f"{base_url.removesuffix(path)}{NATIVE}/tokenizer"
    left_out = ("parts other than text (they are not counted)",) if _has_media(request) else ()
    return WireRequest(
        "POST", url, {**headers, **own}, to_json(body), operation=request.operation, unsupported=left_out
    )


def _has_media(request: TokenCountRequest) -> bool:
    return any(
        "text" not in part
        for message in request.messages
        if isinstance(message.content, tuple)
        for part in message.content
    )


def read(request: TokenCountRequest, body: Any, response: WireResponse, provider: str) -> TokenCount | None:
    """The count in a parsed answer; None when it is none."""
    try:
        output, count = body["output"], body["usage"]["input_tokens"]
        return TokenCount(
            model=request.model,
            input_tokens=count,
            token_ids=output.get("token_ids"),
            tokens=output.get("tokens"),
            usage=Usage(input_tokens=count),
            request_id=body.get("request_id") or response.headers.get("x-request-id"),
            provider=provider,
            status_code=response.status,
            content=(response.content,),
        )
    except (KeyError, TypeError, AttributeError, ValidationError):
        return None

"""The envelope of every native request: `model`, `input` and `parameters`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from qonduit.models import Model
from qonduit.request import Request
from qonduit.wire import WireRequest


def write(request: Request, content: Mapping[str, Any], parameters: dict[str, Any]) -> bytes:
    """The body of `request`: `content` is its `input`. Fields of `extra_body` go over what is there.

    They go into `parameters`; `model`, `input` and `parameters` among them into those objects, or in their place.
    """
    body: dict[str, Any] = {"model": request.model, "input": content, "parameters": parameters}
    for name, value in (request.extra_body or {}).items():
        if name not in {"model", "input", "parameters"}:
            body["parameters"][name] = value
        elif isinstance(value, Mapping) and isinstance(body[name], Mapping):
            body[name] = {**body[name], **value}
        else:
            body[name] = value
    return to_json(body)


def said(request: Request, name: str) -> Any:
    """The parameter `name` as `extra_body` says it; None when it does not."""
    extra = request.extra_body or {}
    parameters = extra.get("parameters")
    return extra.get(name, parameters.get(name) if isinstance(parameters, Mapping) else None)


def with_own(headers: Mapping[str, str], request: Request) -> Mapping[str, str]:
    """`headers` with those of the call over them."""
    if not request.extra_headers:
        return headers
    return {**headers, **{name.lower(): value for name, value in request.extra_headers.items()}}


def wire_request(
    request: Request,
    model: Model,
    url: str,
    headers: Mapping[str, str],
    content: Mapping[str, Any],
    parameters: dict[str, Any],
) -> WireRequest:
    """A request of an operation other than chat; a model that is to be taken offline is warned of."""
    warnings = (model.retirement,) if model.retirement else ()
    body = write(request, content, parameters)
    return WireRequest("POST", url, with_own(headers, request), body, operation=request.operation, warnings=warnings)

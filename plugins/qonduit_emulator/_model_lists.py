"""The lists of models, as each wire has them.

Source: native: the official SDK 2.0.2 (fields `model`, `source`, `provider`, `opensource`, and pages); what the
vendor's list holds beyond that is not known. Compatible: OpenAI's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qonduit_emulator._models import Catalogue, Model
from qonduit_emulator._refusal import invalid_parameter
from qonduit_emulator._wire import dump

DEFAULT_PAGE_SIZE = 10
MAX_PAGE_SIZE = 100


def list_compatible_models(catalogue: Catalogue, created: int) -> bytes:
    """The body of `GET …/models`; `created` is in unix seconds."""
    data = [_build_compatible(model, created) for model in catalogue.values()]
    return dump({"object": "list", "data": data})


def show_compatible_model(model: Model, created: int) -> bytes:
    """The body of `GET …/models/{id}`."""
    return dump(_build_compatible(model, created))


def list_native_models(catalogue: Catalogue, query: Mapping[str, str], request_id: str) -> bytes:
    """One page of the native list, with only the models whose name contains `model` if that is given.

    Raises:
        Refusal: a page number or size that is none.
    """
    wanted = [model for model in catalogue.values() if query.get("model", "") in model.name]
    page = _read_number(query, "page_no", 1, 1_000_000)
    size = _read_number(query, "page_size", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    shown = wanted[(page - 1) * size : page * size]
    output: dict[str, Any] = {
        "total": len(wanted),
        "page_no": page,
        "page_size": size,
        "models": [
            {"model": model.name, "source": "system", "provider": model.owner, "opensource": False} for model in shown
        ],
    }
    return dump({"output": output, "request_id": request_id})


def _build_compatible(model: Model, created: int) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": created, "owned_by": model.owner}


def _read_number(query: Mapping[str, str], name: str, default: int, highest: int) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= highest:
        raise invalid_parameter(f"Range of {name} should be [1, {highest}]")
    return int(text[:9])

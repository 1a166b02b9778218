"""The native list of models, page by page.

Source: Alibaba's SDK, dashscope 2.0.2. The list is known to be incomplete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qonduit.model_list import ListedModel, ModelList, ModelsRequest

PAGE_SIZE = 100


def path(request: ModelsRequest) -> str:
    """The path and query of a page."""
    return f"/models?page_no={request.page}&page_size={PAGE_SIZE}"


def read(request: ModelsRequest, output: Mapping[str, Any], common: Mapping[str, Any]) -> ModelList:
    """One page. Raises: TypeError, KeyError, ValueError for what is no answer."""
    data = tuple(map(_model, output["models"] or ()))
    total = output.get("total")
    more = bool(data) and isinstance(total, int) and request.page * PAGE_SIZE < total
    return ModelList(**{**common, "model": None}, data=data, more=more)  # it is of no model


def _model(item: Mapping[str, Any]) -> ListedModel:
    other = {name: value for name, value in item.items() if name != "model"}
    return ListedModel.model_validate({**other, "id": item["model"], "owned_by": item.get("provider")})

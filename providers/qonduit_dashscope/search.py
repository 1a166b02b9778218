"""Search results: `output.search_info` of an answer or of an event.

Source: https://help.aliyun.com/zh/model-studio/web-search (2026-05-26).
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from qonduit.search import Search


def search_of(output: Any) -> Search | None:
    """The search of `output`; None where it says none, or in no form that is known: no answer is lost over it."""
    info = output.get("search_info") if isinstance(output, dict) else None
    if not isinstance(info, dict) or not info:
        return None
    rest = {name: value for name, value in info.items() if name not in {"search_results", "results"}}
    try:
        return Search(**rest, results=info.get("search_results") or ())
    except ValidationError:
        return None

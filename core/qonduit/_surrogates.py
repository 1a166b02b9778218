"""Surrogates: find the text that UTF-8 cannot carry, once building a request has failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def surrogate_in(value: Any, place: str = "") -> str | None:
    """The place of the first text with a lone surrogate, e.g. `messages[0].content`; None when there is none."""
    match value:
        case str():
            return (place or "the text") if any("\ud800" <= character <= "\udfff" for character in value) else None
        case BaseModel():
            return _first((value.__dict__ | (value.model_extra or {})).items(), place)
        case Mapping():
            return _first(value.items(), place)
        case list() | tuple():
            found = (surrogate_in(item, f"{place}[{index}]") for index, item in enumerate(value))
            return next((name for name in found if name is not None), None)
        case _:
            return None


def _first(items: Any, place: str) -> str | None:
    for name, item in items:
        found = surrogate_in(item, f"{place}.{name}" if place else str(name))
        if found is not None:
            return found
    return None

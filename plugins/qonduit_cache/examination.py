"""Examination: what an entry of a store says of itself, for people who look after the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from qonduit import ChatRequest, EmbeddingRequest, RerankRequest, TokenCountRequest
from qonduit_cache.entry import EntryError, decode

_KINDS = {
    kind.operation: kind.response_type for kind in (ChatRequest, EmbeddingRequest, RerankRequest, TokenCountRequest)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One entry. What cannot be read of it is None.

    Attributes:
        document: the entry's JSON.
        fault: why it would not be given; None when it would.
    """

    key: str
    size: int
    operation: str | None = None
    model: str | None = None
    created: float | None = None
    expires: float | None = None
    document: dict[str, Any] | None = None
    fault: str | None = None


def examine(entry: bytes, key: str, *, secret: bytes, now: float) -> Examined:
    """What `entry` says of itself. Raises nothing."""
    try:
        document = from_json(entry)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("operation") not in _KINDS:
        return Examined(key=key, size=len(entry), fault="it is no entry")
    fault = None
    operation = document["operation"]
    try:
        decode(entry, key, operation, _KINDS[operation], now=now, secret=secret)
    except EntryError as error:
        fault = str(error)
    response = document.get("response")
    return Examined(
        key=key,
        size=len(entry),
        operation=operation,
        model=_of(response.get("model") if isinstance(response, dict) else None, str),
        created=_of(document.get("created"), float),
        expires=_of(document.get("expires"), float),
        document=document,
        fault=fault,
    )


def _of(value: Any, kind: type) -> Any:
    return value if isinstance(value, kind) else None

"""Damage: what servers, proxies and broken lines make of a body. Deterministic: a failure fails again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

CORRUPTIONS = 50
HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
_DEEP = 20_000
NO_ANSWERS = {
    "an empty body": b"",
    "white space": b" \n",
    "HTML": HTML,
    "null": b"null",
    "an empty list": b"[]",
    "a list of null": b"[null]",
    "an empty object": b"{}",
    "a number": b"42",
    "a text": b'"hello"',
    "bytes that are no UTF-8": b"\xff\xfe\x00\x01",
    "deep lists": b"[" * _DEEP + b"]" * _DEEP,
    "deep objects": b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
}
_MASKS = (0x01, 0x80, 0x20, 0x0F, 0xFF)
_ODD: tuple[Any, ...] = (None, 7, -1.5, "odd", True, [], {}, [None], {"odd": None})


def corrupted(content: bytes) -> Iterator[tuple[str, bytes]]:
    """`content` with one byte changed, at places all over it; each with what was changed."""
    for number in range(CORRUPTIONS if content else 0):
        position = number * len(content) // CORRUPTIONS
        changed = bytes([content[position] ^ _MASKS[number % len(_MASKS)]])
        yield f"byte {position} changed", content[:position] + changed + content[position + 1 :]


def odd(body: Any) -> Iterator[tuple[str, Any]]:
    """JSON data with one value at a time taken out, or replaced by one of another type; each with its place."""
    for path in _paths(body):
        *parents, last = path
        place = "/".join(map(str, path))
        for value in _ODD:
            copy = json.loads(json.dumps(body))
            _at(copy, parents)[last] = value
            yield f"{place} = {value!r}", copy
        copy = json.loads(json.dumps(body))
        del _at(copy, parents)[last]
        yield f"without {place}", copy


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """The place of everything in `value`; of a list, of its first item only: the others are alike."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in items:
        yield (key,)
        yield from ((key, *rest) for rest in _paths(item))


def _at(value: Any, path: list[Any]) -> Any:
    for key in path:
        value = value[key]
    return value


def enriched(value: Any) -> Any:
    """JSON data with a field that nobody knows in each object."""
    match value:
        case dict():
            return {**{name: enriched(item) for name, item in value.items()}, "x_conformance": {"later": [1]}}
        case list():
            return list(map(enriched, value))
        case _:
            return value

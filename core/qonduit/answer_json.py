"""Answers' JSON, read so that nothing in it is guessed.

Parsers differ on what the standard leaves open: a name that stands twice in one object, NaN, a number that no float
holds. Money hangs on some of these fields, so such an answer is refused. Half of a surrogate pair (`"\\ud83d"` alone)
is replaced by U+FFFD and said: the model did answer, but UTF-8 cannot carry its text as it came.
Source: https://www.rfc-editor.org/rfc/rfc8259 (sections 4, 6 and 8.2).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic_core import from_json

MAX_DEPTH = 200
"""How deep arrays and objects may be nested: as deep as pydantic reads and writes them."""
MAX_DIGITS = 4300
"""How many digits a whole number may have: Python's own limit, and pydantic's."""
REPLACED = (
    "The answer held half of a surrogate pair, which UTF-8 cannot carry; U+FFFD stands in its place. "
    "'raw' has it replaced, too."
)

_HALF = re.compile("[\ud800-\udfff]")
_MAY_BE_INFINITE = frozenset({float, dict, list})


class Parsed(NamedTuple):
    """A JSON value; `replaced` says whether halves of surrogate pairs in it became U+FFFD."""

    value: Any
    replaced: bool


class NotStrictError(ValueError):
    """JSON that cannot be relied on. The text says why, and repeats nothing of it."""


def parse(data: bytes) -> Parsed:
    """The value of `data`. Raises: NotStrictError."""
    try:
        text = data.decode()
        value = _STRICT.decode(text)
    except NotStrictError:
        raise
    except (UnicodeDecodeError, json.JSONDecodeError):
        problem = "it is broken"
    except RecursionError:
        problem = f"it is nested deeper than {MAX_DEPTH}"
    except ValueError:
        problem = f"a whole number has more than {MAX_DIGITS} digits"
    else:
        if text.count("[") + text.count("{") > MAX_DEPTH and not _shallow(value):
            raise NotStrictError(f"it is nested deeper than {MAX_DEPTH}")
        if "\\ud" not in text and "\\uD" not in text:
            return Parsed(value, replaced=False)
        whole = without_halves(value)
        return Parsed(whole, replaced=whole != value)
    raise NotStrictError(problem)


def check(data: bytes, once: Iterable[bytes], each: bytes, times: int) -> None:
    """`parse`, where there is a doubt: for an answer that another parser has read, at a fraction of its cost.

    `once` are names, in their quotes, that an answer has once, `each` is one that each of its `times` choices has.
    Raises: NotStrictError.
    """
    doubt = data.count(each) > times
    for name in once:
        doubt = doubt or data.count(name) > 1
    if doubt:
        parse(data)


def parse_vectors(data: bytes) -> Parsed:
    """`parse` for a long list of numbers: many times faster, names that stand twice and large floats not looked for."""
    try:
        return Parsed(from_json(data, allow_inf_nan=False), replaced=False)
    except ValueError:
        return parse(data)


def error_fields(data: bytes) -> dict[str, Any]:
    """The object that an error's body is; {} for any other. It is read as far as it can be: the code in it counts."""
    try:
        value = from_json(data)
    except ValueError:
        try:
            value = without_halves(json.loads(data.decode(errors="replace"), strict=False))
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def finite(value: Any) -> Any:
    """`value`, whose floats are numbers. Raises: NotStrictError for NaN and the infinities."""
    kind = value.__class__
    if kind is float:
        if not math.isfinite(value):
            raise NotStrictError("a number is none, or larger than any float")
    elif kind is dict or kind is list:
        for item in value.values() if kind is dict else value:
            if item.__class__ in _MAY_BE_INFINITE:
                finite(item)
    return value


def without_halves(value: Any) -> Any:
    """`value` with U+FFFD for each half of a surrogate pair that stands alone."""
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [without_halves(item) for item in value]
    if isinstance(value, dict):
        return {without_halves(name): without_halves(item) for name, item in value.items()}
    return value


def _shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [item for item in level if isinstance(item, (dict, list))]
        if not inner:
            return True
        level = [found for item in inner for found in (item.values() if isinstance(item, dict) else item)]
    return not any(isinstance(item, (dict, list)) for item in level)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise NotStrictError("a name stands twice in one object")
    return fields


def _float(text: str) -> float:
    return finite(float(text))  # type: ignore[no-any-return]  # a float is given back as it is


def _constant(name: str) -> Any:
    raise NotStrictError(f"{name} is no number of JSON's")


_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)

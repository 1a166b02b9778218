"""Mistakes: what was wrong with an input, in sentences that name the place, what was expected and the nearest name.

pydantic's own texts are not shown: they may hold the input, and an input may be a key or a prompt.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_EXPECTED = {
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "finite_number": "a finite number",
    "string_type": "text",
    "string_unicode": "text that UTF-8 can carry (no lone surrogate)",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}


def nearest(name: str, names: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` when one of `names` is near, else their list; for the end of a sentence."""
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f" (did you mean '{near[0]}'?)"
    return f" (known: {', '.join(known)})" if known else ""


def describe_mistakes(
    error: ValidationError, model: type[BaseModel], *, unknown: str = "", prefix: str = ""
) -> list[str]:
    """One sentence for each mistake, most of them of the form `place: expected …`. Inputs are not shown."""
    sentences: dict[str, str] = {}
    items = [
        (tuple(part for part in item["loc"] if not _is_union_branch(part)), item)
        for item in error.errors(include_url=False, include_input=False, include_context=True)
    ]
    for location, item in items:
        if any(len(other) > len(location) and other[: len(location)] == location for other, _ in items):
            continue  # a mistake inside of it says more
        place = prefix + _place(location)
        sentence = _describe(item["type"], item["msg"], item.get("ctx", {}), location, model, unknown)
        # A union reports each of its branches: one sentence a place is enough.
        sentences[place] = f"{sentences[place]} or {sentence}" if place in sentences else f"{place}: {sentence}"
    return list(sentences.values())


def _describe(
    kind: str,
    text: str,
    context: dict[str, Any],
    location: tuple[Any, ...],
    model: type[BaseModel],
    unknown: str,
) -> str:
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            hint = nearest(str(location[-1]), _fields_at(location[:-1], model))
            return "is not known" + hint + (f"; {unknown}" if unknown else "")
        case "literal_error":
            return f"expected {context['expected']}"
        case "too_short":
            return f"expected at least {context['min_length']}, got {context['actual_length']}"
        case "greater_than":
            return f"expected more than {context['gt']:g}"
        case "greater_than_equal":
            return f"expected at least {context['ge']:g}"
        case "less_than_equal":
            return f"expected at most {context['le']:g}"
        case _ if kind in _EXPECTED:
            return f"expected {_EXPECTED[kind]}"
        case "value_error":
            return str(context.get("error", text))
        case _:
            return text[:1].lower() + text[1:]


def _place(location: tuple[Any, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the value"


def _is_union_branch(part: Any) -> bool:
    return isinstance(part, str) and (part in {"str", "bool", "int", "float"} or "[" in part)


def _fields_at(location: tuple[Any, ...], model: type[BaseModel]) -> Iterable[str]:
    """The names that are known at a place; a place inside a list or a mapping of models is its model's."""
    current: Any = model
    for part in location:
        field = _fields_of(current).get(part)
        if field is not None:
            current = _model_of(field.annotation) or current
    return _fields_of(current)


def _fields_of(model: Any) -> dict[str, Any]:
    """The fields by the names that an input has for them."""
    return {field.alias or name: field for name, field in getattr(model, "model_fields", {}).items()}


def _model_of(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _model_of(argument):
            return found
    return None

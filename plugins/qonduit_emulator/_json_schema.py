"""Make a value that satisfies a JSON Schema, with words and numbers from the prompt where they fit.

Understood: `type` (also a list), `enum`, `const`, `default`, `examples`, `properties`, `required`, `items`,
`prefixItems`, `minItems`, lengths, ranges, `multipleOf`, common `format`s, `$ref` into the same schema,
`anyOf`, `oneOf`, `allOf`. Not understood, and ignored: `pattern`, `not`, `if`, `dependentSchemas`,
`uniqueItems`. Of optional properties only those are filled that stand in a schema without `required`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import cycle
from math import ceil, floor
from typing import Any

from qonduit_emulator._refusal import invalid_value

Schema = Mapping[str, Any]

MAX_DEPTH = 24
"""A schema nested or referring to itself deeper than this ends in null."""
MAX_VALUES = 1_000
"""A schema that asks for more values than this in all gets null for the rest."""
MAX_HINT_CHARACTERS = 2_000
"""Words and numbers are looked for in so much of the prompt."""

_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T08:00:00Z",
    "time": "08:00:00Z",
    "email": "user@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_QUOTED = re.compile(r"[“\"'「]([^”\"'」]{1,40})[”\"'」]")
_PROPER_NAME = re.compile(r"(?<![.!?] )(?<!^)(?<![A-Za-z])[A-Z][a-z]+(?: [A-Z][a-z]+)*")
_CHINESE_PLACE = re.compile(r"([\u4e00-\u9fff]{2,4}?)(?=[市省]|的?(?:现在|今天|明天|天气|时间|气温))")
_CHINESE_LEAD = re.compile(r"^(?:请问|请|帮我|查询|查一下|看看|告诉我|问|查)+")


class Hints:
    """Words and numbers taken from a prompt, handed out in their order and again from the start."""

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt = prompt[:MAX_HINT_CHARACTERS]
        names: list[str] = _QUOTED.findall(prompt) or _PROPER_NAME.findall(prompt) or self._places()
        self._words = cycle(names or [prompt.strip()[:40] or "example"])
        self._numbers = cycle([float(number) for number in _NUMBER.findall(prompt)[:100]] or [1.0])

    def _places(self) -> list[str]:
        leads = (_CHINESE_LEAD.sub("", name) for name in _CHINESE_PLACE.findall(self._prompt))
        return [name for name in leads if len(name) > 1]

    def word(self) -> str:
        """The next name or quotation; the prompt's beginning when there is none."""
        return next(self._words)

    def number(self) -> float:
        """The next number; 1 when there is none."""
        return next(self._numbers)

    def choose(self, options: list[Any]) -> Any:
        """The first option that the prompt mentions, else the first."""
        lowered = self._prompt.lower()
        mentioned = (option for option in options if isinstance(option, str) and option and option.lower() in lowered)
        return next(mentioned, options[0])


def sample(schema: Schema, hints: Hints) -> Any:
    """A value for `schema`; an empty object for a schema that says nothing.

    Raises:
        Refusal: the schema is not one: a keyword has a value of the wrong type.
    """
    try:
        return _Sampler(schema, hints).value(schema, 0)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise invalid_value(f"The JSON schema in tools or response_format is not valid: {error}") from None


class _Sampler:
    def __init__(self, root: Schema, hints: Hints) -> None:
        self._root = root
        self._hints = hints
        self._values = 0

    def value(self, schema: Any, depth: int) -> Any:
        self._values += 1
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH or self._values > MAX_VALUES:
            return None
        schema = self._resolve(schema)
        given = self._given(schema)
        return given[0] if given else self._made(schema, depth)

    def _given(self, schema: Schema) -> list[Any]:
        """The value the schema itself names, in a list; an empty list when it names none."""
        if "const" in schema:
            return [schema["const"]]
        if options := schema.get("enum"):
            return [self._hints.choose(options)]
        if "default" in schema:
            return [schema["default"]]
        return list(schema.get("examples") or ())[:1]

    def _made(self, schema: Schema, depth: int) -> Any:
        kind = self._type_of(schema)
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: self._array(schema, depth),
            "string": lambda: self._string(schema),
            "integer": lambda: int(self._number(schema, step=1)),
            "number": lambda: self._number(schema, step=0),
            "boolean": lambda: True,
        }
        return makers[kind]() if kind in makers else None

    def _resolve(self, schema: Schema) -> Schema:
        """Follow references, join `allOf`, and take the first of `anyOf` and `oneOf`."""
        for _ in range(MAX_DEPTH):
            if isinstance(reference := schema.get("$ref"), str):
                schema = self._follow(reference)
            elif isinstance(parts := schema.get("allOf"), list):
                schema = self._join({k: v for k, v in schema.items() if k != "allOf"}, parts)
            elif parts := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in {"anyOf", "oneOf"}}
                schema = {**rest, **self._first_useful(parts)}
            else:
                break
        return schema

    def _follow(self, reference: str) -> Schema:
        found: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def _join(self, schema: Schema, parts: list[Any]) -> Schema:
        joined: dict[str, Any] = dict(schema)
        for part in parts:
            part_schema = self._resolve(part) if isinstance(part, Mapping) else {}
            properties = {**joined.get("properties", {}), **part_schema.get("properties", {})}
            required = [*joined.get("required", ()), *part_schema.get("required", ())]
            joined.update(part_schema)
            if properties:
                joined["properties"] = properties
            if required:
                joined["required"] = required
        return joined

    def _first_useful(self, parts: Any) -> Schema:
        schemas = [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
        useful = (part for part in schemas if part.get("type") != "null")
        return next(useful, {"type": "null"})

    def _type_of(self, schema: Schema) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((item for item in kind if item != "null"), "null")
        if isinstance(kind, str):
            return kind
        if "items" in schema or "prefixItems" in schema:
            return "array"
        return "object"

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        wanted = schema.get("required") or list(properties)
        return {name: self.value(properties.get(name, {"type": "string"}), depth + 1) for name in wanted}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        first = [self.value(item, depth + 1) for item in schema.get("prefixItems", ())]
        wanted = max(len(first), int(schema.get("minItems", 1)), 0)
        wanted = min(wanted, int(schema.get("maxItems", wanted)), 100)
        items = schema.get("items", {"type": "string"})
        rest = [self.value(items, depth + 1) for _ in range(wanted - len(first))]
        return [*first[:wanted], *rest]

    def _string(self, schema: Schema) -> str:
        text = _FORMATS.get(schema.get("format", "")) or self._hints.word()
        shortest = min(int(schema.get("minLength", 0)), 10_000)
        text = text.ljust(shortest, "x")
        return text[: int(schema.get("maxLength", len(text)))]

    def _number(self, schema: Schema, *, step: float) -> float:
        """The next number of the prompt, moved into the range and onto a multiple."""
        lowest, highest = _range(schema, step or 0.5)
        number = max(lowest, min(highest, self._hints.number()))
        step = schema.get("multipleOf") or step
        if step:
            number = floor(number / step) * step
            if number < lowest:
                number = ceil(lowest / step) * step
        return int(number) if number == int(number) else number


def _range(schema: Schema, margin: float) -> tuple[float, float]:
    lowest = float(schema.get("minimum", -1e15))
    highest = float(schema.get("maximum", 1e15))
    if isinstance(bound := schema.get("exclusiveMinimum"), int | float) and not isinstance(bound, bool):
        lowest = max(lowest, bound + margin)
    if isinstance(bound := schema.get("exclusiveMaximum"), int | float) and not isinstance(bound, bool):
        highest = min(highest, bound - margin)
    return lowest, highest

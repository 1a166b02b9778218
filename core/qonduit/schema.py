"""JSON schemas of types, in the strict form that structured outputs want.

A strict schema is one that a provider can hold a model to, token by token. Its rules: the root is an object; every
object is closed (`additionalProperties: false`) and requires all of its properties; every place has a type; choices are
`anyOf`. What only narrows a value and is not in the subset (`minLength`, `uniqueItems`, …) is told in the place's
description: the model still reads it, and pydantic still checks it. What cannot be said strictly (an open mapping,
`Any`, a tuple, a list at the root) leaves the schema as pydantic makes it, with `strict: false`.

Source: OpenAI's guide "Structured outputs", section "Supported schemas" (2026-02).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_json

from qonduit.errors import BadRequestError

_NARROWING = (
    "minLength",
    "maxLength",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
)
"""Outside of the strict subset; without them a schema only allows more."""
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
_LOOKAROUND = re.compile(r"\(\?<?[=!]")
_OPEN = (
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "propertyNames",
    "prefixItems",
    "unevaluatedItems",
    "unevaluatedProperties",
)
"""Outside of the strict subset; without them a schema would say something else."""
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_DEFINITIONS = "#/$defs/"


class QuietJsonSchema(GenerateJsonSchema):
    """pydantic's generator, without its warning about defaults that JSON cannot say: they are left out."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # as pydantic declares it


def json_schema(of: Any, *, strict: bool = True) -> dict[str, Any]:
    """The JSON schema of a pydantic model, a dataclass, or any type that pydantic's `TypeAdapter` takes.

    With `strict`, in the strict form of the module's text: fields with a default are required too, and no default is
    said. Without it, as pydantic makes it. Property names are the fields' aliases, as validation wants them.

    Raises:
        BadRequestError: the type has no JSON schema, or with `strict` none that is strict; the message names the place.
    """
    schema = _plain(of)
    if not strict:
        return schema
    try:
        return _Strict(schema).whole()
    except _OpenError as error:
        raise _refusal(
            f"{_name(of)} has no strict JSON schema: {error}. Pass strict=False, or close the type."
        ) from None


def response_format(of: Any) -> dict[str, Any]:
    """The `response_format` that asks for an answer of type `of`: `{"type": "json_schema", "json_schema": {…}}`.

    `name` is made of the type's (`Page[Item]` is `Page_Item`), `description` is the schema's where it has one, and
    `strict` is False when the type has no strict schema: then a provider may give less than it was asked for.

    Raises:
        BadRequestError: the type has no JSON schema.
    """
    plain = _plain(of)
    try:
        schema, strict = _Strict(plain).whole(), True
    except _OpenError:
        schema, strict = plain, False
    described = {"description": schema["description"]} if "description" in schema else {}
    return {
        "type": "json_schema",
        "json_schema": {"name": _name(of), **described, "schema": schema, "strict": strict},
    }


def _plain(of: Any) -> dict[str, Any]:
    if isinstance(of, str | Mapping):  # pydantic would read the first as code, and fail on the second without a reason
        raise _refusal(f"expected a type, got a {type(of).__name__}. A mapping is sent as it is: pass it unchanged.")
    try:
        return TypeAdapter(of).json_schema(schema_generator=QuietJsonSchema)
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        reason = error.message.partition("\n")[0].rstrip(".")
    raise _refusal(f"{_name(of)} has no JSON schema: {reason}. Use a pydantic model of fields that JSON can carry.")


def _refusal(reason: str) -> BadRequestError:
    return BadRequestError(f"The request was not sent: response_format: {reason}", outcome="not_sent")


def _name(of: Any) -> str:
    """A name of `[A-Za-z0-9_-]{1,64}`: the type's, without modules and brackets; "answer" when nothing is left."""
    while get_origin(of) is Annotated:
        of = get_args(of)[0]
    name = of.__name__ if isinstance(of, type) and not get_args(of) else re.sub(r"[\w.<>]*\.(?=\w)", "", repr(of))
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "answer"


class _OpenError(Exception):
    """A place that cannot be strict, and why."""


class _Strict:
    """Rewrites one schema of pydantic's into the strict form; the given one is left as it was."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})

    def whole(self) -> dict[str, Any]:
        """The strict schema. Raises: _OpenError."""
        root = {name: value for name, value in self._schema.items() if name != "$defs"}
        if "$ref" in root:  # a recursive type; the root must be an object itself
            root = {**self._resolve(root.pop("$ref"), "the root"), **root}
        strict = self._place(root, "the root", ())
        if strict.get("type") != "object":
            raise _OpenError("the root is no object")
        if self._definitions:
            strict["$defs"] = {name: self._place(item, name, (name,)) for name, item in self._definitions.items()}
        return strict

    def _place(self, given: Any, place: str, within: tuple[str, ...]) -> dict[str, Any]:
        """One schema; `within` are the definitions that are being written out around it."""
        if not isinstance(given, Mapping):
            raise _OpenError(f"{place} allows anything")
        schema = {name: value for name, value in given.items() if name not in {"default", "discriminator"}}
        if isinstance(parts := schema.get("allOf"), list) and len(parts) == 1:
            schema = {**parts[0], **{name: value for name, value in schema.items() if name != "allOf"}}
        if "$ref" in schema:
            return self._reference(schema, place, within)
        if word := next((word for word in _OPEN if word in schema), None):
            raise _OpenError(f"{place} needs {word}")
        self._tell_narrowing(schema)
        if branches := schema.pop("oneOf", None) or schema.get("anyOf"):
            schema["anyOf"] = [self._place(branch, place, within) for branch in branches]
        elif "enum" in schema and "type" not in schema:
            schema["type"] = list(dict.fromkeys(_TYPES.get(type(value), "object") for value in schema["enum"]))
        elif "type" not in schema:
            raise _OpenError(f"{place} allows anything")
        if isinstance(kinds := schema.get("type"), list) and {"object", "array"} & set(kinds):
            raise _OpenError(f"{place} has several types")
        if schema.get("type") == "object":
            self._close(schema, place, within)
        if schema.get("type") == "array":
            schema["items"] = self._place(schema.get("items"), f"{place}[]", within)
        return schema

    def _close(self, schema: dict[str, Any], place: str, within: tuple[str, ...]) -> None:
        properties = schema.get("properties", {})
        if schema.get("additionalProperties", "properties" not in schema) is not False:
            raise _OpenError(f"{place} is an open mapping")
        schema["properties"] = {
            name: self._place(item, name if place == "the root" else f"{place}.{name}", within)
            for name, item in properties.items()
        }
        schema["required"] = list(properties)
        schema["additionalProperties"] = False

    def _reference(self, schema: dict[str, Any], place: str, within: tuple[str, ...]) -> dict[str, Any]:
        """A `$ref` stands alone: with siblings its target is written out, or wrapped where it refers to itself."""
        reference = schema.pop("$ref")
        target, name = self._resolve(reference, place), reference.removeprefix(_DEFINITIONS)
        if not schema:
            return {"$ref": reference}
        if name in within:
            return {"anyOf": [{"$ref": reference}], **schema}
        return self._place({**target, **schema}, place, (*within, name))

    def _resolve(self, reference: str, place: str) -> Mapping[str, Any]:
        target = self._definitions.get(reference.removeprefix(_DEFINITIONS))
        if not isinstance(target, Mapping):
            raise _OpenError(f"{place} refers to {reference}, which is not there")
        return target

    @staticmethod
    def _tell_narrowing(schema: dict[str, Any]) -> None:
        told = [word for word in _NARROWING if word in schema]
        if schema.get("format", "date") not in _FORMATS:
            told.append("format")
        if _LOOKAROUND.search(schema.get("pattern", "")):
            told.append("pattern")
        if told:
            words = ", ".join(f"{word}: {to_json(schema.pop(word)).decode()}" for word in told)
            before = schema.get("description")
            schema["description"] = f"{before} ({words})" if before else words

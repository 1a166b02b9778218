"""Signatures: the arguments of a function as a pydantic model, and as the JSON schema that a model reads."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.fields import FieldInfo

from qonduit.errors import ConfigurationError
from qonduit.schema import QuietJsonSchema

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
_HEADING = re.compile(r"[A-Z][A-Za-z ]*:")
_ARGUMENTS = ("Args:", "Arguments:")
_ARGUMENT = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")


_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Signature(NamedTuple):
    """The arguments of a function: what checks them, and what describes them."""

    model: type[BaseModel]
    fields: dict[str, str]
    """Each parameter's name, and its field in `model`."""
    schema: dict[str, Any]


class _ArgumentsSchema(QuietJsonSchema):
    """Without the titles that pydantic makes of names: a model pays for each token."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def signature_of(function: Callable[..., Any], name: str) -> Signature:
    """What the typed signature of `function` says.

    Raises:
        ConfigurationError: arguments by name cannot call it, or an annotation is missing, unknown or has no schema.
    """
    if not inspect.isroutine(function):
        raise ConfigurationError(
            f"Tool {name!r}: expected a function or a bound method, got {type(function).__name__}."
        )
    try:
        parameters = inspect.signature(function).parameters
        annotations = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"Tool {name!r}: its signature cannot be read: {error}. "
            "Annotations are looked up in the module of the function: define their types there."
        ) from None
    definitions: dict[str, Any] = {}
    fields: dict[str, str] = {}
    for number, parameter in enumerate(parameters.values()):
        _check(parameter, parameter.name in annotations, name)
        # Fields have names of their own, as a parameter may be named like a method of pydantic's, or begin with "_".
        field = fields[parameter.name] = f"argument_{number}"
        default = ... if parameter.default is parameter.empty else parameter.default
        definitions[field] = (annotations[parameter.name], Field(default, alias=parameter.name))
    try:
        model = create_model(name, __config__=_CONFIG, **definitions)
        schema = TypeAdapter(model).json_schema(schema_generator=_ArgumentsSchema)
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        reason = error.message.partition("\n")[0].rstrip(".")
        raise ConfigurationError(
            f"Tool {name!r}: an annotation has no JSON schema: {reason}. Use types that JSON can carry."
        ) from None
    schema.pop("title", None)
    described = _described_arguments(function)
    for argument, place in schema["properties"].items():
        if argument in described:
            place.setdefault("description", described[argument])
    return Signature(model, fields, schema)


def first_paragraph(function: Callable[..., Any]) -> str | None:
    """The first paragraph of a function's docstring in one line; None when it has none."""
    lines = []
    for line in (inspect.getdoc(function) or "").splitlines():
        if not line.strip() or _HEADING.fullmatch(line.strip()):
            break
        lines.append(line.strip())
    return " ".join(lines) or None


def _check(parameter: inspect.Parameter, annotated: bool, name: str) -> None:
    place = f"Tool {name!r}: parameter '{_STARS.get(parameter.kind, '')}{parameter.name}'"
    if parameter.kind not in _NAMED:
        raise ConfigurationError(
            f"{place} cannot be given by name, as a model gives its arguments. Name each parameter."
        )
    if not annotated:
        raise ConfigurationError(
            f"{place} has no annotation. Say its type, e.g. `{parameter.name}: str`; "
            "of a method, make the tool of the bound one."
        )
    if isinstance(parameter.default, FieldInfo):
        raise ConfigurationError(
            f"{place} has a Field for its default. Write Annotated[type, Field(…)], and the default itself after it."
        )


def _described_arguments(function: Callable[..., Any]) -> dict[str, str]:
    """The lines below `Args:` of a docstring as Google writes them: `name: text` or `name (type): text`."""
    lines = (inspect.getdoc(function) or "").splitlines()
    start = next((number for number, line in enumerate(lines) if line.strip() in _ARGUMENTS), None)
    described: dict[str, str] = {}
    if start is None:
        return described
    depth, name = None, ""
    for line in lines[start + 1 :]:
        indent = len(line) - len(line.lstrip())
        if line.strip() and not indent:
            break
        if not line.strip():
            continue
        depth = indent if depth is None else depth
        found = _ARGUMENT.fullmatch(line.strip()) if indent <= depth else None
        if found:
            name, text = found.groups()
            described[name] = text
        elif name:
            described[name] = f"{described[name]} {line.strip()}".strip()
    return described

"""Read JSON fields by type: a wrong type is a refusal that names the field.

`null` counts as absent everywhere, for SDKs send it for options their user left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qonduit_emulator._refusal import Refusal, invalid_body, invalid_parameter, missing_model

Fields = Mapping[str, Any]


def parse_body(body: bytes) -> Fields:
    """The JSON object of a request body.

    Raises:
        Refusal: not UTF-8, not JSON, nested too deep to read, or not an object.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid_body() from None
    if not isinstance(document, dict):
        raise invalid_body()
    return document


def _wrong_type(name: str, expected: str) -> Refusal:
    return invalid_parameter(f"'{name}' must be {expected}")


def read_text(fields: Fields, name: str) -> str | None:
    """A string, or `None` when absent."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _wrong_type(name, "String")


def read_model_name(fields: Fields) -> str:
    """The model's name.

    Raises:
        Refusal: it is missing or empty.
    """
    model = read_text(fields, "model")
    if not model:
        raise missing_model()
    return model


def read_flag(fields: Fields, name: str) -> bool | None:
    """A boolean, or `None` when absent."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise _wrong_type(name, "Boolean")


def read_integer(fields: Fields, name: str) -> int | None:
    """An integer, or `None` when absent; booleans are not integers here."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(name, "Integer")
    return value


def read_number(fields: Fields, name: str) -> float | None:
    """A number, or `None` when absent; booleans are not numbers here."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, "Float")
    return value


def read_object(fields: Fields, name: str) -> Fields | None:
    """An object, or `None` when absent."""
    value = fields.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise _wrong_type(name, "Object")


def read_list(fields: Fields, name: str) -> list[Any] | None:
    """An array, or `None` when absent."""
    value = fields.get(name)
    if value is None or isinstance(value, list):
        return value
    raise _wrong_type(name, "Array")

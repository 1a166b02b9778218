"""Read settings by name and type, from TOML or JSON: a mistake is named by file, table, key and nearest name.

The configuration file, the admin API and the state file hold the same records and are read by the same rules.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Reader = Callable[[Any], Any]
"""Turns a raw value into ours; raises `TypeError` with what was expected."""


class SettingError(ValueError):
    """A setting of the emulator is wrong. The text names the place, what was expected and the nearest name."""


def read_settings(fields: Any, readers: Mapping[str, Reader], place: str) -> dict[str, Any]:
    """The settings of one table, by name; those that are not given are left out.

    Raises:
        SettingError: `fields` is no table, a name is unknown, or a value has the wrong type or range.
    """
    if not isinstance(fields, Mapping):
        raise SettingError(f"{place}: expected a table, found {fields!r}")
    settings: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in readers:
            raise SettingError(f"{place}: unknown key {name!r}{nearest(name, readers)}")
        try:
            settings[name] = readers[name](value)
        except TypeError as error:
            raise SettingError(f"{place}: {name} must be {error}, not {value!r}") from None
    return settings


def nearest(name: str, known: Iterable[str], *, list_all: bool = True) -> str:
    """`; did you mean 'x'?`, or the names there are, if all are wanted."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(names)}" if names and list_all else ""


def text(value: Any) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise TypeError("a text")
    return value


def count(value: Any) -> int:
    """A whole number from 0."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise TypeError("a whole number from 0")
    return value


def number(value: Any) -> float:
    """A number from 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise TypeError("a number from 0")
    return value


def table(value: Any) -> Mapping[str, Any]:
    """A table, whatever is in it."""
    if not isinstance(value, Mapping):
        raise TypeError("a table")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """An array of strings, without repetitions."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
        raise TypeError("an array of texts")
    return tuple(dict.fromkeys(value))


def moment(value: Any) -> float:
    """Unix seconds, or a date and time with its zone, as TOML has it or as ISO 8601 text."""
    expected = TypeError("a date and time with its zone, such as 2027-01-31T12:00:00Z, or unix seconds")
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise expected from None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise expected
    return value.astimezone(UTC).timestamp()


def one_of(names: Iterable[str]) -> Reader:
    """One of these names."""
    known = tuple(names)

    def read(value: Any) -> str:
        if value not in known:
            raise TypeError(f"one of {', '.join(known)}")
        return str(value)

    return read

"""Read the tables of a configuration: an unknown key, or a value of the wrong type, is an error that says where.

`where` names file and table, such as `script.toml: [[rule]] 2`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Types = type | tuple[type, ...]

NUMBER = (int, float)


def read_table(table: Any, where: str, types: Mapping[str, Types]) -> dict[str, Any]:
    """The table, when it has only the keys of `types`, each with a value of its type.

    Raises:
        ValueError: something else is in it.
    """
    if not isinstance(table, Mapping):
        raise ValueError(f"{where}: expected a table, got {table!r}")
    for key, value in table.items():
        if key not in types:
            raise ValueError(f"{where}: unknown key {key!r}; known are {', '.join(types)}")
        expected = types[key]
        flag_for_number = isinstance(value, bool) and not _allows(expected, bool)
        if not isinstance(value, expected) or flag_for_number:
            raise ValueError(f"{where}: {key} is {value!r}, expected {_describe(expected)}")
    return dict(table)


def read_tables(tables: Any, where: str) -> Sequence[Any]:
    """An array of tables. Raises `ValueError` for anything else."""
    if not isinstance(tables, list):
        raise ValueError(f"{where}: expected an array of tables, such as [[{where.rpartition(' ')[2]}]]")
    return tables


def _allows(expected: Types, kind: type) -> bool:
    return kind in (expected if isinstance(expected, tuple) else (expected,))


def _describe(expected: Types) -> str:
    names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
    kinds = expected if isinstance(expected, tuple) else (expected,)
    if kinds == NUMBER:
        return "a number"
    described = [names.get(kind, "an array" if kind is list else "a table") for kind in kinds]
    return " or ".join(described)

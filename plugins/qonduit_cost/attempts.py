"""Attempts: the statements that write rows of the table `attempts`.

What is None in a settlement is left out of its statement: the column is NULL already, and for each None that it binds
Python's `sqlite3` looks for an adapter, which takes three times as long as binding a text.
"""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from itertools import compress
from operator import is_not

from qonduit_cost.entry import Intent, Settlement


def begin(cursor: sqlite3.Cursor, intent: Intent, process: int) -> int:
    """Insert an open row; its id."""
    number = cursor.execute(_BEGIN, (*intent, process)).lastrowid
    assert number is not None
    return number


def settle(cursor: sqlite3.Cursor, number: int, settlement: Settlement) -> bool:
    """Say of an open row how it ended; False when it is none. The estimate's currency stays where no other is given."""
    given = tuple(map(is_not, settlement, _NONE))
    return bool(cursor.execute(_settle(given), (*compress(settlement, given), number)).rowcount)


def add(cursor: sqlite3.Cursor, intent: Intent, settlement: Settlement, process: int) -> int:
    """Insert the whole row of what had ended before it was taken down; its id."""
    given = {name: value for name, value in settlement._asdict().items() if value is not None}
    columns = {**intent._asdict(), **given}
    number = cursor.execute(_insert("settled", tuple(columns)), (*columns.values(), process)).lastrowid
    assert number is not None
    return number


@lru_cache(maxsize=256)
def _settle(given: tuple[bool, ...]) -> str:
    changes = "".join(f"{name} = ?, " for name in compress(Settlement._fields, given))
    return f"UPDATE attempts SET {changes}state = 'settled' WHERE id = ? AND state = 'intent'"  # noqa: S608  # columns of this package


@lru_cache(maxsize=256)
def _insert(state: str, columns: tuple[str, ...]) -> str:
    places = ", ".join("?" * len(columns))
    return f"INSERT INTO attempts ({', '.join(columns)}, process, state) VALUES ({places}, ?, '{state}')"  # noqa: S608


_BEGIN = _insert("intent", Intent._fields)
_NONE = (None,) * len(Settlement._fields)

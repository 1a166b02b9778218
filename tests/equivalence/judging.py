"""Judging: whether an outcome differs exactly as declared, and whether the declarations make sense."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from tests.equivalence.asking import PROVIDERS
from tests.equivalence.difference import EVERY_ANSWER, OTHER, Difference
from tests.equivalence.outcomes import Outcome


def compare(found: Outcome, expected: Outcome) -> list[str]:
    """What is wrong: differences that are not declared, and declared ones that do not occur; a line for each."""
    wrong = []
    for name in sorted(found.keys() | expected.keys()):
        if name not in expected:
            wrong.append(f"{name} differs, undeclared: {found[name]!r}")
        elif name not in found:
            wrong.append(f"{name} is declared to differ and does not")
        elif expected[name] is not OTHER and found[name] != expected[name]:
            wrong.append(f"{name} is {found[name]!r}, declared as {expected[name]!r}")
    return wrong


def check_rows(rows: Iterable[Difference], cases: Iterable[str]) -> None:
    """Every name and every pattern of a row is that of a case; the row is of providers, has fields and says why."""
    known = (EVERY_ANSWER, *cases)
    for row in rows:
        for pattern in (*row.cases, *row.but):
            assert any(fnmatchcase(name, pattern) for name in known), (pattern, row)
        assert set(row.providers) <= set(PROVIDERS), row
        assert row.fields, row
        assert row.why.endswith("."), row

"""The page of the declared differences says what the tables say."""

from __future__ import annotations

import pytest
from tests.docs.pages import rows
from tests.equivalence import page
from tests.equivalence.difference import Difference
from tests.equivalence.differences import GROUPS
from tests.equivalence.differences_operations import OPERATION_GROUPS

HEADINGS = [
    *((f"## {heading}", table) for heading, table in GROUPS.items()),
    *((f"### {heading}", table) for heading, table in OPERATION_GROUPS.items()),
]


def test_page_and_table_agree() -> None:
    """The page is the one that is made of the tables; `python -m tests.equivalence.page` writes it anew."""
    assert page.PAGE.read_text(encoding="utf-8") == page.text()


@pytest.mark.parametrize(("heading", "table"), HEADINGS, ids=[heading for heading, _ in HEADINGS])
def test_every_difference_has_its_row(heading: str, table: tuple[Difference, ...]) -> None:
    """Each declared difference is a row of five cells below its heading that names its cases and every field."""
    cells = rows(page.PAGE, heading)
    assert len(cells) == len(table)
    for (cases, _, _, fields, why), row in zip(cells, table, strict=True):
        assert all(name in cases for name in (*row.cases, *row.but))
        assert all(f"`{name}`" in fields for name in row.fields)
        assert why == row.why


def test_every_difference_is_told_once() -> None:
    """There are no rows but these."""
    assert len(rows(page.PAGE)) == sum(len(table) for _, table in HEADINGS)

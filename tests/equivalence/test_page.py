"""The page of the declared differences says what the table says."""

from __future__ import annotations

from tests.docs.pages import rows
from tests.equivalence import page
from tests.equivalence.differences import DIFFERENCES


def test_page_and_table_agree() -> None:
    """The page is the one that is made of the table; `python -m tests.equivalence.page` writes it anew."""
    assert page.PAGE.read_text(encoding="utf-8") == page.text()


def test_every_difference_has_its_row() -> None:
    """Each declared difference is a row of five cells that names its cases and every field."""
    cells = rows(page.PAGE)
    assert len(cells) == len(DIFFERENCES)
    for (cases, _, _, fields, why), row in zip(cells, DIFFERENCES, strict=True):
        assert all(name in cases for name in row.cases)
        assert all(f"`{name}`" in fields for name in row.fields)
        assert why == row.why

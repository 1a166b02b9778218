"""The pages of what is promised and of the failures of the field name tests that are there."""

from __future__ import annotations

import re

import pytest
from tests.conftest import FAILURES
from tests.docs.pages import DOCS, ROOT
from tests.equivalence.cases import CASES as CHAT
from tests.equivalence.operations import OPERATIONS
from tests.faults.test_faults import CASES as FAULTS
from tests.faults.test_faults import FAMILIES
from tests.mutations.bugs import BUGS

PAGE = DOCS / "reference" / "failures.md"
NUMBERS = [f"F{number}" for number in range(1, FAILURES + 1)]


def listed() -> list[str]:
    """The numbers of the page's rows, in their order."""
    return re.findall(r"^\| (F\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def marked() -> set[str]:
    """The numbers that tests carry."""
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    return {number for source in sources for number in re.findall(r"""(?:\bmark\.|["'])(F\d+)\b""", source)}


def test_each_failure_has_a_row() -> None:
    """None is left out, none is there twice."""
    assert listed() == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_each_failure_has_a_test(number: str) -> None:
    """`pytest -m F12` finds what shows that the row is true."""
    assert number in marked()


PROMISES = (DOCS / "explanation" / "promises.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"`(pytest|python -m) ([^`]+)`", PROMISES)


@pytest.mark.parametrize(("program", "arguments"), COMMANDS)
def test_what_is_promised_is_shown_by_tests_that_are_there(program: str, arguments: str) -> None:
    """Files and folders of pytest, and modules of Python."""
    for word in arguments.split():
        if program == "pytest" and word.startswith("tests/"):
            assert (ROOT / word).exists()
        elif program == "python -m":
            path = ROOT / word.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()


def test_the_figures_of_the_promises_are_those_of_the_tables() -> None:
    """Where a table can be counted, its count is what the page says."""
    faults = sum(map(len, FAMILIES.values()))
    cases = len(CHAT) + sum(map(len, OPERATIONS.values()))
    for figure in (
        f"{FAILURES} of {FAILURES}, each",
        f"{faults} scripted faults, {len(FAULTS):,} cases",
        f"{cases} cases; [what differs]",
        f"{len(BUGS)} of {len(BUGS)} [deliberate bugs]",
    ):
        assert figure in PROMISES

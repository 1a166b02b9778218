"""The deliberate bugs are where they are said to be; that the tests find them is for `python -m tests.mutations`."""

from __future__ import annotations

import pytest
from tests.mutations import page
from tests.mutations.bug import ROOT, Bug
from tests.mutations.bugs import BUGS


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.area}: {bug.what}")
def test_a_bug_can_be_planted(bug: Bug) -> None:
    """Its place is in the source once, the code with it is still Python, and its tests are there."""
    compile(bug.broken(), bug.file, "exec")
    for test in bug.tests:
        path, _, name = test.partition("::")
        assert path.startswith("-k") or name.split("[")[0] in (ROOT / path).read_text(encoding="utf-8")


def test_the_page_tells_all() -> None:
    """`python -m tests.mutations.page` writes what is there."""
    assert page.PAGE.read_text(encoding="utf-8") == page.text()

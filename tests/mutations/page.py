"""The page docs/reference/deliberate-bugs.md, made of the bugs: `python -m tests.mutations.page` writes it."""

from __future__ import annotations

from itertools import groupby

from tests.mutations.bug import ROOT, Bug
from tests.mutations.bugs import BUGS

PAGE = ROOT / "docs" / "reference" / "deliberate-bugs.md"
_HEAD = """# Deliberate bugs

A test that cannot fail shows nothing. So {count} bugs stand ready, each of them one that a maintainer could well write.
`python -m tests.mutations` puts them one at a time into a copy of the source and runs the tests that are to find them:
these must pass without the bug and fail with it. `.ci/run` runs it; `python -m tests.mutations fork` runs some.

This page is made of the list in `tests/mutations/bugs.py`: `python -m tests.mutations.page`.

| area | the bug | in | found by |
|---|---|---|---|
"""


def text() -> str:
    """The page."""
    ordered = sorted(BUGS, key=lambda bug: bug.area.lower())
    lines = [
        _line(bug, area if first else "")
        for area, bugs in groupby(ordered, key=lambda bug: bug.area)
        for first, bug in zip((True, *[False] * len(BUGS)), bugs, strict=False)
    ]
    return _HEAD.format(count=len(BUGS)) + "".join(lines)


def _line(bug: Bug, area: str) -> str:
    places = dict.fromkeys(test.split("::")[0] for test in bug.tests if not test.startswith("-k"))
    return f"| {area} | {bug.what} | `{bug.file}` | {', '.join(f'`{place}`' for place in places)} |\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")

"""Bug: one place of the product, written wrongly on purpose, and the tests that are to find it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Bug:
    """One deliberate bug.

    `area` is what it is a bug of, `what` what the wrong code does. `file` is the place below the repository's root;
    `right` occurs there once and `wrong` stands in its place. `tests` are arguments of pytest, which is to fail.
    """

    area: str
    what: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]

    def broken(self) -> str:
        """The text of the file with the bug in it. Raises: LookupError when the place is not there, or not once."""
        text = (ROOT / self.file).read_text(encoding="utf-8")
        if text.count(self.right) != 1:
            raise LookupError(
                f"{self.area} ({self.what}): the place is {text.count(self.right)} times in {self.file}, expected once"
            )
        return text.replace(self.right, self.wrong)

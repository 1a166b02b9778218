"""The pages of the documentation, and the blocks of code on them.

What a fence says is what happens to its block:

    python              is run: the blocks of a page one after another, in one namespace
    python file=PATH    is a quotation: it stands in that file, word for word
    python not-run: WHY is only compiled
    toml                is a configuration: checked as one, and the page's qonduit.toml from there on
    toml file=PATH      is a quotation
    console             are commands: those of qonduit must exist, with these options
    text                is shown
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLE = DOCS / "examples" / "qonduit-timing"

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
LANGUAGES = ("python", "toml", "console", "text")


@dataclass(frozen=True)
class Block:
    """One block of code: its language, what its fence says further, its text, and where it stands."""

    page: Path
    line: int
    language: str
    note: str
    code: str

    @property
    def place(self) -> str:
        """`page:line`, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def quoted(self) -> Path | None:
        """The file that the block quotes."""
        return ROOT / self.note.removeprefix("file=") if self.note.startswith("file=") else None

    @property
    def runs(self) -> bool:
        """Whether the block is run, or checked as a configuration."""
        return self.language in {"python", "toml"} and not self.note

    @property
    def commands(self) -> list[str]:
        """The commands of a console block: the lines after `$ `, or all of them when no line has one."""
        lines = self.code.splitlines()
        marked = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [line for line in marked or lines if line.strip() and not line.startswith("#")]


def pages() -> list[Path]:
    """Every page that users read."""
    rooms = [path for room in ("core", "providers", "plugins") for path in (ROOT / room).rglob("README.md")]
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *rooms])


def pages_to_run() -> list[Path]:
    """The pages whose examples are run."""
    return [page for page in pages() if DOCS in page.parents or page.parent == ROOT]


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The blocks of a page, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        name, _, note = match["info"].strip().partition(" ")
        indent = len(match["indent"])
        code = "".join(line[indent:] or "\n" for line in match["code"].splitlines(keepends=True))
        line = text.count("\n", 0, match.start("code"))
        found.append(Block(page, line + 1, name, note.strip(), code))
    return [block for block in found if language in (None, block.language)]


def name_of(page: Path) -> str:
    """The page as the id of a test."""
    return str(page.relative_to(ROOT))


def rows(page: Path, heading: str | None = None) -> list[list[str]]:
    """The cells of the tables on a page, or of those below one heading; without their headers."""
    text = page.read_text(encoding="utf-8")
    if heading is not None:
        level = heading.partition(" ")[0]
        found = re.search(rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.DOTALL | re.MULTILINE)
        assert found is not None, f"{name_of(page)} has no heading {heading!r}"
        text = found[1]
    cells = [
        [cell.strip() for cell in line.strip().strip("|").replace(r"\|", "\0").split("|")]
        for line in text.splitlines()
        if line.lstrip().startswith("|")
    ]
    cells = [[cell.replace("\0", "|") for cell in row] for row in cells]
    return [
        row
        for position, row in enumerate(cells)
        if not _is_rule(row) and not (position + 1 < len(cells) and _is_rule(cells[position + 1]))
    ]


def _is_rule(row: list[str]) -> bool:
    return all(set(cell) <= set("-: ") and cell for cell in row)


def names(page: Path, heading: str | None = None) -> list[str]:
    """The first cells of the tables, where they are `names`."""
    found = []
    for row in rows(page, heading):
        found += re.findall(r"`([^`]+)`", row[0])
    return found

"""Every example of the documentation works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.conftest import Page
from tests.docs.pages import LANGUAGES, blocks, name_of, pages, pages_to_run

from qonduit import configuration
from qonduit.resolution import resolve_profile

ALL = pages()
NOT_RUN = [block for page in ALL for block in blocks(page) if block.note.startswith("not-run")]


@pytest.mark.parametrize("path", [page for page in pages_to_run() if blocks(page)], ids=name_of)
def test_a_page_runs_from_top_to_bottom(path: Path, page: Page) -> None:
    """A reader who does what a page says, from top to bottom, meets no error."""
    for block in blocks(path):
        if block.runs and block.language == "toml":
            file = page.configure(block)
            for name, table in configuration.load(file).file.profiles.items():
                # Beside an address of its own the profile must name its key; others need none here.
                resolve_profile(name, {} if table.base_url else {"api_key": "sk-test"}, config=file)
        elif block.runs:
            page.run(block)


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_each_block_says_what_it_is(path: Path) -> None:
    """A block has a language that is checked; a quotation stands in its file; what does not run says why."""
    fences = re.findall(r"^ *```", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(blocks(path)), "a fence is not closed, or not read"
    for block in blocks(path):
        assert block.language in LANGUAGES, f"{block.place}: ```{block.language} is not checked by any test"
        if block.quoted is not None:
            assert block.code.strip() in block.quoted.read_text(encoding="utf-8"), f"{block.place} is out of date"
        elif block.note:
            why = block.note.removeprefix("not-run:").strip()
            assert block.note.startswith("not-run:"), f"{block.place}: {block.note!r} means nothing"
            assert len(why) > 10, f"{block.place} must say why it does not run"
            compile(block.code, block.place, "exec")


def test_few_blocks_do_not_run() -> None:
    """Examples that nothing checks stay the exception."""
    assert len(NOT_RUN) <= 3, [block.place for block in NOT_RUN]

"""What holds for every page: links lead somewhere, commands exist, both READMEs say the same."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.docs.pages import DOCS, ROOT, Block, blocks, name_of, pages

from qonduit_cli.app import app

ALL = pages()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _CODE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """A relative link leads to a file of the repository, and its anchor to a heading."""
    for link in _LINK.findall(prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {link}"
        assert target.is_relative_to(ROOT), f"{name_of(page)} links out of the repository: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name_of(page)} links to {link}; there are {anchors(target)}"


def test_every_page_can_be_reached() -> None:
    """From the README, by links, a reader comes to every page of the documentation."""
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        links = [link.partition("#")[0] for link in _LINK.findall(prose(page)) if "://" not in link]
        waiting += [(page.parent / link).resolve() for link in links if link.endswith(".md")]
    assert [name_of(page) for page in ALL if DOCS in page.parents and page not in reached] == []


def commands() -> list[tuple[Block, str]]:
    """Every command of the documentation, one by one where several stand in a line."""
    found = []
    for page in ALL:
        for block in blocks(page, "console"):
            for line in block.commands:
                found += [(block, part.strip()) for part in re.split(r"&&|\|", re.sub(r"\s#.*", "", line))]
    return found


def test_commands_exist() -> None:
    """What a page tells a reader to type is a command, with options that it has. Nothing of it is run."""
    for block, command in commands():
        words = shlex.split(command)
        if words[:1] == ["uv"]:
            assert words[1] == "run"
            words = words[2:]
            if words[0] == "--extra":
                assert words[1] in PROJECT["optional-dependencies"], f"{block.place}: {command}"
                words = words[2:]
        if words[0] != "qonduit":
            continue
        try:
            work = app(words[1:], prog_name="qonduit", standalone_mode=False)
        except Exception as error:  # the text of typer's
            pytest.fail(f"{block.place}: {command}: {getattr(error, 'message', error)}")
        assert callable(work) or words[1:] in (["--version"], ["--help"]), f"{block.place}: {command}"


def test_extras_exist() -> None:
    """An extra that a page names is one of the distribution's."""
    for page in ALL:
        for extras in re.findall(r'"(?:qonduit|\.)\[([\w,]+)\]"', page.read_text(encoding="utf-8")):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), f"{name_of(page)}: {extras}"


def meaning(block: Block) -> object:
    """A block without its comments, which each language says in its own words."""
    match block.language:
        case "python":
            return ast.dump(ast.parse(block.code))
        case "toml":
            return tomllib.loads(block.code)
        case _:
            return block.commands


def test_both_readmes_show_the_same_code() -> None:
    """README.zh-CN.md has the commands, the code and the configuration of README.md."""
    english, chinese = (blocks(ROOT / name) for name in ("README.md", "README.zh-CN.md"))
    assert [meaning(block) for block in chinese] == [meaning(block) for block in english]


def test_the_two_commands() -> None:
    """Both READMEs begin with the two commands for a machine that has only Python and pip."""
    for name in ("README.md", "README.zh-CN.md"):
        first = blocks(ROOT / name)[0]
        assert first.commands == ['pip install -e ".[dev]" && qonduit chat "你好"', "pytest"]


def test_both_readmes_have_the_same_parts() -> None:
    """README.zh-CN.md has as many headings and rows of tables as README.md."""
    english, chinese = (prose(ROOT / name) for name in ("README.md", "README.zh-CN.md"))
    for pattern in (r"^## ", r"^\* ", r"^<!-- benchmark: "):
        assert len(re.findall(pattern, english, re.MULTILINE)) == len(re.findall(pattern, chinese, re.MULTILINE))


def test_nothing_speaks_of_a_place_outside_of_the_repository() -> None:
    """No file of the repository names a folder beside it."""
    outside = "../" + "shared"
    folders = ("core", "providers", "plugins", "docs", "tests", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in [*files, *(path for path in ROOT.glob("*") if path.is_file())]:
        if path.suffix in {".md", ".py", ".toml", ".json", ".txt", ".yml", ""} and "__pycache__" not in path.parts:
            assert outside not in path.read_text(encoding="utf-8", errors="replace"), path


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_a_page_has_one_title_and_short_lines(page: Path) -> None:
    """A page begins with its title, its only one; its lines outside of tables fit a screen."""
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert len(re.findall(r"^# ", prose(page), re.MULTILINE)) == 1
    for line in prose(page).splitlines():
        assert len(line) <= 130 or line.lstrip().startswith("|"), f"{name_of(page)}: {line[:60]}…"

"""`qonduit cost --html`: one file, whole or not at all, that loads nothing and does what no name in it says."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from qonduit_cli.app import app
from qonduit_cli.output import write_file

from .ledgers import HIT, OPEN, SETTLED, UNKNOWN, day, tags, write_ledger

CANARY = "<script>alert('x')</script>\"'&\x1b[2J\u202e"
SHOWN = "<script>alert('x')</script>\"'&?[2J?"
EVIL = {"model": CANARY, "profile": CANARY, "provider": CANARY, "currency": CANARY}
ROWS = [
    SETTLED | day("2026-11-01") | tags(who=CANARY) | EVIL,
    SETTLED | day("2026-11-03") | {"amount": "3"},
    SETTLED | day("2026-11-03") | {"amount": "2", "currency": "USD", "provenance": "estimated"},
    HIT | day("2026-11-03") | {"saved": "1"},
    UNKNOWN | day("2026-11-04"),
    OPEN | day("2026-11-04"),
]

Run = Callable[..., str]


@pytest.fixture
def page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The page of some rows."""

    def run(*words: str, rows: list[dict[str, object]] = ROWS) -> str:
        ledger = tmp_path / "costs.sqlite3"
        ledger.unlink(missing_ok=True)
        write_ledger(ledger, rows)
        file = tmp_path / "page.html"
        arguments = ["cost", "--ledger", str(ledger), "--timezone", "UTC", "--html", str(file), *words]
        assert app(arguments, prog_name="qonduit", standalone_mode=False)() == 0
        assert capsys.readouterr().out == f"Written: {file}\n"
        return file.read_text(encoding="utf-8")

    return run


FORMS = [[], ["--by", "model"], ["--by", "tag:who"], ["--by", "month", "--tag", f"who={CANARY}"], ["--model", "none"]]


@pytest.mark.parametrize("words", FORMS)
def test_it_is_well_formed_and_loads_nothing(page: Run, words: list[str]) -> None:
    """It parses; no element can load or run anything, and a policy in it forbids that to the browser too."""
    text = page(*words)
    root = ET.fromstring(text)
    assert {element.tag for element in root.iter()} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "image",
        "a",
    } == set()
    names = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in names if name.startswith("on") or name in {"src", "href", "action", "srcset"}}
    assert re.search(r"https?:|@import|url\((?!#hatch\))|javascript:", text) is None
    policy = [element.get("content") for element in root.iter("meta") if element.get("http-equiv")]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("words", FORMS)
def test_names_are_text(page: Run, words: list[str]) -> None:
    """Whatever stands in a tag or a name is shown, and nothing else."""
    text = page(*words)
    assert "<script" not in text
    assert all(character.isprintable() for character in text.replace("\n", ""))
    shown = ["".join(element.itertext()) for element in ET.fromstring(text).iter("td")]
    assert (SHOWN in shown) == ("none" not in words)


def cells(text: str, heading: str) -> dict[str, dict[str, str]]:
    """A table of the page: its rows by their first cell, by the titles."""
    for section in ET.fromstring(text).iter("section"):
        if section.findtext("h2") == heading:
            titles = ["".join(cell.itertext()) for cell in section.iter("th")]
            lines = [["".join(cell.itertext()) for cell in row.iter("td")] for row in section.iter("tr")]
            return {line[0]: dict(zip(titles[1:], line[1:], strict=True)) for line in lines if line}
    raise AssertionError(heading)


def test_what_it_says(page: Run) -> None:
    """Tables have the figures of the report, tiles the totals, and notes what is in no sum."""
    text = page()
    by_model = cells(text, "By model")
    assert by_model["qwen-plus"]["CNY"] == "3.0000"
    assert by_model["qwen-plus"]["USD"] == "2.0000"
    assert by_model["qwen-plus"]["saved CNY"] == "1.0000"
    assert by_model["qwen-plus"]["unknown"] == "1"
    assert list(cells(text, "By day")) == ["2026-11-01", "2026-11-03", "2026-11-04", "total"]
    root = ET.fromstring(text)
    tiles = {
        tile.findtext("h2"): ["".join(figure.itertext()) for figure in tile.iter("strong")]
        for tile in root.iter("div")
        if (tile.get("class") or "").startswith("tile ")
    }
    assert tiles == {
        "Cost": [f"{SHOWN} 0.000100", "CNY 3.0000", "USD 2.0000"],
        "Saved by the cache": ["CNY 1.0000"],
        "Calls": ["6"],
        "Tokens": ["400 in", "40 out"],
        "Unknown cost": ["1"],
    }
    assert [item.text for item in root.iter("li")] == [
        "open attempts, started and not settled: 1; they are in no sum, 0.02 CNY was set aside for them.",
        "attempts of unknown cost: 1; they are in no sum. See: qonduit cost explain ID",
    ]


def bars(text: str) -> list[list[tuple[str, float]]]:
    """The charts: of each the words and the height of its bars."""
    charts = [svg for svg in ET.fromstring(text).iter("svg") if svg.get("role") == "img"]
    return [
        [
            (
                group.findtext("title") or "",
                sum(float(rect.get("height", 0)) for rect in group.iter("rect") if rect.get("class") != "hit"),
            )
            for group in svg.iter("g")
        ]
        for svg in charts
    ]


def test_the_charts(page: Run) -> None:
    """One chart a currency; days without calls have their place; a bar is as high as what was paid and saved."""
    text = page()
    other, cny, usd = bars(text)
    assert other[0][0] == f"2026-11-01: 0.000100 {SHOWN}, 1 call"
    assert [words for words, _ in cny] == [
        "2026-11-01: 0.000000 CNY, 1 call",
        "2026-11-02: 0.000000 CNY, 0 calls",
        "2026-11-03: 3.0000 CNY, 3 calls, 1.0000 CNY saved",
        "2026-11-04: 0.000000 CNY, 2 calls",
    ]
    assert [height for _, height in cny] == pytest.approx([0, 0, 240, 0], abs=0.01)
    (saved,) = (rect for rect in ET.fromstring(text).iter("rect") if rect.get("class") == "saved" and rect.get("x"))
    assert float(saved.get("y", 0)) == 12
    assert float(saved.get("height", 0)) == 60
    assert [height for _, height in usd] == pytest.approx([0, 0, 240, 0], abs=0.01)


@pytest.mark.parametrize(
    ("last", "by", "title", "bar_count"),
    [
        ("2026-01-31", "model", "Cost by day, CNY", 31),
        ("2026-06-30", "model", "Cost by week, CNY", 27),
        ("2028-12-31", "model", "Cost by month, CNY", 36),
        ("2026-06-30", "day", "Cost by day, CNY", 181),
    ],
)
def test_bars_fit(page: Run, last: str, by: str, title: str, bar_count: int) -> None:
    """A long time is drawn in weeks or months, unless days are asked for."""
    text = page("--by", by, rows=[SETTLED | day("2026-01-01"), SETTLED | day(last)])
    assert title in text
    assert len(bars(text)[0]) == bar_count


def test_no_calls(page: Run) -> None:
    """A page of nothing says so."""
    text = page(rows=[])
    assert "no calls" in text
    assert bars(text) == []


def others(folder: Path) -> list[str]:
    """What a folder holds besides the ledger, which SQLite reads with files of its own."""
    return [path.name for path in folder.iterdir() if not path.name.startswith("costs.sqlite3")]


def test_it_is_replaced_whole(page: Run, tmp_path: Path) -> None:
    """A page that is there is replaced, keeps its permissions, and no draft is left."""
    file = tmp_path / "page.html"
    file.write_text("old")
    file.chmod(0o640)
    page()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert others(tmp_path) == ["page.html"]


def test_a_page_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """What was there stays, and no draft is left."""
    file = tmp_path / "page.html"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_file(file, "new \ud800")
    assert file.read_text() == "old"
    assert others(tmp_path) == ["page.html"]


def test_a_link_is_followed(page: Run, tmp_path: Path) -> None:
    """What a link points at is replaced, not the link."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "page.html").symlink_to(tmp_path / "shared" / "page.html")
    page()
    assert (tmp_path / "page.html").is_symlink()


@pytest.mark.parametrize("place", [".", "nowhere/page.html", "costs.sqlite3/page.html"])
def test_where_no_file_can_be(tmp_path: Path, place: str) -> None:
    """A folder is not overwritten, and what cannot be written leaves nothing behind."""
    ledger = write_ledger(tmp_path / "costs.sqlite3", ROWS)
    with pytest.raises(OSError, match=r"folder|No such file|Not a directory"):
        app(
            ["cost", "--ledger", str(ledger), "--html", str(tmp_path / place)],
            prog_name="qonduit",
            standalone_mode=False,
        )()
    assert others(tmp_path) == []

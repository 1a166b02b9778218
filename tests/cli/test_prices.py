"""`qonduit cost prices MODEL`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qonduit_cli.failures import UsageError
from qonduit_cli.prices import show_prices

from .conftest import Command


def shown(capsys: pytest.CaptureFixture[str], model: str, **options: Any) -> list[str]:
    """The lines that are printed."""
    assert show_prices(model, **options) == 0
    return capsys.readouterr().out.splitlines()


def test_tiers_dates_and_sources_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A table for each list: place, currency, source with its day, and a line for each tier."""
    lines = shown(capsys, "qwen-plus", region="cn-beijing")
    assert lines[:2] == [
        "qwen-plus, cn-beijing, CNY per million tokens",
        "source: https://github.com/modelstudioai/skills (62167f8), 2026-05-27",
    ]
    assert lines[2].split()[:3] == ["TIER", "INPUT", "OUTPUT"]
    assert lines[3].split() == ["input", "<=", "131072", "0.8", "2", "8", "0.16", "0.08", "1", "0.4", "1", "4"]
    assert lines[4].split()[:7] == ["131072", "<", "input", "<=", "262144", "2.4", "20"]


def test_history_is_printed_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    """A list that a newer one replaced says so."""
    lines = shown(capsys, "qwen-max", region="cn-beijing")
    assert "qwen-max, cn-beijing, CNY per million tokens - not used: another list goes before it" in lines
    assert lines[-3:] == ["source: notes of this project's beginning, 2024-09-19", "TIER       INPUT", "any input  20"]


def test_a_community_and_a_promotion_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not the vendor's own, and what is not applied."""
    text = "\n".join(shown(capsys, "qwen3.7-max"))
    assert "(kept by a community)" in text
    assert "note: A promotion of 50 % was on at the date; this is the list price." in text


def test_a_snapshot_shows_its_familys_prices(capsys: pytest.CaptureFixture[str]) -> None:
    """With a note that a cost by them is estimated."""
    assert show_prices("qwen-plus-2031-01-01", region="cn-beijing") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("qwen-plus, cn-beijing")
    assert "estimated" in captured.err


def test_openais_prices_are_genai_prices(capsys: pytest.CaptureFixture[str]) -> None:
    """A model that no list has is looked for among OpenAI's."""
    lines = shown(capsys, "gpt-4o")
    assert lines[0] == "gpt-4o, any region, USD per million tokens"
    assert lines[1].startswith("source: genai-prices ")


def test_a_file_of_ones_own_goes_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Then the package's list is not used any more."""
    path = tmp_path / "own.toml"
    path.write_text('[[list]]\ncurrency = "CNY"\nprices = [ { model = "qwen-max", input = 1 } ]\n')
    found = json.loads("\n".join(shown(capsys, "qwen-max", prices=path, as_json=True)))
    assert [(item["source"] == str(path), item["used"]) for item in found if item["used"]] == [(True, True)]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The same as data; prices are text, so that no digit is lost."""
    (found,) = json.loads("\n".join(shown(capsys, "text-embedding-v4", region="cn-beijing", as_json=True)))
    assert found == {
        "model": "text-embedding-v4",
        "regions": ["cn-beijing"],
        "currency": "CNY",
        "per": 1_000_000,
        "source": "https://github.com/modelstudioai/skills (62167f8)",
        "date": "2026-05-27",
        "community": False,
        "used": True,
        "tiers": [{"tier": None, "input": "0.5", "batch_input": "0.25"}],
    }


@pytest.mark.parametrize(
    ("model", "region", "message"),
    [
        ("qwen-pluz", None, "no price of model 'qwen-pluz' is known (did you mean qwen-plus or"),
        ("qwen-plus", "mars", "no price of model 'qwen-plus' is known in region 'mars'."),
    ],
)
def test_a_model_without_a_price(model: str, region: str | None, message: str) -> None:
    """The nearest names are said; nothing is printed as if it were a price."""
    with pytest.raises(UsageError) as caught:
        show_prices(model, region=region)
    assert str(caught.value).startswith(message)


def test_the_command(command: Command) -> None:
    """It needs neither configuration nor key."""
    done = command.run("cost", "prices", "text-embedding-v4", "--region", "cn-beijing")
    assert (done.returncode, done.stderr) == (0, "")
    assert "text-embedding-v4, cn-beijing, CNY per million tokens" in done.stdout
    assert command.run("cost", "prices", "nothing-at-all").returncode == 2

"""`qonduit cost settle`: what processes left open that are gone, settled without a call."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from tests.plugins.cost.ledgers import entry, rows, script
from tests.plugins.cost.test_budgets import hold

from qonduit.errors import ConfigurationError
from qonduit_cli.app import app
from qonduit_cost import spool
from qonduit_cost.sqlite import SQLiteLedger

KILLED = """
    from tests.plugins.cost.test_budgets import *
    import os, signal
    from qonduit_cost.spool import Spool
    path = Path(sys.argv[1])
    ledger = SQLiteLedger(path)
    ledger.begin(entry("killed", hold("4")), 1)
    ledger.begin(entry("killed too"), 1)
    kept, whole = Spool(path), entry("whole")
    whole.settlement = answered("3")
    kept.keep(whole)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def settle(path: Path, capsys: pytest.CaptureFixture[str]) -> list[int]:
    """What it says: settled, written, open."""
    assert app(["cost", "settle", "--ledger", str(path)], prog_name="qonduit", standalone_mode=False)() == 0
    return [int(number) for number in re.findall(r": (\d+)$", capsys.readouterr().out, re.MULTILINE)]


@pytest.mark.F43
def test_what_is_settled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of processes that are gone, with what was set aside; those of one that is there stay open."""
    path = tmp_path / "costs.sqlite3"
    here = SQLiteLedger(path)
    here.begin(entry("here"), 1)
    script(KILLED, path).communicate()
    assert spool.waiting(path) == 1
    assert settle(path, capsys) == [2, 1, 1]
    found = {row["call_id"]: row for row in rows(path)}
    assert {name: (row["state"], row["outcome"]) for name, row in found.items()} == {
        "here": ("intent", None),
        "killed": ("settled", "cancelled"),
        "killed too": ("settled", "cancelled"),
        "whole": ("settled", "answered"),
    }
    assert Decimal(found["killed"]["amount"]) == hold("4").amount
    assert found["killed too"]["amount"] is None
    assert settle(path, capsys) == [0, 0, 1]
    here.close()


def test_no_ledger_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there, or is no ledger, is said and left."""
    path = tmp_path / "costs.sqlite3"
    with pytest.raises(ConfigurationError, match="There is no ledger"):
        settle(path, capsys)
    assert list(tmp_path.iterdir()) == []
    path.write_text("no database" * 100)
    with pytest.raises(ConfigurationError, match="cannot be read as a ledger"):
        settle(path, capsys)
    assert [file.name for file in tmp_path.iterdir()] == ["costs.sqlite3"]

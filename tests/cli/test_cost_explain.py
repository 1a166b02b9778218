"""`qonduit cost explain`: the bill of one call, line by line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from qonduit_cli.app import app
from qonduit_cli.failures import UsageError

from .ledgers import HIT, OPEN, REFUSED, SETTLED, UNKNOWN, tags, write_ledger

PARTS = [
    {"kind": "input", "quantity": 58000, "unit_price": "0.8", "amount": "0.0464", "tier": "input <= 131072"},
    {"kind": "cached_input", "quantity": 1000, "unit_price": "0.16", "amount": "0.00016", "tier": None},
    {"kind": "output", "quantity": 10, "unit_price": "2", "amount": "0.00002"},
]
RETRIED = "9f00aa11" + "0" * 24
OTHER = "9f00bb22" + "0" * 24
ENDED = "  not settled: it is under way, or its process ended;"
REASON = "an earlier attempt may have been billed"
ROWS = [
    REFUSED | {"call_id": RETRIED, "error": "RateLimitError", "region": None},
    SETTLED
    | tags(team="search", user="李雷")
    | {
        "call_id": RETRIED,
        "attempt": 2,
        "streamed": 1,
        "status": 200,
        "request_id": "req-77",
        "amount": "0.04658",
        "parts": json.dumps(PARTS),
        "reason": REASON,
        "source": "https://prices.example/list (2026-05-26)",
    },
    HIT | {"call_id": OTHER},
    OPEN | {"call_id": "c" * 32},
    UNKNOWN | {"call_id": "d" * 32},
    SETTLED | {"call_id": "e" * 32, "amount": "1", "parts": json.dumps(PARTS)},
    SETTLED | {"call_id": "f" * 32, "parts": '[{"kind": "input"}]'},
    OPEN | {"call_id": "0" * 32, "estimate": None, "currency": None},
    SETTLED | {"call_id": "12345" + "a" * 27},
    SETTLED | {"call_id": "b" * 32, "request_id": "\x1b[2J"},
]

Run = Callable[..., str]


@pytest.fixture
def explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """What `qonduit cost explain ID` prints, on both streams."""
    path = write_ledger(tmp_path / "costs.sqlite3", ROWS)

    def run(identity: str, *more: str) -> str:
        arguments = ["cost", "explain", identity, *more, "--ledger", str(path), "--timezone", "Asia/Shanghai"]
        assert app(arguments, prog_name="qonduit", standalone_mode=False)() == 0
        captured = capsys.readouterr()
        return captured.out + captured.err

    return run


@pytest.mark.parametrize("identity", ["1", "2", RETRIED, "9f00aa", "9F00AA", "req-77"])
def test_a_call(explain: Run, identity: str) -> None:
    """Whichever way it is named: its attempts, each sum line by line, where the prices are from, and the total."""
    assert explain(identity).splitlines() == [
        f"call {RETRIED}: chat, profile qwen, tags none",
        "started 2026-11-20 20:00:00.000+08:00",
        "ROW  ATTEMPT  OUTCOME            STATUS  SECONDS  PROVIDER           MODEL      REQUEST ID",
        "  1        1  failed (rejected)     429    1.500  qwen               qwen-plus  -",
        "  2        2  answered              200    1.500  qwen (cn-beijing)  qwen-plus  req-77",
        "",
        "row 1, attempt 1, failed (rejected)",
        "  error: RateLimitError",
        "  = 0, exact",
        "  because: it was refused",
        "",
        "row 2, attempt 2, answered",
        "  input         58,000   x 0.8 per million  = 0.0464 CNY   input <= 131072",
        "  cached input   1,000  x 0.16 per million  = 0.00016 CNY",
        "  output            10     x 2 per million  = 0.00002 CNY",
        "  = 0.04658 CNY, exact",
        f"  because: {REASON}",
        "  prices: https://prices.example/list (2026-05-26)",
        "",
        "the call: 0.04658 CNY in 2 attempts",
    ]


@pytest.mark.parametrize(
    ("identity", "lines"),
    [
        ("3", ["row 3, from the cache", "  = 0 CNY, exact", "  saved: 0.0001 CNY"]),
        (
            "4",
            ["row 4, attempt 1, open", f"{ENDED} 0.02 CNY was set aside"],
        ),
        ("8", [f"{ENDED} nothing was set aside"]),
        ("5", ["row 5, attempt 1, answered", "  = unknown", "  because: no price of 'mine' is known"]),
        ("6", ["  = 1 CNY, exact", "warning: row 6: its parts come to 0.04658, not to its amount."]),
        ("7", ["  = 0.0001 CNY, exact", "warning: row 7: its parts cannot be read."]),
        ("12345", ["call 12345aaaaaaaaaaaaaaaaaaaaaaaaaaa: chat, profile qwen, tags none"]),
    ],
)
def test_other_rows(explain: Run, identity: str, lines: list[str]) -> None:
    """A hit says what it saved, an open attempt what was set aside; what is not known is not 0."""
    said = explain(identity).splitlines()
    assert [line for line in lines if line not in said] == []


@pytest.mark.parametrize(
    ("identity", "hint"),
    [
        ("99", "no row, call or request 99"),
        ("9f0", "no row, call or request 9f0"),
        ("9f00", "one of 2 calls: 9f00aa110000, 9f00bb220000"),
        ("_f00", "no row, call or request"),
        ("%", "no row, call or request"),
        ("", "no row, call or request"),
        ("9" * 30, "no row, call or request"),
    ],
)
def test_what_names_no_call(explain: Run, identity: str, hint: str) -> None:
    """It is said that there is none, or which there are."""
    with pytest.raises(UsageError, match=hint):
        explain(identity)


def test_terminals_are_not_obeyed(explain: Run) -> None:
    """What came from a server reaches no terminal as it is."""
    assert "\x1b" not in explain("10")


def test_the_bill_as_json(explain: Run) -> None:
    """The rows of the call with their parts, and the total; amounts are text."""
    found = json.loads(explain("2", "--json"))
    assert found["call_id"] == RETRIED
    refused, answered = found["rows"]
    assert (refused["error"], refused["amount"], refused["parts"], refused["streamed"]) == (
        "RateLimitError", "0", [], False,
    )  # fmt: skip
    assert (answered["tags"], answered["streamed"]) == ({"team": "search", "user": "李雷"}, True)
    assert answered["parts"] == [{"tier": None} | part for part in PARTS]
    assert answered["started_at"] == "2026-11-20T12:00:00.000Z"
    assert (found["total"]["attempts"], found["total"]["cost"]) == (2, {"CNY": "0.04658"})
    assert "\x1b" not in explain("10", "--json")

"""`qonduit cost`: a ledger's rows added up, as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qonduit.errors import ConfigurationError
from qonduit_cli.app import app
from qonduit_cli.costs.figures import exact, rounded
from qonduit_cli.costs.period import Zone
from qonduit_cli.costs.report import add_up, grouping
from qonduit_cli.costs.rows import Row
from qonduit_cli.failures import UsageError
from qonduit_cost.entry import Entry, Intent
from qonduit_cost.schema import APPLICATION, VERSION
from qonduit_cost.spool import Spool

from .conftest import Command
from .ledgers import HIT, OPEN, REFUSED, SETTLED, UNKNOWN, day, tags, write_ledger

CONFIGURATION = """
[profiles.qwen]
provider = "qwen"
model = "qwen-plus"
plugins = ["cost"]

[profiles.qwen.plugin.cost]
ledger = "costs.sqlite3"
"""
RATES = 'rates = { base = "CNY", date = 2026-11-20, source = "PBOC", rates = { USD = "7.12" } }\n'
MIXED = [
    SETTLED | day("2026-11-19", "15:59"),
    SETTLED | day("2026-11-19", "16:00") | {"cached_tokens": 40, "explicit_cached_tokens": 2, "reasoning_tokens": 3},
    SETTLED
    | day("2026-11-20")
    | tags(team="search", user="李雷")
    | {"provider": "openai", "profile": "gpt", "model": "gpt-4o-mini", "amount": "1.25", "currency": "USD"},
    SETTLED | day("2026-11-20") | {"amount": "0.000000001", "provenance": "lower_bound", "outcome": "incomplete"},
    REFUSED | day("2026-11-20") | {"call_id": "aa"},
    SETTLED | day("2026-11-20") | tags(team="search") | {"call_id": "aa", "attempt": 2, "provenance": "estimated"},
    HIT | day("2026-11-21"),
    OPEN | day("2026-11-21"),
    UNKNOWN | day("2026-11-21") | {"model": "mine"},
]
"""Two currencies, a retry, a hit, an open attempt, one of unknown cost, and days that part at 16:00 UTC."""

Run = Callable[..., str]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The ledger of the mixed rows."""
    return write_ledger(tmp_path / "costs.sqlite3", MIXED)


@pytest.fixture
def run(ledger: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """What `qonduit cost` prints of the mixed rows, with days of Shanghai."""
    monkeypatch.chdir(ledger.parent)

    def report(*words: str) -> str:
        arguments = ["cost", "--ledger", str(ledger), "--timezone", "Asia/Shanghai", *words]
        assert app(arguments, prog_name="qonduit", standalone_mode=False)() == 0
        return capsys.readouterr().out

    return report


def test_the_table(run: Run) -> None:
    """A line a day and the total: counts whole, numbers under each other, each currency in a column of its own."""
    lines = run().splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "DAY CALLS ATTEMPTS HITS OPEN INPUT OUTPUT CACHED REASONING CNY USD SAVED CNY UNKNOWN PROVENANCE",
        "2026-11-19 1 1 0 0 100 10 0 0 0.000100 - - 0 exact",
        "2026-11-20 4 5 0 0 400 40 42 3 0.000200 1.2500 - 0 50% exact, 25% estimated, 25% at least",
        "2026-11-21 3 2 1 1 100 10 0 0 - - 0.000100 1 -",
        "total 8 8 1 1 600 60 42 3 0.000300 1.2500 0.000100 1 60% exact, 20% estimated, 20% at least",
    ]
    ends = [[found.end() for found in re.finditer(r"\S+", line)][1:11] for line in lines]
    assert ends == [ends[0]] * 5


def test_csv(run: Run) -> None:
    """Every digit, no separators of thousands; what there is nothing of in a currency is empty."""
    assert run("--csv") == (
        "day,calls,attempts,hits,open,input_tokens,output_tokens,cached_tokens,reasoning_tokens,"
        "cost_CNY,cost_USD,saved_CNY,saved_USD,exact,estimated,lower_bound,unknown\n"
        "2026-11-19,1,1,0,0,100,10,0,0,0.0001,,,,1,0,0,0\n"
        "2026-11-20,4,5,0,0,400,40,42,3,0.000200001,1.25,,,2,1,1,0\n"
        "2026-11-21,3,2,1,1,100,10,0,0,,,0.0001,,0,0,0,1\n"
    )


def test_json(run: Run, ledger: Path) -> None:
    """The documented shape: amounts are text by currency, an attempt of unknown cost is counted and is in no sum."""
    document = json.loads(run("--json", "--by", "provider", "--since", "2026-11-20", "--until", "2026-11-21"))
    notes = document.pop("notes")
    assert [note.partition(":")[0] for note in notes] == [
        "open attempts, started and not settled",
        "attempts of unknown cost",
    ]
    qwen = {
        "calls": 6,
        "attempts": 6,
        "hits": 1,
        "open": 1,
        "input_tokens": 400,
        "output_tokens": 40,
        "cached_tokens": 42,
        "reasoning_tokens": 3,
        "cost": {"CNY": "0.000200001"},
        "saved": {"CNY": "0.0001"},
        "set_aside": {"CNY": "0.02"},
        "provenance": {"exact": 1, "estimated": 1, "lower_bound": 1, "unknown": 1},
    }
    openai = {
        **dict.fromkeys(qwen, 0),
        "calls": 1,
        "attempts": 1,
        "input_tokens": 100,
        "output_tokens": 10,
        "cost": {"USD": "1.25"},
        "saved": {},
        "set_aside": {},
        "provenance": {"exact": 1, "estimated": 0, "lower_bound": 0, "unknown": 0},
    }
    total = {
        **{name: qwen[name] + openai[name] for name in qwen if isinstance(qwen[name], int)},
        "cost": {"CNY": "0.000200001", "USD": "1.25"},
        "saved": qwen["saved"],
        "set_aside": qwen["set_aside"],
        "provenance": {"exact": 2, "estimated": 1, "lower_bound": 1, "unknown": 1},
    }
    assert document == {
        "ledger": str(ledger),
        "timezone": "Asia/Shanghai",
        "since": "2026-11-19T16:00:00+00:00",
        "until": "2026-11-21T16:00:00+00:00",
        "profile": None,
        "model": None,
        "tags": {},
        "currency": None,
        "by": "provider",
        "groups": [{"group": "qwen"} | qwen, {"group": "openai"} | openai],
        "total": total,
    }


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("day", {"2026-11-19": 1, "2026-11-20": 4, "2026-11-21": 3}),
        ("week", {"2026-W47": 8}),
        ("month", {"2026-11": 8}),
        ("model", {"qwen-plus": 6, "gpt-4o-mini": 1, "mine": 1}),
        ("provider", {"qwen": 7, "openai": 1}),
        ("profile", {"qwen": 7, "gpt": 1}),
        ("tag:team", {"search": 2, None: 7}),
        ("tag:user", {"李雷": 1, None: 7}),
    ],
)
def test_groups(run: Run, by: str, groups: dict[str | None, int]) -> None:
    """Time in its order, else the dearest first and what has no name last; a call counts once a group, and in all."""
    document = json.loads(run("--json", "--by", by))
    assert [(group["group"], group["calls"]) for group in document["groups"]] == list(groups.items())
    assert document["total"]["calls"] == 8


@pytest.mark.parametrize(
    ("words", "calls"),
    [
        (["--profile", "gpt"], 1),
        (["--model", "mine"], 1),
        (["--tag", "team=search"], 2),
        (["--tag", "team=search", "--tag", "user=李雷"], 1),
        (["--tag", "team="], 0),
        (["--since", "2026-11-20"], 7),
        (["--until", "2026-11-19"], 1),
        (["--since", "2026-11-21", "--until", "2026-11-21"], 3),
        (["--since", "2026-11-19T23:59", "--until", "2026-11-20T00:00"], 1),
        (["--since", "2026-11-19T16:00:00+00:00"], 7),
        (["--since", "2026-11-20", "--model", "qwen-plus", "--profile", "qwen"], 5),
        (["--since", "1970-01-01", "--until", "9999-12-30"], 8),
    ],
)
def test_filters(run: Run, words: list[str], calls: int) -> None:
    """All filters hold together; a day begins in the time zone that is asked for, and the last day is in the report."""
    assert json.loads(run("--json", *words))["total"]["calls"] == calls


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("UTC", {"2026-10-25": 2}),
        ("Europe/Berlin", {"2026-10-25": 2}),
        ("America/New_York", {"2026-10-24": 1, "2026-10-25": 1}),
        ("Asia/Kathmandu", {"2026-10-25": 1, "2026-10-26": 1}),
    ],
)
def test_days_of_a_zone(tmp_path: Path, run: Run, zone: str, days: dict[str, int]) -> None:
    """A row counts on the day that the zone's clocks show, also where they are set back that night."""
    rows = [SETTLED | day("2026-10-25", "03:59"), SETTLED | day("2026-10-25", "18:15")]
    path = write_ledger(tmp_path / "night.sqlite3", rows)
    groups = json.loads(run("--ledger", str(path), "--timezone", zone, "--json"))["groups"]
    assert {group["group"]: group["calls"] for group in groups} == days


def test_weeks_begin_on_monday(tmp_path: Path, run: Run) -> None:
    """A week has the number and the year of ISO 8601."""
    rows = [SETTLED | day(date) for date in ("2026-12-31", "2027-01-03", "2027-01-04")]
    path = write_ledger(tmp_path / "year.sqlite3", rows)
    groups = json.loads(run("--ledger", str(path), "--by", "week", "--json"))["groups"]
    assert [(group["group"], group["calls"]) for group in groups] == [("2026-W53", 2), ("2027-W01", 1)]


def configured(command: Command, options: str = "") -> Command:
    """The command with a profile that has the ledger of the mixed rows."""
    write_ledger(command.folder / "costs.sqlite3", MIXED)
    command.configure(CONFIGURATION + options)
    return command


def test_the_ledger_of_the_configuration(command: Command) -> None:
    """Without --ledger it is the profile's; figures go to standard output, notes to standard error."""
    done = configured(command).run("cost", "--by", "month")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["MONTH", "2026-11", "total"]
    assert done.stderr.splitlines() == [
        "note: open attempts, started and not settled: 1; they are in no sum, 0.02 CNY was set aside for them.",
        "note: attempts of unknown cost: 1; they are in no sum. See: qonduit cost explain ID",
    ]
    assert done.returncode == 0


def test_one_currency(command: Command) -> None:
    """With rates all money is shown in one currency, and which rate of which day was used."""
    done = configured(command, RATES).run("cost", "--currency", "cny", "--json")
    document = json.loads(done.stdout)
    assert document["total"]["cost"] == {"CNY": exact(Decimal("0.000300001") + Decimal("1.25") * Decimal("7.12"))}
    assert document["notes"][-1] == "1 USD = 7.12 CNY on 2026-11-20 (PBOC)"


def test_the_dearest_is_first_in_the_currency_too(command: Command) -> None:
    """Groups are arranged by what they come to in the one currency."""
    rows = [SETTLED | {"amount": "5", "model": "a"}, SETTLED | {"amount": "1", "model": "b", "currency": "USD"}]
    write_ledger(command.folder / "two.sqlite3", rows)
    words = ("cost", "--by", "model", "--ledger", "two.sqlite3", "--json")
    command.configure(CONFIGURATION + RATES)
    assert [group["group"] for group in json.loads(command.run(*words).stdout)["groups"]] == ["a", "b"]
    converted = json.loads(command.run(*words, "--currency", "CNY").stdout)
    assert [group["group"] for group in converted["groups"]] == ["b", "a"]


def test_what_was_lost(ledger: Path, run: Run) -> None:
    """Attempts that a ledger could not take down are told of, in the time that they were noticed in."""
    with sqlite3.connect(ledger) as connection:
        connection.execute("INSERT INTO losses VALUES (1, '2026-11-20T12:00:00.000Z', 7, 'full')")
    connection.close()
    assert "attempts that could not be written down: 7; they are in no sum." in json.loads(run("--json"))["notes"]
    assert "written down" not in run("--json", "--since", "2026-11-21")


def test_what_waits_beside_a_ledger(ledger: Path, run: Run) -> None:
    """Attempts that a ledger could not take down when they were made are told of until it has them."""
    spool = Spool(ledger)
    before: dict[str, Any] = {"call_id": "c"} | {name: OPEN.get(name) for name in Intent._fields if name != "call_id"}
    spool.keep(Entry(Intent(**before)))
    (note,) = (note for note in json.loads(run("--json"))["notes"] if "wait beside the ledger" in note)
    assert ": 1;" in note
    spool.clear()
    assert "wait beside" not in run("--json")


@pytest.mark.parametrize(
    ("options", "currency", "hint"),
    [
        ("", "USD", "rates = {"),
        (RATES, "EUR", "EUR"),
        ('rates = { base = "CNY", date = 2026-11-20, rates = { EUR = "8" } }\n', "CNY", "USD"),
    ],
)
def test_no_currency_without_a_rate(command: Command, options: str, currency: str, hint: str) -> None:
    """Nothing is converted by a rate that nobody gave."""
    done = configured(command, options).run("cost", "--currency", currency)
    assert done.stdout == ""
    assert hint in done.stderr
    assert done.returncode == 2


def test_no_rate_is_needed_for_what_is_in_the_currency(tmp_path: Path, run: Run) -> None:
    """A ledger that has costs in the currency only is shown as it is."""
    path = write_ledger(tmp_path / "one.sqlite3", [SETTLED])
    document = json.loads(run("--ledger", str(path), "--currency", "CNY", "--json"))
    assert document["total"]["cost"] == {"CNY": "0.0001"}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--by", "colour"], "tag:NAME"),
        (["--by", "tag:"], "tag:NAME"),
        (["--tag", "team"], "NAME=VALUE"),
        (["--since", "yesterday"], "2026-11-21"),
        (["--until", "2026-13-01"], "2026-11-21"),
        (["--since", "0001-01-01"], "2026-11-21"),
        (["--until", "9999-12-31"], "2026-11-21"),
        (["--timezone", "Moon/Tranquillity"], "Asia/Shanghai"),
        (["--timezone", "../../etc/passwd"], "Asia/Shanghai"),
        (["--csv", "--json"], "choose one"),
        (["--json", "--html", "x.html"], "choose one"),
        (["explain", "1"], "stands after the last word"),
    ],
)
def test_a_word_that_is_wrong(run: Run, words: list[str], hint: str) -> None:
    """It is said what was expected."""
    with pytest.raises(UsageError) as caught:
        run(*words)
    assert hint in str(caught.value)


def test_how_a_ledger_is_switched_on(command: Command) -> None:
    """Without any ledger it is said how there will be one."""
    done = command.run("cost")
    assert 'ledger = "' in done.stderr
    assert "--ledger" in done.stderr
    assert done.returncode == 2


def test_a_ledger_that_is_not_there_yet(command: Command) -> None:
    """A profile may have a ledger before its first call; looking for it makes none."""
    command.configure(CONFIGURATION)
    done = command.run("cost")
    assert "no ledger costs.sqlite3 yet" in done.stderr
    assert done.returncode == 2
    assert list(command.folder.glob("costs*")) == []


def test_an_empty_ledger(tmp_path: Path, run: Run) -> None:
    """No calls are no error: nothing to show, a header in CSV."""
    path = write_ledger(tmp_path / "empty.sqlite3", [])
    assert run("--ledger", str(path)) == ""
    assert run("--ledger", str(path), "--csv").count("\n") == 1
    document = json.loads(run("--ledger", str(path), "--json"))
    assert document["groups"] == []
    assert "no calls that match" in document["notes"][0]


def other(path: Path, statements: str) -> None:
    """A SQLite file that is not the ledger of this version."""
    with sqlite3.connect(path) as connection:
        connection.executescript(statements)
    connection.close()


MARKED = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version ="
FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (Path.mkdir, "is a folder"),
    "garbage": (lambda path: path.write_bytes(b"garbage " * 1000), "cannot be read as a ledger"),
    "empty": (Path.touch, "no ledger of qonduit's"),
    "another program's": (lambda path: other(path, "CREATE TABLE attempts(id)"), "no ledger of qonduit's"),
    "newer": (lambda path: other(path, f"{MARKED} {VERSION + 1}"), "newer qonduit"),
    "without its tables": (lambda path: other(path, f"{MARKED} {VERSION}"), "cannot be read as a ledger"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_ledger(tmp_path: Path, run: Run, name: str) -> None:
    """It is said what the file is, and the file stays as it is."""
    path = tmp_path / "other.sqlite3"
    make, hint = FILES[name]
    make(path)
    with pytest.raises(ConfigurationError, match=hint):
        run("--ledger", str(path))


def test_an_amount_that_is_none(tmp_path: Path, run: Run) -> None:
    """A damaged amount is named by its row, and is not passed over."""
    path = write_ledger(tmp_path / "bad.sqlite3", [SETTLED, SETTLED | {"amount": "NaN"}])
    with pytest.raises(ConfigurationError, match="Row 2 of the ledger: its amount is no number"):
        run("--ledger", str(path))


def test_a_ledger_is_read_while_it_is_written(tmp_path: Path, run: Run) -> None:
    """A writer in the middle of a transaction does not hold a report up, and is not in it."""
    path = write_ledger(tmp_path / "busy.sqlite3", [SETTLED])
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE attempts SET amount = '5'")
    document = json.loads(run("--ledger", str(path), "--json"))
    writer.execute("ROLLBACK")
    writer.close()
    assert document["total"]["cost"] == {"CNY": "0.0001"}


def several(command: Command) -> str:
    """A configuration with two ledgers."""
    write_ledger(command.folder / "costs.sqlite3", MIXED)
    write_ledger(command.folder / "b.sqlite3", [SETTLED | {"profile": "b"}])
    second = CONFIGURATION.replace("profiles.qwen", "profiles.b").replace("costs.sqlite3", "b.sqlite3")
    return CONFIGURATION + second


def test_several_ledgers(command: Command) -> None:
    """Of several ledgers it is the named profile's, then the default profile's; else they are told."""
    text = several(command)
    command.configure(text)
    assert "qwen: costs.sqlite3, b: b.sqlite3" in command.run("cost").stderr
    assert json.loads(command.run("cost", "-p", "b", "--json").stdout)["total"]["calls"] == 1
    command.configure(f'default = "b"\n{text}')
    assert json.loads(command.run("cost", "--json").stdout)["ledger"] == "b.sqlite3"


def test_terminals_are_not_obeyed(tmp_path: Path, run: Run) -> None:
    """Control characters of tags and names reach no terminal, in no form; JSON keeps them, escaped."""
    evil = "a\x1b[31m\x9b2J\u202e\r\nb\x07"
    path = write_ledger(tmp_path / "evil.sqlite3", [SETTLED | tags(who=evil) | {"model": evil}])
    for by in ("tag:who", "model"):
        for form in ([], ["--csv"], ["--json"]):
            out = run("--ledger", str(path), "--by", by, *form)
            assert all(character.isprintable() for character in out.replace("\n", "")), (by, form)
    assert json.loads(run("--ledger", str(path), "--by", "model", "--json"))["groups"][0]["group"] == evil


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_spreadsheets_are_not_obeyed(tmp_path: Path, run: Run, name: str) -> None:
    """A name that a spreadsheet would compute has an apostrophe before it."""
    path = write_ledger(tmp_path / "formula.sqlite3", [SETTLED | {"model": name}])
    lines = list(csv.reader(io.StringIO(run("--ledger", str(path), "--by", "model", "--csv"))))
    assert lines[1][0] == f"'{name}"


def test_a_reader_that_had_enough(command: Command) -> None:
    """A closed pipe is no error."""
    rows = [
        SETTLED | day(f"{year}-{month:02}-{date:02}")
        for year in range(1900, 2000)
        for month in range(1, 13)
        for date in range(1, 28)
    ]
    write_ledger(command.folder / "long.sqlite3", rows)
    process = command.start("cost", "--ledger", "long.sqlite3")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=30) == 0


def test_a_large_ledger(tmp_path: Path, run: Run) -> None:
    """A hundred thousand rows are added up in a few seconds, and not one digit is lost."""
    rows = (
        {**SETTLED, **day(f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}"), "amount": f"0.{number:012}"}
        for number in range(100_000)
    )
    path = write_ledger(tmp_path / "large.sqlite3", rows)
    begun = time.process_time()
    document = json.loads(run("--ledger", str(path), "--json"))
    assert time.process_time() - begun < 10
    assert document["total"]["cost"] == {"CNY": exact(Decimal(sum(range(100_000))).scaleb(-12))}


AMOUNTS = st.one_of(st.none(), st.decimals(min_value=0, max_value=10**9, places=12))


@given(st.lists(st.tuples(AMOUNTS, st.sampled_from(["CNY", "USD"]), st.sampled_from(["a", "b"]))))
def test_groups_come_to_the_total(lines: list[tuple[Decimal | None, str, str]]) -> None:
    """Whatever the rows: the groups' sums are the total's, each currency for itself, and nothing unknown is 0."""
    columns: dict[str, Any] = {name: SETTLED.get(name) for name in Row._fields}
    rows = [
        Row(**columns)._replace(
            call_id=str(number),
            amount=None if amount is None else str(amount),
            currency=currency,
            model=model,
        )
        for number, (amount, currency, model) in enumerate(lines)
    ]
    (report,) = add_up(rows, [grouping("model", Zone.named("UTC"))])
    for currency in ("CNY", "USD"):
        known = [amount for amount, name, _ in lines if name == currency and amount is not None]
        assert report.total.cost.get(currency) == (sum(known) if known else None)
        groups = [sums.cost[currency] for sums in report.groups.values() if currency in sums.cost]
        assert sum(groups) == sum(known)
    assert report.total.unknown == sum(amount is None for amount, _, _ in lines)
    assert sum(sums.calls for sums in report.groups.values()) == report.total.calls == len(lines)


@pytest.mark.parametrize(
    ("amount", "digits", "text"),
    [
        ("0", 4, "0.0000"),
        ("0.00004", 4, "<0.0001"),
        ("0.00005", 4, "<0.0001"),
        ("0.00015", 4, "0.0002"),
        ("1234567.895", 2, "1,234,567.90"),
        ("1E+3", 2, "1,000.00"),
    ],
)
def test_rounding(amount: str, digits: int, text: str) -> None:
    """Half goes to the even digit; what is more than nothing does not look like nothing."""
    assert rounded(Decimal(amount), digits) == text

"""The ledger's file: one row an attempt, exact under threads, processes and kill -9, and clear about what is wrong."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.plugins.cost.ledgers import answered, entry, rows, script

from qonduit_cost.entry import Entry, Settlement, settled
from qonduit_cost.ledger import Ledger, LedgerBusyError, LedgerError
from qonduit_cost.sqlite import SQLiteLedger

TEXTS = {
    "outcome", "sent", "settled_at", "response_model", "request_id", "error", "amount", "currency", "provenance",
    "reason", "source", "parts", "saved",
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "costs" / "ledger.sqlite3"


def test_an_attempt_is_open_until_it_is_settled(path: Path) -> None:
    """The same row, written twice; a second settlement changes nothing."""
    ledger: Ledger = SQLiteLedger(path)
    attempt = entry()
    ledger.begin(attempt, 1)
    (row,) = rows(path)
    assert (row["id"], row["state"], row["outcome"], row["amount"]) == (attempt.id, "intent", None, None)
    assert len(rows(path, "open_attempts")) == 1
    ledger.settle(attempt, answered(input_tokens=7), 1)
    ledger.settle(attempt, answered("9"), 1)
    (row,) = rows(path)
    assert (row["state"], row["outcome"], row["amount"], row["input_tokens"]) == ("settled", "answered", "0.5", 7)
    assert not rows(path, "open_attempts")
    ledger.close()


@pytest.mark.F42
def test_a_hit_is_one_whole_row(path: Path) -> None:
    """It has no row before it is settled; so has an attempt that the ledger could not be given before."""
    ledger = SQLiteLedger(path)
    hit = settled("cached", "exact", amount="0", currency="CNY", saved="0.5")
    ledger.settle(entry(kind="hit", attempt=0), hit, 1)
    ledger.close()
    (row,) = rows(path)
    assert (row["kind"], row["state"], row["outcome"], row["amount"], row["saved"]) == (
        "hit", "settled", "cached", "0", "0.5",
    )  # fmt: skip


@pytest.mark.parametrize("begun", [True, False], ids=["begun", "whole"])
@pytest.mark.parametrize(
    "settlement",
    [
        settled("failed", "unknown", sent="unknown"),
        settled("failed", "unknown", sent="unknown", currency="USD"),
        Settlement._make(name if name in TEXTS else number for number, name in enumerate(Settlement._fields)),
    ],
    ids=["least", "other currency", "all"],
)
def test_a_row_has_all_that_is_known_whether_it_was_begun_or_not(
    path: Path, begun: bool, settlement: Settlement
) -> None:
    """What is not known is NULL; the currency of the estimate stays where the settlement has none."""
    ledger = SQLiteLedger(path)
    attempt = entry(estimate="2", currency="CNY", provenance="estimated")
    if begun:
        ledger.begin(attempt, 1)
    ledger.settle(attempt, settlement, 1)
    ledger.close()
    (row,) = rows(path)
    known = {**attempt.intent._asdict(), **settlement._asdict(), "currency": settlement.currency or "CNY"}
    assert {name: row[name] for name in known} == known
    assert row["state"] == "settled"


@pytest.mark.F42
def test_views_add_up_calls_and_days_and_never_two_currencies(path: Path) -> None:
    """A call of two attempts is one line; a day has one for each model and currency."""
    ledger = SQLiteLedger(path)
    plan = [
        ("a", "2026-11-20T23:59:59.999Z", settled("failed", "unknown", sent="unknown")),
        ("a", "2026-11-21T00:00:00.500Z", answered("0.25", input_tokens=7, output_tokens=3, total_tokens=10)),
        ("b", "2026-11-21T00:00:01.000Z", answered("1")),
        ("b", "2026-11-21T00:00:02.000Z", settled("answered", "exact", amount="2", currency="USD")),
    ]
    for call, started, settlement in plan:
        attempt = entry(call * 32, started_at=started)
        ledger.begin(attempt, 1)
        ledger.settle(attempt, settlement, 1)
    ledger.settle(entry("a" * 32, kind="hit", started_at="2026-11-21T00:00:03.000Z"), settled("cached", "exact"), 1)
    ledger.close()
    first, second = rows(path, "calls")
    assert {name: first[name] for name in ("attempts", "hits", "unknown", "outcome", "total_tokens", "amount")} == {
        "attempts": 2, "hits": 1, "unknown": 1, "outcome": "cached", "total_tokens": 10, "amount": 0.25,
    }  # fmt: skip
    assert (second["amount"], second["currency"], second["attempts"]) == (None, None, 2)
    days = {(row["day"], row["currency"]): row["amount"] for row in rows(path, "days")}
    assert days[("2026-11-21", "CNY")] == 1.25
    assert days[("2026-11-21", "USD")] == 2


def test_the_file_is_private_and_nothing_is_opened_before_it_is_needed(path: Path) -> None:
    """Readable by its user alone, with all that lies beside it."""
    ledger = SQLiteLedger(path)
    assert not path.parent.exists()
    assert not ledger.quick
    ledger.begin(entry(), 1)
    assert ledger.quick
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    ledger.close()


@pytest.mark.parametrize(("power", "synchronous"), [(False, 1), (True, 2)])
def test_durability(path: Path, power: bool, synchronous: int) -> None:
    """By default the log is not waited for; with "power" each row is on the disk before it counts as written."""
    ledger = SQLiteLedger(path, power=power)
    ledger.begin(entry(), 1)
    assert ledger._connection is not None
    assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    assert ledger._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger.quick is not power
    ledger.close()


def test_it_can_be_closed_at_any_time(path: Path) -> None:
    """Twice, before the first row, and between the two writes of a row."""
    ledger = SQLiteLedger(path)
    ledger.close()
    attempt = entry()
    ledger.begin(attempt, 1)
    ledger.close()
    ledger.close()
    other = SQLiteLedger(path)
    other.begin(entry("d" * 32), 1)
    assert [row["state"] for row in rows(path)] == ["intent", "intent"], "it is under way, and not taken for gone"
    ledger.settle(attempt, answered(), 1)
    assert [row["outcome"] for row in rows(path)] == ["answered", None]
    ledger.close()
    other.close()


@pytest.mark.F45
@pytest.mark.F46
def test_threads_and_processes_write_at_once(path: Path) -> None:
    """Eight threads here, four processes beside them: each row is there once, and settled."""
    source = """
        ledger = SQLiteLedger(Path(sys.argv[1]))
        sys.stdin.readline()
        for number in range(100):
            attempt = entry(f"{sys.argv[2]}-{number}")
            ledger.begin(attempt, 10)
            ledger.settle(attempt, answered(), 10)
        ledger.close()
    """
    processes = [script(source, path, f"process-{number}") for number in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ledger = SQLiteLedger(path)

    def work(name: str) -> None:
        for number in range(50):
            attempt = entry(f"{name}-{number}")
            ledger.begin(attempt, 10)
            ledger.settle(attempt, answered(), 10)

    threads = [threading.Thread(target=work, args=(f"thread-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    ledger.close()
    written = [row["call_id"] for row in rows(path) if row["outcome"] == "answered"]
    assert len(written) == len(set(written)) == 800


@pytest.mark.F43
@pytest.mark.F46
def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    """25 writers are killed in the middle of it. What they had been told is written is there, once.

    Whoever opens the ledger next settles what they left open: it may have been done and billed.
    """
    source = """
        ledger = SQLiteLedger(Path(sys.argv[1]))
        for number in range(1_000_000):
            attempt = entry(f"{sys.argv[2]}-{number}")
            ledger.begin(attempt, 10)
            print("open", attempt.intent.call_id, flush=True)
            ledger.settle(attempt, answered(), 10)
            print("settled", attempt.intent.call_id, flush=True)
            if ledger.untidy:
                ledger.tidy()
    """
    acknowledged: dict[str, set[str]] = {"open": set(), "settled": set()}
    for burst in range(5):
        processes = [script(source, path, f"{burst}{number}") for number in range(5)]
        for number, process in enumerate(processes):
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(2 * number + burst + 1)]
            process.kill()
            lines += process.stdout  # which has read on: communicate() would miss that
            process.communicate()
            for line in lines:
                word, _, call = line.strip().partition(" ")
                if call.count("-") == 1:  # the last line may be torn
                    acknowledged[word].add(call)
    ledger = SQLiteLedger(path)
    ledger.begin(entry("last"), 1)
    ledger.close()
    found = {row["call_id"]: row for row in rows(path)}
    assert len(found) == len(rows(path)), "none is doubled"
    assert acknowledged["open"] <= found.keys()
    assert {found[call]["outcome"] for call in acknowledged["settled"]} == {"answered"}
    left = [row for call, row in found.items() if row["outcome"] != "answered" and call != "last"]
    assert left, "some were killed between the two"
    for row in left:
        assert (row["state"], row["outcome"], row["sent"], row["amount"]) == ("settled", "cancelled", "unknown", None)
        assert "its process ended" in row["reason"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_forked_child_is_a_writer_of_its_own(path: Path) -> None:
    """Parent and child go on with one ledger object; the parent's open attempts stay its own."""
    source = """
        import os
        ledger = SQLiteLedger(Path(sys.argv[1]))
        mine = entry("parent")
        ledger.begin(mine, 1)
        child = os.fork()
        for number in range(50):
            attempt = entry(f"{'parent' if child else 'child'}-{number}")
            ledger.begin(attempt, 10)
            ledger.settle(attempt, answered(), 10)
        if child:
            assert os.waitpid(child, 0)[1] == 0
            ledger.settle(mine, answered("7"), 1)
        ledger.close()
    """
    process = script(source, path)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    found = {row["call_id"]: row for row in rows(path)}
    assert len(found) == 101
    assert found["parent"]["amount"] == "7"
    assert {row["outcome"] for row in found.values()} == {"answered"}


def test_a_forked_child_loses_nothing_when_its_parent_closes_the_file(path: Path) -> None:
    """SQLite takes a parent for the last reader that carried its connection over the fork, and deletes the log."""
    source = """
        import os
        ledger = SQLiteLedger(Path(sys.argv[1]))
        ledger.begin(entry("parent"), 1)
        written, closed = os.pipe(), os.pipe()
        child = os.fork()
        if child:
            os.read(written[0], 1)
            ledger.close()
            os.write(closed[1], b".")
            assert os.waitpid(child, 0)[1] == 0
        else:
            ledger.begin(entry("child before"), 1)
            os.write(written[1], b".")
            os.read(closed[0], 1)
            ledger.begin(entry("child after"), 1)
            os._exit(0)
    """
    process = script(source, path)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert {row["call_id"] for row in rows(path)} == {"parent", "child before", "child after"}


def locked(path: Path) -> Callable[[], None]:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection.close


@pytest.mark.F46
def test_a_locked_file_is_waited_for_and_no_longer_than_allowed(path: Path) -> None:
    """Not at all with a wait of 0; and it is written when the lock goes away in time."""
    ledger = SQLiteLedger(path)
    ledger.begin(entry(), 1)
    release = locked(path)
    for wait in (0, 0.02):
        with pytest.raises(LedgerBusyError, match="locked: another process held it"):
            ledger.begin(entry(), wait)
    timer = threading.Timer(0.02, release)
    timer.start()
    ledger.begin(entry(), 10)
    timer.join()
    assert len(rows(path)) == 2
    ledger.close()


@pytest.mark.F46
def test_another_thread_is_waited_for_no_longer_than_allowed(path: Path) -> None:
    """The connection serves one at a time."""
    ledger = SQLiteLedger(path)
    with ledger._lock, pytest.raises(LedgerBusyError, match="other threads"):
        ledger.begin(entry(), 0)
    ledger.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, whatever its name says\n" * 50)


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")


def newer(path: Path) -> None:
    SQLiteLedger(path).begin(entry(), 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")


def folder(path: Path) -> None:
    path.mkdir()


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")


@pytest.mark.F46
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (garbage, "is no SQLite file; name another, or move it away"),
        (foreign, "no ledger of qonduit's. It is left as it is; name another"),
        (newer, "was written by a newer qonduit (schema 2, this one knows 1). Upgrade qonduit"),
        (folder, "cannot be opened: make its folder writable for this user, or name another file"),
        (below_a_file, "cannot be used"),
    ],
)
def test_a_file_that_is_none_is_said_and_left_alone(path: Path, spoil: Callable[[Path], None], message: str) -> None:
    """The message says what it is and what to do; the file is as it was."""
    path.parent.mkdir()
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    ledger = SQLiteLedger(path)
    with pytest.raises(LedgerError) as caught:
        ledger.begin(entry(), 0.05)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    ledger.close()
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.F46
def test_a_full_disk_is_said_and_loses_nothing_that_was_written(path: Path) -> None:
    """By SQLite's own bound on pages; with room again it goes on."""
    ledger = SQLiteLedger(path)
    ledger.begin(entry(), 1)
    assert ledger._connection is not None
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
    written = 1
    with pytest.raises(LedgerError, match="cannot grow: the disk is full; make room"):  # noqa: PT012  # some fit
        for number in range(1000):
            ledger.begin(entry(f"{number}" * 16), 1)
            written += 1
    assert len(rows(path)) == written
    ledger.begin(entry(), 1)  # it was opened anew, without the bound
    assert len(rows(path)) == written + 1
    ledger.close()


@pytest.mark.F46
def test_a_bound_on_the_size_of_files_is_said(path: Path) -> None:
    """`ulimit -f`: the system refuses a write in the middle."""
    source = """
        import resource
        ledger = SQLiteLedger(Path(sys.argv[1]))
        ledger.begin(entry(), 1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        written = 1
        try:
            for number in range(1000):
                ledger.begin(entry(), 1)
                written += 1
        except LedgerError as error:
            print(written, error)
    """
    output, errors = script(source, path).communicate()
    written, _, message = output.partition(" ")
    assert "files may not grow any more" in message, errors
    assert len(rows(path)) == int(written)


@pytest.mark.F46
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_file_of_somebody_else_is_said(shown: Path) -> None:
    """Readable, not writable."""
    path = shown / "ledger.sqlite3"
    ledger = SQLiteLedger(path)
    ledger.begin(entry(), 1)
    ledger.close()
    path.chmod(0o644)
    source = """
        import os
        os.setuid(65534)
        try:
            SQLiteLedger(Path(sys.argv[1])).begin(entry(), 1)
        except LedgerError as error:
            print(error)
    """
    output, errors = script(source, path).communicate()
    assert "cannot be" in output, errors
    assert str(path) in output
    assert "writable for this user" in output


@pytest.mark.F46
def test_a_damaged_file_is_said(path: Path) -> None:
    """The pages in the middle are gone."""
    ledger = SQLiteLedger(path)
    for number in range(200):
        ledger.begin(entry(f"{number:032}"), 1)
    ledger.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(LedgerError, match="is damaged; save what is left"):
        SQLiteLedger(path).begin(entry(), 0.05)


def test_what_was_given_up_before_it_was_written_is_not_written(path: Path) -> None:
    """A worker thread that comes late finds it void."""
    ledger = SQLiteLedger(path)
    late = entry()
    late.void = True
    ledger.begin(late, 1)
    assert late.id is None
    assert not rows(path)
    ledger.close()


@pytest.mark.F46
def test_catching_up_happens_once(path: Path) -> None:
    """A batch that was written, and whose file a crash kept from being deleted, is not written again."""
    ledger = SQLiteLedger(path)
    known = entry("known")
    ledger.begin(known, 1)
    kept = [Entry(known.intent, (), known.id, answered()), Entry(entry("whole").intent, (), None, answered())]
    running = entry("running")
    for _ in range(2):
        ledger.catch_up("batch", [*kept, running], 3, 1)
    assert running.id is not None
    ledger.settle(running, answered("2"), 1)
    ledger.close()
    assert {row["call_id"]: row["amount"] for row in rows(path)} == {"known": "0.5", "whole": "0.5", "running": "2"}
    assert [(row["name"], row["attempts"]) for row in rows(path, "spools")] == [("batch", 3)]
    assert [row["attempts"] for row in rows(path, "losses")] == [3]


def test_tidying_keeps_the_log_small(path: Path) -> None:
    """The log is moved into the file, and what is looked at after a crash begins later."""
    ledger = SQLiteLedger(path)
    for _ in range(1000):
        attempt = entry()
        ledger.begin(attempt, 1)
        ledger.settle(attempt, answered(), 1)
    assert ledger.untidy
    ledger.tidy()
    assert not ledger.untidy
    assert rows(path, "processes")[0]["last_attempt"] == 1000
    size = path.stat().st_size
    assert size > 100_000
    ledger.close()
    assert not rows(path, "processes")

"""A ledger that cannot be written: a strict one refuses the call, a lenient one lets it go and loses nothing unsaid."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import Mode
from tests.plugins.cost.ledgers import answered, counter, entry, rows, script

from qonduit import Client, ConfigurationError, QonduitError
from qonduit_cost import CostPlugin, recorder, spool
from qonduit_cost.ledger import LedgerError
from qonduit_cost.options import CostOptions
from qonduit_cost.spool import Spool
from qonduit_cost.sqlite import SQLiteLedger


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting and pausing are for real outages."""
    monkeypatch.setattr(recorder, "WAIT_SECONDS", 0.02)
    monkeypatch.setattr(recorder, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def lock(path: Path) -> Callable[[], None]:
    SQLiteLedger(path).begin(entry("before"), 1)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection.close


def spoil(path: Path) -> Callable[[], None]:
    path.write_bytes(b"this is no database\n" * 100)
    return path.unlink


def block(path: Path) -> Callable[[], None]:
    path.mkdir()
    return path.rmdir


BUDGET = {"name": "all", "limit": 1, "currency": "CNY"}
OUTAGES = pytest.mark.parametrize("break_", [lock, spoil, block])


@pytest.mark.F46
@OUTAGES
async def test_a_strict_ledger_refuses_the_call(mode: Mode, path: Path, break_: Callable[[Path], Any]) -> None:
    """A QonduitError of the set-up that names the file; nothing is sent. When it can be written again, calls go on."""
    mend = break_(path)
    transport = MemoryTransport(said("ok"))
    plugin = CostPlugin(CostOptions(ledger=str(path), mode="strict"))
    client = mode.client(transport, plugin)
    with pytest.raises(LedgerError, match="The request was not sent, since the ledger is strict") as caught:
        await mode.ask(client)
    assert isinstance(caught.value, ConfigurationError)
    assert str(path) in str(caught.value)
    assert not transport.sent
    mend()
    told = await mode.ask(client)
    assert told.response.text == "ok"
    assert [row["outcome"] for row in rows(path) if row["call_id"] != "before"] == ["answered"]
    await mode.leave(client)
    plugin.close()


@pytest.mark.F46
@OUTAGES
async def test_a_lenient_ledger_lets_the_call_go_and_catches_up(
    mode: Mode, path: Path, break_: Callable[[Path], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, keeps what it could not write beside the ledger, and writes it when it can."""
    mend = break_(path)
    plugin = CostPlugin(CostOptions(ledger=str(path)))
    client = mode.client(MemoryTransport(said("ok")), plugin)
    with caplog.at_level(logging.WARNING, "qonduit"):
        for _ in range(3):
            told = await mode.ask(client)
            assert told.response.text == "ok"
            assert told.response.cost is not None
            assert told.response.cost.amount is not None
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    assert str(path) in (plugin.degraded or "")
    assert spool.waiting(path) == 3
    mend()
    await mode.ask(client)
    assert plugin.degraded is None
    assert "3 attempts were caught up on, 0 are lost" in caplog.text
    found = [row for row in rows(path) if row["call_id"] != "before"]
    assert [(row["state"], row["outcome"], row["total_tokens"]) for row in found] == [("settled", "answered", 10)] * 4
    assert len({row["call_id"] for row in found}) == 4
    assert not list(spool.files(path))
    await mode.leave(client)
    plugin.close()


@pytest.mark.F46
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
async def test_an_outage_between_the_two_writes_loses_nothing(mode: Mode, path: Path, strict: bool) -> None:
    """The answer is there and paid for: it is given, whatever the ledger says, and its row is settled later."""
    ends: list[Callable[[], None]] = []

    class Locking(MemoryTransport):
        """Somebody locks the file while the request is under way."""

        def _next(self, wire: Any) -> Any:
            if not ends:
                connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                connection.execute("BEGIN IMMEDIATE")
                ends.append(connection.close)
            return super()._next(wire)

    plugin = CostPlugin(CostOptions(ledger=str(path), mode="strict" if strict else "lenient"))
    client = mode.client(Locking(said("ok")), plugin)
    told = await mode.ask(client)
    assert told.response.text == "ok"
    assert [row["state"] for row in rows(path)] == ["intent"]
    assert plugin.degraded is not None
    ends[0]()
    await mode.ask(client)
    assert [(row["state"], row["total_tokens"]) for row in rows(path)] == [("settled", 10)] * 2
    assert plugin.degraded is None
    await mode.leave(client)
    plugin.close()


class Defective(SQLiteLedger):
    """Raises what no ledger should, in what `broken` names."""

    broken = ""

    def begin(self, entry: Any, wait: float) -> None:
        if "begin" in self.broken:
            raise ZeroDivisionError("a defect")
        super().begin(entry, wait)

    def settle(self, entry: Any, settlement: Any, wait: float) -> None:
        if "settle" in self.broken:
            raise ZeroDivisionError("a defect")
        super().settle(entry, settlement, wait)


@pytest.mark.F46
@pytest.mark.parametrize("broken", ["begin", "settle", "begin and settle"])
async def test_a_defect_of_a_ledger_costs_no_answer(
    mode: Mode, path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is taken like an outage: the call goes on, and its row is written when the ledger works."""
    ledger = Defective(path)
    plugin = CostPlugin(ledger=ledger)
    client = mode.client(MemoryTransport(said("ok")), plugin)
    await mode.ask(client)
    ledger.broken = broken
    for _ in range(2):
        told = await mode.ask(client)
        assert told.response.text == "ok"
    assert "ZeroDivisionError" in caplog.text
    ledger.broken = ""
    await mode.ask(client)
    assert plugin.degraded is None
    assert [(row["outcome"], row["total_tokens"]) for row in rows(path)] == [("answered", 10)] * 4
    await mode.leave(client)
    plugin.close()


@pytest.mark.F46
async def test_a_defect_of_a_strict_ledger_refuses_the_call(mode: Mode, path: Path) -> None:
    """As an outage does; one that shows itself after the answer has come costs no answer."""
    ledger, transport = Defective(path), MemoryTransport(said("ok"))
    plugin = CostPlugin(CostOptions(mode="strict"), ledger=ledger)
    client = mode.client(transport, plugin)
    ledger.broken = "begin"
    with pytest.raises(LedgerError, match=r"raised ZeroDivisionError\. The request was not sent"):
        await mode.ask(client)
    assert not transport.sent
    ledger.broken = "settle"
    assert (await mode.ask(client)).response.text == "ok"
    ledger.broken = ""
    await mode.leave(client)
    plugin.close()
    assert [(row["outcome"], row["total_tokens"]) for row in rows(path)] == [("answered", 10)]


CALLS = """
    import json, os, resource, signal, sqlite3, threading
    from qonduit import Client
    from qonduit_cost import CostPlugin, recorder
    from qonduit_cost.options import CostOptions
    from tests.pipeline.memory import MemoryTransport, said

    recorder.WAIT_SECONDS, recorder.PAUSE_SECONDS = 0.02, 0.0
    transport = MemoryTransport(said("ok"))

    def client_of(ledger, **options):
        plugin = CostPlugin(CostOptions(ledger=str(ledger), **options))
        given = {"provider": "qwen", "model": "qwen-plus", "api_key": "sk-test", "max_retries": 0}
        return Client(**given, plugins=[plugin, transport]), plugin

    def ask(client):
        return client.chat.completions.create(messages=[{"role": "user", "content": "hi"}], max_tokens=10).text
"""
"""For programs of a test's own: one call after the other over a ledger."""


@pytest.mark.F46
@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_a_full_disk_costs_no_answer(path: Path, mode: str) -> None:
    """What was sent is answered. A strict ledger sends no more; a lenient one counts what it could keep nowhere."""
    source = (
        CALLS
        + """
    client, plugin = client_of(sys.argv[1], mode=sys.argv[2])
    ask(client)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, -1))
    answers, refused = 1, 0
    for _ in range(150):
        try:
            assert ask(client) == "ok"
            answers += 1
        except LedgerError:
            refused += 1
    degraded = plugin.degraded
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    ask(client)
    client.close()
    plugin.close()
    print(json.dumps([answers + 1, refused, len(transport.sent), degraded]))
    """
    )
    output, errors = script(source, path, mode).communicate()
    answers, refused, sent, degraded = json.loads(output)
    assert answers == sent
    assert bool(refused) == (mode == "strict")
    written, lost = rows(path), sum(row["attempts"] for row in rows(path, "losses"))
    assert {row["outcome"] for row in written} == {"answered"}
    assert len(written) + lost == answers
    if mode == "lenient":
        assert "files may not grow" in degraded or "disk is full" in degraded
        assert lost
        assert "it is lost" in errors
    else:
        assert lost == 0


@pytest.mark.F46
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_a_folder_that_may_only_be_read_costs_no_answer(shown: Path, mode: str) -> None:
    """Nothing can be kept beside the ledger either: what is lost is said."""
    path = shown / "ledger.sqlite3"
    SQLiteLedger(path).begin(entry("before"), 1)
    source = (
        CALLS
        + """
    warm, _ = client_of(":memory:")
    ask(warm)
    client, plugin = client_of(sys.argv[1], mode=sys.argv[2])
    os.setuid(65534)
    try:
        print(ask(client))
    except LedgerError as error:
        print(len(transport.sent), error)
    print(plugin.degraded)
    """
    )
    output, errors = script(source, path, mode).communicate()
    if mode == "strict":
        assert output.startswith("1 The ledger"), errors
        assert "writable for this user" in output
    else:
        assert output.startswith("ok"), errors
        assert "writable for this user" in output.splitlines()[1]
        assert "it is lost" in errors
    assert len(rows(path)) == 1


DEATHS = {
    "before it was sent": ("transport.send = lambda *_: kill()", ("cancelled", "unknown", "estimated")),
    "before it was settled": ("SQLiteLedger.settle = lambda *_: kill()", ("cancelled", "unknown", "estimated")),
    "after it was settled": (
        "settle = SQLiteLedger.settle; SQLiteLedger.settle = lambda *given: (settle(*given), kill())",
        ("answered", None, "exact"),
    ),
}


@pytest.mark.F43
@pytest.mark.F46
@pytest.mark.parametrize(("how", "expected"), DEATHS.values(), ids=DEATHS)
def test_kill_9_in_the_midst_of_a_call(path: Path, how: str, expected: tuple[str, str | None, str]) -> None:
    """Its row is there; who opens the ledger next settles it with what it can have cost, and its budget with it."""
    source = (
        CALLS
        + f"""
    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    budget = {{"name": "all", "limit": 1, "currency": "CNY"}}
    client, plugin = client_of(sys.argv[1], budgets=[budget])
    ask(client)
    {how}
    ask(client)
    """
    )
    process = script(source, path)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    ledger = SQLiteLedger(path)
    ledger.begin(entry("next"), 1)
    ledger.close()
    first, second, _ = rows(path)
    assert first["outcome"] == "answered"
    assert (second["outcome"], second["sent"], second["provenance"]) == expected
    assert second["state"] == "settled"
    assert Decimal(second["amount"]) == Decimal(second["estimate"] if expected[1] else first["amount"])
    assert counter(path) == {"all": (Decimal(first["amount"]) + Decimal(second["amount"]), 0)}


@pytest.mark.F46
def test_kill_9_while_the_log_is_moved_into_the_file(path: Path) -> None:
    """Eight writers that do little else are killed; what they had been told is written is there, and the file sound."""
    source = """
        import itertools
        ledger = SQLiteLedger(Path(sys.argv[1]))
        for number in itertools.count():
            attempt = entry(f"{sys.argv[2]}-{number}-" + "x" * 20_000)
            ledger.begin(attempt, 10)
            ledger.settle(attempt, answered(), 10)
            print(number, flush=True)
            ledger.tidy()
    """
    acknowledged = set()
    for pair in range(4):
        processes = [script(source, path, f"{pair}{number}") for number in range(2)]
        for number, process in enumerate(processes):
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(5 * number + 3 * pair + 1)]
            process.kill()
            lines += process.stdout
            process.communicate()
            acknowledged |= {f"{pair}{number}-{line.strip()}" for line in lines if line.endswith("\n")}
    ledger = SQLiteLedger(path)
    ledger.begin(entry("next"), 1)
    ledger.close()
    found = {row["call_id"].rpartition("-")[0]: row for row in rows(path)}
    assert len(acknowledged) >= 8
    assert {found[call]["outcome"] for call in acknowledged} == {"answered"}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.F46
def test_an_attempt_under_way_when_the_ledger_comes_back_gets_its_row(path: Path) -> None:
    """Two streams of one thread: the first began while the file was locked, and ends when it no longer is."""
    unlock = lock(path)
    plugin = CostPlugin(CostOptions(ledger=str(path)))
    client = Client(provider="qwen", model="qwen-plus", api_key="sk-test", plugins=[plugin, MemoryTransport(said("x"))])
    first = client.chat.completions.create(messages=[{"role": "user", "content": "hi"}], stream=True)
    next(first)
    unlock()
    client.chat.completions.create(messages=[{"role": "user", "content": "hi"}])
    states = [row["state"] for row in rows(path) if row["call_id"] != "before"]
    assert sorted(states) == ["intent", "settled"]
    list(first)
    assert {row["state"] for row in rows(path) if row["call_id"] != "before"} == {"settled"}
    assert len(rows(path)) == 3
    client.close()
    plugin.close()


@pytest.mark.F46
def test_an_outage_that_ends_during_a_call_makes_one_row(path: Path) -> None:
    """The call began while the file was locked, and is the first to find that it no longer is."""
    unlock = lock(path)
    plugin = CostPlugin(CostOptions(ledger=str(path), budgets=[BUDGET], mode="lenient"))
    client = Client(provider="qwen", model="qwen-plus", api_key="sk-test", plugins=[plugin, MemoryTransport(said("x"))])
    for _ in range(2):
        stream = client.chat.completions.create(
            messages=[{"role": "user", "content": "hi"}], stream=True, max_tokens=10
        )
        unlock()
        list(stream)
    found = [row for row in rows(path) if row["call_id"] != "before"]
    assert [(row["state"], row["total_tokens"]) for row in found] == [("settled", 10)] * 2
    assert counter(path) == {"all": (sum(Decimal(row["amount"]) for row in found), 0)}
    assert plugin.degraded is None
    assert not list(spool.files(path))
    client.close()
    plugin.close()


@pytest.mark.F46
def test_a_call_that_ends_while_another_catches_up_makes_one_row(path: Path) -> None:
    """What is caught up on as ended has its row: settling it once more changes nothing."""
    ledger, attempt = SQLiteLedger(path), entry("late")
    attempt.settlement = answered("2")
    ledger.catch_up("batch", [attempt], 0, 1)
    ledger.settle(attempt, answered("2"), 1)
    ledger.close()
    assert [(row["call_id"], row["amount"]) for row in rows(path)] == [("late", "2")]


@pytest.mark.F43
@pytest.mark.F46
@pytest.mark.F46
def test_a_process_that_dies_while_it_catches_up_leaves_one_row(path: Path) -> None:
    """The call began while the file was locked; when it has ended the file is free, and locked again at once."""
    unlock = lock(path)

    class LockedAgain(SQLiteLedger):
        def catch_up(self, *_: Any) -> None:
            raise LedgerError("It is locked again.")

    ledger = LockedAgain(path)
    plugin = CostPlugin(CostOptions(mode="lenient"), ledger=ledger)
    client = Client(provider="qwen", model="qwen-plus", api_key="sk-test", plugins=[plugin, MemoryTransport(said("x"))])
    stream = client.chat.completions.create(messages=[{"role": "user", "content": "hi"}], stream=True)
    unlock()
    list(stream)
    kept: Any = plugin._recorder
    kept._spool._member.leave()  # as the system sees to for a process that is gone
    next_one = SQLiteLedger(path)
    next_one.settle_gone(1)
    next_one.close()
    found = [row for row in rows(path) if row["call_id"] != "before"]
    assert [(row["outcome"], row["total_tokens"]) for row in found] == [("answered", 10)]
    client.close()
    ledger.close()


@pytest.mark.F46
def test_half_a_line_in_a_spool_spoils_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk was full in the middle of a write, and has room again."""
    kept, write = Spool(path), os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
    first, second = entry("first"), entry("second")
    assert not kept.keep(first)
    monkeypatch.undo()
    assert kept.keep(second)
    entries, torn = spool.read(kept.path)
    assert ([kept.intent.call_id for kept in entries], torn) == (["second"], 0)
    kept.clear()


def test_what_a_process_leaves_in_its_spool_is_written_by_the_next(path: Path) -> None:
    """Killed while the ledger was locked: whole attempts as they were; the open one may have been billed."""
    unlock = lock(path)
    source = """
        import os, signal
        from qonduit_cost.spool import Spool
        kept = Spool(Path(sys.argv[1]))
        whole = entry("whole")
        kept.keep(whole)
        whole.settlement = answered("3")
        kept.keep(whole)
        kept.keep(entry("open"))
        with open(kept.path, "ab") as file:
            file.write(b'[1, null, ["torn')
        os.kill(os.getpid(), signal.SIGKILL)
    """
    script(source, path).communicate()
    assert spool.waiting(path) == 2
    unlock()
    ledger = SQLiteLedger(path)
    ledger.begin(entry("next"), 1)
    ledger.close()
    found = {row["call_id"]: (row["outcome"], row["amount"]) for row in rows(path)}
    assert found["whole"] == ("answered", "3")
    assert found["open"] == ("cancelled", None)
    assert not list(spool.files(path))


def test_a_spool_of_a_process_that_is_there_is_left_to_it(path: Path) -> None:
    """Another ledger object of this process opens the file meanwhile."""
    mine = Spool(path)
    attempt = entry("mine")
    attempt.settlement = answered()
    assert mine.keep(attempt)
    other = SQLiteLedger(path)
    other.begin(entry("other"), 1)
    assert [row["call_id"] for row in rows(path)] == ["other"]
    mine.close()
    other.close()
    other.begin(entry("another"), 1)
    assert {row["call_id"] for row in rows(path)} == {"other", "mine", "another"}
    other.close()


@pytest.mark.F46
async def test_a_spool_that_is_full_loses_nothing_unsaid(
    mode: Mode, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What finds no place is counted: in the log at once, in the ledger as soon as it can be written."""
    monkeypatch.setattr(spool, "MAX_BYTES", 2000)
    mend = spoil(path)
    plugin = CostPlugin(CostOptions(ledger=str(path)))
    client = mode.client(MemoryTransport(said("ok")), plugin)
    for _ in range(4):
        await mode.ask(client)
    assert "is lost" in caplog.text
    kept = spool.waiting(path)
    assert 0 < kept < 4
    mend()
    await mode.ask(client)
    whole = [row for row in rows(path) if row["outcome"] == "answered"]
    (loss,) = rows(path, "losses")
    assert len(whole) + loss["attempts"] == 5
    await mode.leave(client)
    plugin.close()


@pytest.mark.F46
async def test_a_ledger_that_was_just_down_is_left_alone_for_a_while(
    mode: Mode, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls do not wait for it one after the other."""
    monkeypatch.setattr(recorder, "PAUSE_SECONDS", 3600.0)
    unlock = lock(path)
    plugin = CostPlugin(CostOptions(ledger=str(path)))
    client = mode.client(MemoryTransport(said("ok")), plugin)
    await mode.ask(client)
    unlock()
    await mode.ask(client)
    assert [row["call_id"] for row in rows(path)] == ["before"], "nobody has tried"
    plugin.close()
    assert len(rows(path)) == 3, "closing catches up"
    await mode.leave(client)


def test_a_spool_keeps_no_secret_and_is_private(path: Path) -> None:
    """It holds what the ledger would."""
    spoil(path)
    plugin = CostPlugin(CostOptions(ledger=str(path)))
    client = Client(
        provider="qwen", model="qwen-plus", api_key="sk-canary-key", plugins=[plugin, MemoryTransport(said("canary-b"))]
    )
    client.chat.completions.create(messages=[{"role": "user", "content": "canary-a"}])
    (file,) = spool.files(path)
    assert "canary" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    json.loads(file.read_text().splitlines()[0])
    client.close()
    plugin.close()


@pytest.mark.F43
@pytest.mark.F46
async def test_cancelled_while_the_ledger_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is gone before it was sent; its row says so, or there is none."""
    monkeypatch.setattr(recorder, "WAIT_SECONDS", 1.0)
    unlock = lock(path)
    transport = MemoryTransport(said("ok"))
    plugin = CostPlugin(CostOptions(ledger=str(path), mode="strict"))
    mode = Mode(asynchronous=True, streamed=False)
    client: Any = mode.client(transport, plugin)
    task = asyncio.ensure_future(mode.ask(client))
    while not any(thread.name.startswith("asyncio") for thread in threading.enumerate()):
        await asyncio.sleep(0)
    task.cancel()
    unlock()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not transport.sent
    await client.aclose()
    plugin.close()
    left = [(row["outcome"], row["sent"]) for row in rows(path) if row["call_id"] != "before"]
    assert left in ([], [("cancelled", "not_sent")])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM open_attempts WHERE call_id <> 'before'").fetchone() == (0,)


class LateLedger(SQLiteLedger):
    """Its `begin` waits until something has been settled."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reached, self.settled, self.over = threading.Event(), threading.Event(), threading.Event()

    def begin(self, entry: Any, wait: float) -> None:
        self.reached.set()
        self.settled.wait(10)
        super().begin(entry, wait)
        self.over.set()

    def settle(self, entry: Any, settlement: Any, wait: float) -> None:
        super().settle(entry, settlement, wait)
        self.settled.set()


@pytest.mark.F43
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_thread_that_comes_too_late_writes_nothing(path: Path, streamed: bool) -> None:
    """The task was cancelled before a worker thread had got to its row; there is one row, and it is not open."""
    mode, ledger = Mode(asynchronous=True, streamed=streamed), LateLedger(path)
    client: Any = mode.client(MemoryTransport(said("ok")), CostPlugin(ledger=ledger))
    task = asyncio.ensure_future(mode.ask(client))
    await asyncio.to_thread(ledger.reached.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(ledger.over.wait, 10)
    assert [(row["state"], row["outcome"], row["sent"]) for row in rows(path)] == [("settled", "cancelled", "not_sent")]
    await client.aclose()
    ledger.close()


def test_budgets_make_a_ledger_strict() -> None:
    """Unless it is said otherwise; budgets without a ledger are a mistake."""
    budget = {"name": "all", "limit": "1", "currency": "CNY"}
    assert CostOptions(ledger="x", budgets=[budget]).strict
    assert not CostOptions(ledger="x", budgets=[budget], mode="lenient").strict
    assert not CostOptions(ledger="x").strict
    for wrong in ({"budgets": [budget]}, {"ledger": "x", "budgets": [budget, budget]}):
        with pytest.raises(QonduitError, match=r"budgets need a ledger|two budgets are named 'all'"):
            Client(provider="qwen", model="qwen-plus", api_key="sk-test", plugins=[("cost", wrong)])

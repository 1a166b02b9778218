"""A ledger that cannot be written: a strict one refuses the call, a lenient one lets it go and loses nothing unsaid."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import Mode
from tests.plugins.cost.ledgers import answered, entry, rows, script

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


OUTAGES = pytest.mark.parametrize("break_", [lock, spoil, block])


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
    assert left == [("cancelled", "not_sent")]
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

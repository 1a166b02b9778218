"""SQLiteStore: one file, several processes, and whatever is wrong with it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import Mode
from tests.plugins.cache.stores import Clock, cache

from qonduit_cache.sqlite import SQLiteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "cache.sqlite"


def store(path: Path, entries: int = 100, size: int = 100_000, **terms: Any) -> SQLiteStore:
    return SQLiteStore(path, max_entries=entries, max_bytes=size, **{"timeout": 0.2, **terms})


def test_entries_outlive_the_process(path: Path) -> None:
    """What one object has put another gets; the file is its user's alone."""
    one = store(path)
    one.put("a", b"\x00x", 9)
    one.put("a", b"y", 9)
    one.put("b", b"zz", 9)
    one.close()
    other = store(path)
    assert [other.get(key) for key in "abc"] == [b"y", b"zz", None]
    stats = other.stats()
    assert (stats.entries, stats.bytes, stats.where) == (2, 3, str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    other.delete("a")
    assert other.keys(9) == ["b"]
    assert other.clear() == 1
    assert other.keys(9) == []
    other.close()


def test_nothing_is_made_before_the_first_access(path: Path) -> None:
    """Building a client touches no file."""
    store(path).close()
    assert not path.parent.exists()


def test_entries_die_and_the_oldest_go_first(path: Path) -> None:
    """By number and by size."""
    clock = Clock()
    kept = store(path, 3, 10, clock=clock)
    for key in "abcd":
        clock.now += 1
        kept.put(key, b"x", 100)
    assert kept.keys(9) == ["d", "c", "b"]
    kept.put("big", b"x" * 9, 100)
    assert kept.keys(9) == ["big", "d"]
    kept.put("huge", b"x" * 11, 100)
    assert kept.keys(9) == ["big", "d"]
    clock.now += 100
    assert kept.get("big") is None
    assert kept.stats().entries == 0
    kept.close()


def test_threads_and_processes_at_once(path: Path) -> None:
    """Four processes and eight threads write and read the same file; nothing is lost, nothing fails."""
    program = (
        "import sys; from pathlib import Path; from qonduit_cache.sqlite import SQLiteStore\n"
        "s = SQLiteStore(Path(sys.argv[1]), max_entries=10**6, max_bytes=10**9, timeout=60)\n"
        "for n in range(100):\n"
        "    s.put(f'{sys.argv[2]}-{n}', b'x' * n, 900)\n"
        "    assert s.get(f'{sys.argv[2]}-{n}') == b'x' * n\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(path), str(number)]) for number in range(4)]
    kept = store(path, 10**6, 10**9, timeout=60)

    def work(thread: int) -> None:
        for number in range(50):
            kept.put(f"t{thread}-{number}", b"y", 900)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert [process.wait(60) for process in running] == [0] * 4
    assert kept.stats().entries == 4 * 100 + 8 * 50
    kept.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def somebody_elses(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE ledger (amount)")
    connection.close()


def damaged(path: Path) -> None:
    kept = store(path)
    for number in range(50):
        kept.put(str(number), b"x" * 1000, 900)
    kept.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


def another_version(path: Path) -> None:
    store(path).stats()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("wrong", [garbage, somebody_elses, damaged, another_version, a_folder])
async def test_a_file_that_is_no_cache_is_a_miss(mode: Mode, path: Path, caplog: Any, wrong: Any) -> None:
    """Calls go on with one warning, and the file stays as it is."""
    path.parent.mkdir()
    wrong(path)
    before = path.read_bytes() if path.is_file() else None
    plugin = cache(store="sqlite", path=path)
    client = mode.client(MemoryTransport(said("Hello")), plugin)
    for _ in range(8):
        assert (await mode.ask(client)).response.text == "Hello"
    plugin.close()
    assert len(caplog.records) == 1
    assert before is None or path.read_bytes() == before


async def test_a_locked_file_is_a_miss(mode: Mode, path: Path) -> None:
    """Reading goes on beside a writer; what cannot be put in time is not, within the store's own limit."""
    plugin = cache(store="sqlite", path=path, timeout=0.1)
    transport = MemoryTransport(said("Hello"))
    client = mode.client(transport, plugin)
    await mode.ask(client)
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    assert (await mode.ask(client)).response.cached
    started = time.monotonic()
    assert not (await mode.ask(client, temperature=0.1)).response.cached
    assert time.monotonic() - started < 2
    other.close()
    assert not (await mode.ask(client, temperature=0.1)).response.cached
    assert (await mode.ask(client, temperature=0.1)).response.cached
    plugin.close()


def test_a_full_disk_is_a_failure_that_passes(path: Path) -> None:
    """What does not fit is not kept; what was there is still read."""
    kept = store(path)
    kept.put("a", b"x", 900)
    assert kept._connection is not None
    kept._connection.execute("PRAGMA max_page_count = 10")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        kept.put("b", b"x" * 90_000, 900)
    assert kept.get("a") == b"x"
    kept.close()


def test_a_file_that_may_only_be_read(path: Path) -> None:
    """What is there is given; what cannot be put is a failure like any other."""
    kept = store(path)
    kept.put("a", b"x", 900)
    assert kept._connection is not None
    kept._connection.execute("PRAGMA query_only = 1")  # what SQLite does for a file without the right to write
    assert kept.get("a") == b"x"
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        kept.put("b", b"y", 900)
    kept.close()


def test_a_file_on_a_read_only_place() -> None:
    """A folder that cannot be made is a failure of the access, not of the client."""
    plugin = cache(store="sqlite", path=Path("/proc/none/cache.sqlite"))
    mode = Mode(asynchronous=False, streamed=False)
    client: Any = mode.client(MemoryTransport(said("Hello")), plugin)
    assert client.chat.completions.create(messages=[{"role": "user", "content": "a"}]).text == "Hello"


def test_a_thread_that_holds_the_file_does_not_stop_the_others(path: Path) -> None:
    """They wait half of the limit for it."""
    kept = store(path, timeout=0.05)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with kept._open():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(10)
    with pytest.raises(TimeoutError):
        kept.get("a")
    leave.set()
    thread.join()
    kept.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_opens_its_own(path: Path) -> None:
    """It reads and writes; the parent's connection stays good."""
    kept = store(path)
    kept.put("a", b"x", 900)
    child = os.fork()
    if child == 0:
        if kept._connection is not None:
            os._exit(2)
        kept.put("b", b"y", 900)
        os._exit(0 if kept.get("a") == b"x" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kept.get("b") == b"y"
    kept.close()


def test_a_killed_writer_leaves_a_good_file(path: Path) -> None:
    """kill -9 in the midst of writing: what was acknowledged is there."""
    program = (
        "import sys; from pathlib import Path; from qonduit_cache.sqlite import SQLiteStore\n"
        "s = SQLiteStore(Path(sys.argv[1]), max_entries=10**6, max_bytes=10**9, timeout=5)\n"
        "n = 0\n"
        "while True:\n"
        "    s.put(str(n), b'x' * 500, 900); n += 1; print(n, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= 20:
            break
    writer.kill()
    written = max(20, *(int(line) for line in writer.stdout if line.strip()), 0)
    writer.wait()
    writer.stdout.close()
    kept = store(path, 10**6, 10**9)
    assert kept.stats().entries >= written
    kept.close()

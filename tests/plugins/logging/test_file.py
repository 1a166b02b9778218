"""The file: lines whole and in order, moved aside when full, shared by threads and processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, refused, said
from tests.pipeline.modes import Mode
from tests.plugins.logging.capture import plugin

from qonduit import Call, Client, ConfigurationError
from qonduit_logging import file as file_module
from qonduit_logging.file import RotatingFile


def lines(path: Path) -> list[str]:
    """The lines of a file and of those that were moved aside, the oldest first."""
    files = sorted(path.parent.glob(f"{path.name}.*"), key=lambda found: -int(found.suffix[1:]))
    return [line for found in (*files, path) if found.exists() for line in found.read_text().splitlines()]


async def test_a_file_of_json_lines(mode: Mode, tmp_path: Path) -> None:
    """Every record is one JSON object on a line of its own, whatever the logger's level."""
    path = tmp_path / "calls.jsonl"
    client = mode.client(MemoryTransport(said("Hi")), plugin(file=path), tags={"place": "日本\n\x1b"})
    assert not path.exists()
    await mode.ask(client)
    await mode.ask(client)
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [record["event.name"] for record in found] == ["qonduit.attempt", "qonduit.call"] * 2
    assert found[1]["qonduit.tags"] == {"place": r"日本\n\x1b"}
    assert "日本" in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_an_answered_attempt_is_written_with_what_follows(
    mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_waiting: None
) -> None:
    """The records of a failed attempt are written at once, that of an answered one with its call's."""
    writes: list[list[str]] = []
    write = RotatingFile.write

    def noting(file: RotatingFile, line: bytes) -> None:
        writes.append([json.loads(one)["event.name"] for one in line.splitlines()])
        write(file, line)

    monkeypatch.setattr(RotatingFile, "write", noting)
    transport = MemoryTransport(refused(503), said("Hi"))
    client = mode.client(transport, plugin(file=tmp_path / "log"), max_retries=1)
    await mode.ask(client)
    assert writes == [["qonduit.attempt"], ["qonduit.attempt", "qonduit.call"]]


async def test_an_answered_attempt_whose_call_has_no_record(
    mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the record of a call cannot be made, that of its attempt is written, and the lost one is counted."""
    made = plugin(file=tmp_path / "log")
    records = made._fields

    def failing(call: Call, scope: str, *rest: Any) -> dict[str, Any]:
        if scope == "call":
            raise RuntimeError
        return records(call, "attempt", *rest)

    monkeypatch.setattr(made, "_fields", failing)
    await mode.ask(mode.client(MemoryTransport(said("Hi")), made))
    assert [json.loads(line)["event.name"] for line in lines(tmp_path / "log")] == ["qonduit.attempt"]
    assert made.failures == 1


def test_rotation(tmp_path: Path) -> None:
    """A full file is moved aside, and the oldest is thrown away."""
    path = tmp_path / "log"
    file = RotatingFile(path, 1024, 2)
    for number in range(100):
        file.write(b"%03d" % number + b"x" * 97)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert all(found.stat().st_size <= 1024 for found in tmp_path.iterdir())
    assert [line[:3] for line in lines(path)] == [f"{number:03d}" for number in range(70, 100)]
    file.close()


def test_no_backups(tmp_path: Path) -> None:
    """Without backups, the full file is begun anew."""
    file = RotatingFile(tmp_path / "log", 1024, 0)
    for number in range(11):
        file.write(b"%03d" % number + b"x" * 97)
    assert [found.name for found in tmp_path.iterdir()] == ["log"]
    assert len(lines(tmp_path / "log")) == 1
    file.close()


def test_a_line_longer_than_the_file(tmp_path: Path) -> None:
    """A line that is larger than the limit is written all the same, alone."""
    file = RotatingFile(tmp_path / "log", 1024, 3)
    for line in (b"a", b"b" * 5000, b"c"):
        file.write(line)
    assert [len(line) for line in lines(tmp_path / "log")] == [1, 5000, 1]
    file.close()


def test_a_file_that_was_moved_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What logrotate and its like move away is begun anew."""
    monkeypatch.setattr(file_module, "CHECK_SECONDS", 0.0)
    path = tmp_path / "log"
    file = RotatingFile(path, 10_000, 3)
    file.write(b"before")
    path.rename(tmp_path / "elsewhere")
    file.write(b"after")
    assert path.read_text() == "after\n"
    assert (tmp_path / "elsewhere").read_text() == "before\n"
    file.close()


def test_closing(tmp_path: Path) -> None:
    """Closing twice is once; a line after it opens the file again; the client closes the plugin that it made."""
    path = tmp_path / "log"
    file = RotatingFile(path, 10_000, 3)
    file.close()
    file.write(b"a")
    file.close()
    file.close()
    file.write(b"b")
    assert path.read_text() == "a\nb\n"
    file.close()
    options: Any = ("logging", {"file": str(path)})
    with Client(provider="qwen", model="m", api_key="sk-test", plugins=[options, MemoryTransport(said("x"))]) as client:
        client.chat.completions.create(messages=[{"role": "user", "content": "x"}])
        assert opened(path) in ({1}, set())  # empty where there is no /proc
    assert opened(path) <= {0}


def opened(path: Path) -> set[int]:
    """How often this process has the file open, as a set of one; empty where it cannot be told."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return set()
    links = [os.path.realpath(descriptor) for descriptor in folder.iterdir()]
    return {links.count(str(path))}


def _write(path: Path, name: str, count: int, start: Any) -> None:
    file = RotatingFile(path, 4096, 200)
    start.wait()
    for number in range(count):
        file.write(f"{name} {number} {'x' * 60}".encode())
    file.close()


def test_threads_and_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that share a file and processes that share its name lose no line and tear none."""
    path, count = tmp_path / "log", 400
    context = multiprocessing.get_context("fork")
    start = context.Event()
    processes = [context.Process(target=_write, args=(path, f"p{number}", count, start)) for number in range(3)]
    shared = RotatingFile(path, 4096, 200)

    def write(name: str) -> None:
        start.wait()
        for number in range(count):
            shared.write(f"{name} {number} {'x' * 60}".encode())

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(3)]
    for worker in (*processes, *threads):
        worker.start()
    start.set()
    for worker in (*processes, *threads):
        worker.join(30)
    shared.close()
    found = lines(path)
    assert sorted(found) == sorted(
        f"{kind}{which} {number} {'x' * 60}" for kind in "pt" for which in range(3) for number in range(count)
    )
    assert all(process.exitcode == 0 for process in processes)


def test_after_a_fork(tmp_path: Path) -> None:
    """A child may write though another thread held the lock when it was made."""
    file = RotatingFile(tmp_path / "log", 4096, 1)
    file.write(b"parent")
    with file._lock:
        process = multiprocessing.get_context("fork").Process(target=file.write, args=(b"child",))
        process.start()
        process.join(20)
    assert process.exitcode == 0
    assert (tmp_path / "log").read_text() == "parent\nchild\n"
    file.close()


def test_a_line_that_was_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of which only a part could be written is an error, and the next one begins on a line of its own."""
    file = RotatingFile(tmp_path / "log", 4096, 1)
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:3]))
    with pytest.raises(OSError, match="3 of 7 bytes"):
        file.write(b"abcdef")
    monkeypatch.undo()
    file.write(b"next")
    assert (tmp_path / "log").read_text() == "abc\nnext\n"
    file.close()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing/log", r"the folder .*missing does not exist\. Make it"),
        ("folder", r"it is a folder\. Name a file in it"),
        ("locked", r"it cannot be written"),
        ("shut/log", r"the folder .*shut cannot be written"),
    ],
)
def test_a_file_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: str) -> None:
    """It is said when the client is built, not at the first call."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "shut").mkdir()
    (tmp_path / "locked").touch()
    denied = {tmp_path / "locked", tmp_path / "shut"}
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) not in denied)  # root may write anywhere
    with pytest.raises(ConfigurationError, match=f"Plugin 'logging': file = .*{expected}"):
        plugin(file=tmp_path / name)

"""The state file: what outlives a restart, also one by SIGKILL, and files that are none."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from qonduit_emulator import Emulator, StateError
from qonduit_emulator._accounts import Account, Limits
from qonduit_emulator._books import Books
from qonduit_emulator._configuration import parse_configuration
from qonduit_emulator._exchange import Usage
from qonduit_emulator._ledger import Demand, Ledger
from qonduit_emulator._refusal import Refusal
from qonduit_emulator._state_file import StateFile

from .clocks import Clock

CHAT: dict[str, Any] = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20}
HANGING = """
import asyncio, sys
from pathlib import Path
from qonduit_emulator import serve
import qonduit_emulator._app as application
from qonduit_emulator._exchange import TextDelta, Usage

class Hanging:
    async def answer(self, request):
        yield TextDelta(0, "so far", Usage(5, 1))
        await asyncio.Event().wait()

create = application.create_app
application.create_app = lambda **settings: create(**{**settings, "backend": Hanging()})
serve(port=0, state_file=Path(sys.argv[1]), ready=lambda address: print(address.url, flush=True))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its URL."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-W", "error", *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        try:
            yield running, next(word for word in line.split() if word.startswith("http"))
        finally:
            running.kill()


def command(path: Path, *more: str) -> tuple[str, ...]:
    return ("-m", "qonduit_cli", "emulator", "--port", "0", "--state", str(path), *more)


def client(url: str) -> httpx.Client:
    headers = {"Authorization": "Bearer sk-qonduit-emulator"}
    return httpx.Client(base_url=url + "/compatible-mode/v1", headers=headers, trust_env=False, timeout=30)


def usage(path: Path) -> dict[str, int]:
    """What the next start finds, of the default account and qwen-plus."""
    with Emulator(state_file=path) as emulator:
        used = emulator.books.ledger.usage("default")["qwen-plus"]
        assert (used.running, used.reserved_tokens) == (0, 0)
        return {"requests": used.requests, "today": used.requests_today, "tokens": used.used_tokens}


def test_answers_before_sigkill_are_counted_once(path: Path) -> None:
    """Ten answered calls, SIGKILL, two more starts: ten calls and their tokens, neither more nor less."""
    with process(*command(path)) as (server, url), client(url) as http:
        tokens = sum(http.post("/chat/completions", json=CHAT).json()["usage"]["total_tokens"] for _ in range(10))
        server.send_signal(signal.SIGKILL)
        server.wait()
    expected = {"requests": 10, "today": 10, "tokens": tokens}
    assert usage(path) == expected
    assert usage(path) == expected


def test_sigkill_under_load(path: Path) -> None:
    """Killed among many calls: what was answered is counted, what was open is counted once at its reservation."""
    answered: list[int] = []
    enough = threading.Event()

    def call(url: str) -> None:
        with client(url) as http:
            try:
                while True:
                    answered.append(http.post("/chat/completions", json=CHAT).json()["usage"]["total_tokens"])
                    if len(answered) > 100:
                        enough.set()
            except (httpx.HTTPError, ValueError):
                return

    with process(*command(path)) as (server, url):
        threads = [threading.Thread(target=call, args=(url,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert enough.wait(30)
        server.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
    found = usage(path)
    unanswered = found["requests"] - len(answered)
    assert 0 <= unanswered <= len(threads)
    reserved = 7 + 20
    assert sum(answered) <= found["tokens"] <= sum(answered) + unanswered * reserved
    assert usage(path) == found


def test_a_call_open_at_sigkill_is_settled_at_its_reservation(path: Path) -> None:
    """A stream that had begun may have used all it reserved: 7 tokens in and 20 out, counted once."""
    with (
        process("-c", HANGING, str(path)) as (server, url),
        client(url) as http,
        http.stream("POST", "/chat/completions", json={**CHAT, "stream": True}) as response,
    ):
        chunks = response.iter_raw()  # kept: a dropped iterator closes the connection
        next(chunks)
        server.send_signal(signal.SIGKILL)
        server.wait()
    expected = {"requests": 1, "today": 1, "tokens": 27}
    assert usage(path) == expected
    assert usage(path) == expected


def test_quotas_and_limits_go_on_after_a_restart(path: Path) -> None:
    """A minute's window, a day and a quota hold across restarts."""
    clock = Clock()
    account = Account(name="a", token_quota=100, limits=Limits(requests_per_minute=3, requests_per_day=4))
    for answers in (2, 1, 0):
        state = StateFile(path)
        ledger = Ledger(clock=clock, state=state)
        for _ in range(answers):
            ledger.settle(ledger.reserve(account, "m", Demand(10, 5, 5)), Usage(10, 5))
        if answers < 2:
            with pytest.raises(Refusal, match="rate limit"):
                ledger.reserve(account, "m", Demand(1))
        state.close()
    clock.advance(60)
    state = StateFile(path)
    ledger = Ledger(clock=clock, state=state)
    with pytest.raises(Refusal, match="Allocated quota"):
        ledger.reserve(account, "m", Demand(56))
    ledger.settle(ledger.reserve(account, "m", Demand(55)), Usage(55))
    with pytest.raises(Refusal):
        ledger.reserve(account, "m", Demand(0))
    state.close()


def test_the_file_does_not_grow_with_every_call(path: Path) -> None:
    """Settled calls older than a minute are forgotten; their totals stay."""
    clock = Clock()
    state = StateFile(path)
    ledger = Ledger(clock=clock, state=state)
    for _ in range(50):
        clock.advance(10)
        ledger.settle(ledger.reserve(Account(name="a"), "m", Demand(1)), Usage(1))
    assert len(state.load_usage()[1]) <= 7
    assert state.load_usage()[0][0].paid_tokens == 50
    state.close()


CONFIGURED = """
[accounts.team]
token_quota = {quota}
[keys.sk-one]
account = "team"
[keys.sk-two]
account = "team"
"""


def test_what_was_changed_at_run_time_stays(path: Path) -> None:
    """The configuration is entered once: a later start enters only what has changed in it since."""

    def books(quota: int) -> Books:
        return Books(parse_configuration(CONFIGURED.format(quota=quota), "test"), state=StateFile(path))

    first = books(100)
    first.change_key("sk-one", {"state": "disabled"})
    first.remove_key("sk-two")
    first.change_account("team", {"token_quota": 5})
    temporary = first.create_temporary("sk-one", 60)
    first.close()
    second = books(100)
    assert second.keys["sk-one"].state == "disabled"
    assert "sk-two" not in second.keys
    assert second.accounts["team"].token_quota == 5
    assert second.find_key(temporary.key) == temporary
    second.close()
    third = books(200)
    assert third.accounts["team"].token_quota == 200
    assert third.keys["sk-one"].state == "disabled"
    third.close()


def test_the_file_is_the_owners(path: Path) -> None:
    """It holds keys: nobody else may read it."""
    StateFile(path).close()
    assert path.stat().st_mode & 0o077 == 0


def test_a_file_in_use(path: Path) -> None:
    """Two emulators cannot count in one file; when the first ends, the second can have it."""
    with Emulator(state_file=path), pytest.raises(StateError, match="in use by another emulator"):
        Emulator(state_file=path).start()
    with Emulator(state_file=path):
        pass


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be read as one" * 20, b"\0" * 4096])
def test_garbage(path: Path, content: bytes) -> None:
    """A file that is no database is named and left as it is."""
    path.write_bytes(content)
    with pytest.raises(StateError, match=f"{path}: this is"):
        StateFile(path)
    assert path.read_bytes() == content


def test_a_damaged_file(path: Path) -> None:
    """A state whose pages are overwritten is refused."""
    with Emulator(state_file=path):
        pass
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StateError, match=str(path)), Emulator(state_file=path):
        pass


def test_another_programs_database(path: Path) -> None:
    """A database of somebody else is not touched."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StateError, match="another program"):
        StateFile(path)
    assert path.read_bytes() == before


def test_a_newer_version(path: Path) -> None:
    """A file of a version to come is left as it is."""
    StateFile(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StateError, match="newer version"):
        StateFile(path)


def test_no_such_folder(tmp_path: Path) -> None:
    """The path and the reason are named."""
    with pytest.raises(StateError, match=r"nowhere.*No such file"):
        StateFile(tmp_path / "nowhere" / "state.db")
    with pytest.raises(StateError, match="directory"):
        StateFile(tmp_path)


READ_ONLY = """
import os, sys
from pathlib import Path
from qonduit_emulator._state_file import StateFile
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    StateFile(Path(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_read_only_file(tmp_path: Path) -> None:
    """A file that cannot be written is refused at the start, not at the first call."""
    folder = tmp_path
    while folder != folder.parent and os.access(folder, os.W_OK) and folder.stat().st_uid == os.geteuid():
        if folder.name == "tmp":
            break
        folder.chmod(0o755)
        folder = folder.parent
    path = tmp_path / "state.db"
    StateFile(path).close()
    path.chmod(0o444)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.check_output([sys.executable, "-c", READ_ONLY, str(path)], text=True, env=environment)
    assert out.startswith("StateError")
    assert str(path) in out
    assert "Permission denied" in out or "read-only" in out


def test_a_state_that_fails_takes_nothing(path: Path) -> None:
    """When the call cannot be written down it is an error of the server, and nothing was counted in memory."""
    with Emulator(state_file=path) as emulator:
        state: Any = emulator.books._state
        state.close()
        headers = {"Authorization": f"Bearer {emulator.api_key}"}
        url = f"{emulator.base_url}/chat/completions"
        response = httpx.post(url, json=CHAT, headers=headers, trust_env=False)
        assert response.status_code == 500
        assert json.loads(response.text)["error"]["code"] == "internal_error"
        assert "qwen-plus" not in emulator.books.ledger.usage("default") or (
            emulator.books.ledger.usage("default")["qwen-plus"].requests == 0
        )

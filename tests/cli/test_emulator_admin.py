"""`qonduit emulator keys|accounts`, with configuration, state and admin token."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import fields

import httpx
import pytest

from qonduit_cli.administration import LIMITS
from qonduit_emulator._accounts import Limits

from .conftest import Command

TOKEN = "a-token-of-our-own"
CHAT = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}]}


class Running:
    """A running emulator, and the command that speaks to it."""

    def __init__(self, command: Command, *options: str) -> None:
        self.command = command
        self.process = command.start("emulator", "--port", "0", *options)
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"http://\S+", self.line)
        assert found is not None, self.process.communicate()
        self.url = found[0]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.command.run("emulator", *words, "--url", self.url)

    def say(self, *words: str) -> str:
        done = self.run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.rstrip("\n")

    def status(self, key: str = "sk-qonduit-emulator") -> int:
        headers = {"Authorization": f"Bearer {key}"}
        url = f"{self.url}/compatible-mode/v1/chat/completions"
        return httpx.post(url, json=CHAT, headers=headers, trust_env=False, timeout=10).status_code


@pytest.fixture
def emulator(command: Command) -> Iterator[Running]:
    command.env["QONDUIT_EMULATOR_ADMIN_TOKEN"] = TOKEN
    return Running(command, "--admin")


def test_keys(emulator: Running) -> None:
    """Each word says what a key is now, and the next call feels it."""
    key = emulator.say("keys", "add", "--model", "qwen-plus", "--expires-in", "3600")
    assert re.fullmatch(r"sk-[0-9a-f]{32}", key)
    assert emulator.status(key) == 200
    assert emulator.say("keys", "disable", key).startswith(f"{key} is disabled, expires 20")
    assert emulator.status(key) == 401
    assert emulator.say("keys", "enable", key) == f"{key} is active"
    assert emulator.status(key) == 200
    assert emulator.say("keys", "expire", key).startswith(f"{key} is expired, expires 20")
    assert emulator.status(key) == 401
    listed = emulator.say("keys", "list").splitlines()
    assert listed[0].split() == ["KEY", "ACCOUNT", "STATE", "EXPIRES", "REGION", "WORKSPACE", "MODELS"]
    assert listed[1].split() == ["sk-qonduit-emulator", "default", "active", "never", "any", "-", "all"]
    assert listed[2].split()[:3] == [key, "default", "expired"]
    assert emulator.say("keys", "remove", key) == f"{key} is removed"
    assert [found["key"] for found in json.loads(emulator.say("keys", "list", "--json"))["keys"]] == [
        "sk-qonduit-emulator"
    ]


def test_accounts(emulator: Running) -> None:
    """Limits, quotas and states are set by words, and taken away by none."""
    said = emulator.say("accounts", "add", "team", "token_quota=1000", "requests_per_minute=1")
    assert said == "team is active; billing: paid; quota: 1000; limits: requests_per_minute=1"
    assert emulator.say("keys", "add", "sk-team", "--account", "team") == "sk-team"
    assert [emulator.status("sk-team") for _ in range(2)] == [200, 429]
    said = emulator.say("accounts", "set", "team", "requests_per_minute=none", "allowed_models=qwen-plus,qwen-max")
    assert said.endswith("limits: allowed_models=qwen-plus,qwen-max")
    assert emulator.status("sk-team") == 200
    assert "qwen-plus: concurrency=0" in emulator.say("accounts", "set", "team", "-m", "qwen-plus", "concurrency=0")
    assert emulator.status("sk-team") == 429
    assert emulator.say("accounts", "freeze", "team").startswith("team is frozen")
    assert emulator.status("sk-team") == 403
    assert emulator.say("accounts", "activate", "team").startswith("team is active")
    listed = [line.split() for line in emulator.say("accounts", "list").splitlines()]
    assert listed[0] == ["ACCOUNT", "STATE", "BILLING", "QUOTA", "USED", "RESERVED", "REQUESTS", "LIMITS"]
    assert [listed[2][column] for column in (0, 1, 3, 6)] == ["team", "active", "1000", "2"]
    emulator.say("accounts", "reset", "team")
    usage = json.loads(emulator.say("accounts", "list", "--json"))["accounts"][1]["usage"]
    assert usage["qwen-plus"]["requests"] == 0
    emulator.say("keys", "remove", "sk-team")
    assert emulator.say("accounts", "remove", "team") == "team is removed"


MISTAKES = [
    (("keys", "disable", "sk-nobody"), 1, "error: There is no key 'sk-nobody'."),
    (("keys", "add", "--account", "defualt"), 1, "did you mean 'default'?"),
    (("accounts", "set", "default", "token_quotta=1"), 1, "unknown key 'token_quotta'; did you mean 'token_quota'?"),
    (("accounts", "set", "default", "token_quota=many"), 1, "token_quota must be a whole number from 0, not 'many'"),
    (("accounts", "set", "default", "token_quota"), 2, "'token_quota' is not SETTING=VALUE"),
    (("accounts", "set", "default"), 2, "What is to be set?"),
    (("accounts", "set", "default", "-m", "qwen-plus", "state=frozen"), 2, "state is none"),
    (("accounts", "freeze", "nobody"), 1, "There is no account 'nobody'"),
    (("keys", "list", "--admin-token", "wrong"), 1, "does not take this admin token"),
]


def test_mistakes(emulator: Running) -> None:
    """One line each, and the exit code says whether anything was sent."""
    for words, code, message in MISTAKES:
        done = emulator.run(*words)
        assert (done.returncode, done.stdout) == (code, "")
        assert message in done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1


def test_the_token_is_printed_when_none_is_given(command: Command) -> None:
    """The second line on standard output has it; without --admin there is one line and no API."""
    running = Running(command, "--admin")
    assert running.process.stdout is not None
    found = re.fullmatch(r"Its admin API is on, with the token (\S+)\n", running.process.stdout.readline())
    assert found is not None
    assert running.say("keys", "list", "--admin-token", found[1])
    done = running.run("keys", "list")
    assert done.returncode == 2
    assert "The admin token is missing" in done.stderr
    plain = Running(command)
    done = plain.run("keys", "list", "--admin-token", "x")
    assert done.returncode == 1
    assert "Start the emulator with: qonduit emulator --admin" in done.stderr
    plain.process.send_signal(signal.SIGINT)
    assert plain.process.communicate(timeout=30) == ("", "")


def test_the_words_for_limits() -> None:
    """The command knows the same limits as the emulator."""
    assert {limit.name for limit in fields(Limits)} == LIMITS


def test_no_emulator_answers(command: Command) -> None:
    """The address and what to do."""
    done = command.run("emulator", "keys", "list", "--url", "http://127.0.0.1:9", "--admin-token", "x")
    assert done.returncode == 1
    assert done.stderr.startswith("error: No emulator answers at http://127.0.0.1:9")
    done = command.run("emulator", "keys", "list", "--url", "nonsense", "--admin-token", "x")
    assert done.returncode == 2


def test_configuration_and_state(command: Command) -> None:
    """Keys and limits of a file; what is changed outlives SIGKILL."""
    (command.folder / "emulator.toml").write_text(
        '[accounts.team.limits]\nrequests_per_day = 2\n[keys.sk-mine]\naccount = "team"\n', encoding="utf-8"
    )
    command.env["QONDUIT_EMULATOR_ADMIN_TOKEN"] = TOKEN
    options = ("--config-file", "emulator.toml", "--state", "state.db", "--admin")
    first = Running(command, *options)
    assert "with the key sk-mine" in first.line
    assert first.status("sk-mine") == 200
    first.say("keys", "add", "sk-more", "--account", "team")
    first.process.kill()
    first.process.wait()
    second = Running(command, *options)
    assert [second.status("sk-more") for _ in range(2)] == [200, 429]
    assert "in use by another emulator" in command.run("emulator", "--port", "0", *options).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config-file", "none.toml"), "none.toml: cannot be read"),
        (("--config-file", "bad.toml"), "bad.toml, table keys.\"sk-1\": unknown key 'stat'; did you mean 'state'?"),
        (("--state", "bad.toml"), "bad.toml: this is no state file"),
        (("--admin-token", "x"), "--admin-token needs --admin"),
        (("--admin", "--admin-token", "a b"), "without spaces"),
        (("--port", "0", "keys", "list"), "--port stands after the last word"),
    ],
)
def test_a_wrong_start(command: Command, options: tuple[str, ...], message: str) -> None:
    """Nothing starts; one line says what to mend."""
    (command.folder / "bad.toml").write_text("[keys.sk-1]\nstat = 1\n" + "# filling\n" * 200, encoding="utf-8")
    done = command.run("emulator", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1

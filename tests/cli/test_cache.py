"""`qonduit cache`: what a cache keeps, seen from outside."""

from __future__ import annotations

import json
import sqlite3

import pytest

from .conftest import CANARY, Command, Provider

PLUGIN = 'plugins = ["cache"]\n[profiles.local.plugin.cache]\n'


@pytest.fixture
def filled(command: Command, provider: Provider) -> Command:
    """A cache in a file, with one answer."""
    command.configure(provider.profile(f'{PLUGIN}store = "sqlite"\npath = "c.db"\n'), TEST_KEY=CANARY)
    for _ in range(2):
        assert command.run("chat", "--no-stream", "Hi").returncode == 0
    assert len(provider.bodies) == 1
    return command


def test_stats_inspect_and_clear(filled: Command) -> None:
    """How much there is, which entries, one of them in full, and none any more; without the key."""
    del filled.env["TEST_KEY"]
    assert filled.run("cache", "stats").stdout.startswith("c.db: 1 entries, ")
    header, line = filled.run("cache", "inspect").stdout.splitlines()
    assert header.split()[:3] == ["KEY", "OPERATION", "MODEL"]
    key, operation, *_ = line.split()
    assert (len(key), operation) == (16, "chat")
    shown = filled.run("cache", "inspect", key)
    document = json.loads(shown.stdout)
    assert document["key"].startswith(key)
    assert document["response"]["choices"]
    assert shown.stderr == ""
    assert filled.run("cache", "clear", "--profile", "local").stdout == "1 entries were forgotten.\n"
    assert filled.run("cache", "stats").stdout == "c.db: 0 entries, 0 bytes\n"
    assert len(filled.run("cache", "inspect", "--limit", "3").stdout.splitlines()) == 1


def test_a_poisoned_entry_is_named(filled: Command) -> None:
    """What would not be given is listed with the reason."""
    with sqlite3.connect(filled.folder / "c.db") as connection:
        connection.execute("INSERT INTO entries VALUES ('aa', x'00', 1, 9e9, 9e9)")
        connection.execute("UPDATE entries SET entry = replace(entry, 'chat', 'chap') WHERE key <> 'aa'")
    connection.close()
    listed = filled.run("cache", "inspect").stdout
    assert listed.count("it is no entry") == 2
    assert "it is no entry" in filled.run("cache", "inspect", "aa").stderr


def test_a_key_that_there_is_not(filled: Command) -> None:
    """It says so, and how to find one."""
    done = filled.run("cache", "inspect", "zz")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'zz'" in done.stderr


def test_a_cache_in_memory(command: Command, provider: Provider) -> None:
    """There is nothing to see from outside, and that is said."""
    command.configure(provider.profile(PLUGIN), TEST_KEY=CANARY)
    for words in (("stats",), ("clear",), ("inspect",)):
        done = command.run("cache", *words)
        assert done.returncode == 0
        assert "in memory" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (
            'store = "sqlite"\npath = "."\n',
            1,
            "sqlite store of profile 'local' cannot be used: unable to open database",
        ),
        ('store = "sqlite"\npath = "/dev/null/c.db"\n', 1, "'/dev/null'"),
        ('store = "redis"\nurl = "redis://:sk-canary-3f9a1c@127.0.0.1:1/0"\n', 1, "redis store of profile 'local'"),
        ('store = "disk"\n', 2, "plugin.cache: store"),
        ('store = "redis"\n', 2, "plugin.cache.url is missing"),
    ],
)
def test_what_is_wrong(command: Command, provider: Provider, options: str, code: int, said: str) -> None:
    """A store that cannot be used, or options that are wrong, in one sentence without the password."""
    command.configure(provider.profile(PLUGIN + options))
    done = command.run("cache", "stats")
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr

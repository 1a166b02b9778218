"""The two written forms: one line each, without control characters, for qonduit's records and those of others."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import Mode
from tests.plugins.logging.capture import Handler, plugin

from qonduit_logging import ConsoleFormatter, JSONFormatter
from qonduit_logging.record import Record, written


def record(message: str, *args: Any, error: bool = False) -> logging.LogRecord:
    """A record of somebody else's."""
    information: Any = None
    if error:
        try:
            raise LookupError("sk-0123456789abcdef")
        except LookupError:
            information = sys.exc_info()
    return logging.LogRecord("other", logging.INFO, __file__, 1, message, args, information)


async def test_both_forms(mode: Mode, logged: Handler) -> None:
    """JSON has every field; the line has what a reader looks for."""
    await mode.ask(mode.client(MemoryTransport(said("Hi")), plugin(), tags={"user": "u-1"}))
    made = logged.records[-1]
    assert json.loads(JSONFormatter().format(made)) == made.qonduit
    line = ConsoleFormatter().format(made)
    assert line.endswith(f" INFO    {made.getMessage()}")
    assert made.getMessage().startswith("call chat qwen/qwen-plus: answered, 200, ")
    for part in ("7 + 3 tokens", "finished by stop", "attempts 1", "tags user=u-1", "request request-1"):
        assert part in line
    assert "\n" not in line


async def test_json_as_the_message(mode: Mode, logged: Handler) -> None:
    """With `format = "json"` the message is the JSON line, for handlers whose formatter cannot be chosen."""
    await mode.ask(mode.client(MemoryTransport(said("Hi")), plugin(format="json")))
    for made in logged.records:
        assert json.loads(made.getMessage()) == made.qonduit
        assert made.getMessage() == JSONFormatter().format(made)


def test_a_record_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several handlers share one JSON line."""
    made = Record(logging.INFO, {"event.name": "qonduit.call"})
    first = made.json
    monkeypatch.setattr("qonduit_logging.record.to_json", None)
    assert made.json is first


@pytest.mark.parametrize("formatter", [JSONFormatter(), ConsoleFormatter()])
def test_records_of_others(formatter: logging.Formatter) -> None:
    """They are one line too, redacted, with their traceback."""
    line = formatter.format(record("key %s\nforged", "sk-0123456789abcdef", error=True))
    assert "\n" not in line
    assert "sk-0" not in line
    assert "LookupError" in line
    assert "other" in line


@given(text=st.text())
def test_no_control_character_comes_through(text: str) -> None:
    """Whatever a record holds, its line has no control character and is UTF-8."""
    for formatter in (JSONFormatter(), ConsoleFormatter()):
        line = formatter.format(record("%s", text))
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in line)
        line.encode()
    json.loads(JSONFormatter().format(record("%s", text)))


async def test_forged_names(mode: Mode, logged: Handler) -> None:
    """Model names, tags and what a server sends forge no line and colour no terminal."""
    client = mode.client(MemoryTransport(said("Hi")), plugin(), tags={"a\nb": "c\x1b[2J"})
    await mode.ask(client, model="m\nERROR forged\u202e")
    for made in logged.records:
        for line in (made.getMessage(), JSONFormatter().format(made), ConsoleFormatter().format(made)):
            assert not any(ord(character) < 32 for character in line)
            assert "\u202e" not in line
    assert logged.call["gen_ai.request.model"] == r"m\nERROR forged\u202e"
    assert logged.call["qonduit.tags"] == {r"a\nb": r"c\x1b[2J"}


def test_a_line_of_little() -> None:
    """A record with few fields is written all the same."""
    assert written({}) == "  : 0.000 s"

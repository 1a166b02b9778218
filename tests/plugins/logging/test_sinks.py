"""Sinks that fail break no call and are counted; structlog gets the same fields."""

from __future__ import annotations

import logging
import queue
import sys
from logging.handlers import QueueHandler
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, refused, said
from tests.pipeline.modes import Mode
from tests.plugins.logging.capture import NAME, Handler, plugin

from qonduit import APIError, ConfigurationError
from qonduit_logging import ConsoleFormatter, JSONFormatter


class Failing(logging.Handler):
    """A handler whose sink is gone, which tells `logging` so as the standard handlers do."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            self.handleError(record)


class Raising(logging.Handler):
    """A handler that raises."""

    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("sk-0123456789abcdef")


@pytest.mark.parametrize("handler", [Failing, Raising])
@pytest.mark.parametrize("raise_exceptions", [False, True])
async def test_a_failing_handler(
    mode: Mode,
    logged: Handler,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    handler: type[logging.Handler],
    raise_exceptions: bool,
) -> None:
    """The call goes on; each record that was lost is counted, and the first is said on stderr, without a traceback."""
    monkeypatch.setattr(logging, "raiseExceptions", raise_exceptions)
    failing = handler()
    logging.getLogger(NAME).addHandler(failing)
    made = plugin()
    try:
        for _ in range(2):
            told = await mode.ask(mode.client(MemoryTransport(said("Hi")), made))
            assert told.response.text == "Hi"
    finally:
        logging.getLogger(NAME).removeHandler(failing)
    assert made.failures == 4
    said_of_it = capsys.readouterr().err.splitlines()
    assert len(said_of_it) == 1
    assert "a log handler failed (" in said_of_it[0]
    assert "sk-" not in said_of_it[0]
    assert len(logged.fields("call")) == 2


async def test_a_failing_file(mode: Mode, tmp_path: Path, capsys: pytest.CaptureFixture[str], logged: Handler) -> None:
    """A file that goes away does not keep the record from the logger, nor the call from its answer or its error."""
    folder = tmp_path / "logs"
    folder.mkdir()
    made = plugin(file=folder / "log")
    folder.rmdir()
    await mode.ask(mode.client(MemoryTransport(said("Hi")), made))
    with pytest.raises(APIError):
        await mode.ask(mode.client(MemoryTransport(refused(401)), made))
    assert made.failures == 4
    assert len(logged.fields("call")) == 2
    assert "FileNotFoundError: No such file or directory" in capsys.readouterr().err


async def test_a_failure_of_its_own(mode: Mode, logged: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in the making of a record is counted like a failing sink."""
    monkeypatch.setattr("qonduit_logging.plugin.outcome_fields", None)
    made = plugin()
    assert (await mode.ask(mode.client(MemoryTransport(said("Hi")), made))).response.text == "Hi"
    assert made.failures == 2


def test_stderr_that_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no stderr to say it on, it is counted."""
    (tmp_path / "logs").mkdir()
    made = plugin(file=tmp_path / "logs" / "log")
    (tmp_path / "logs").rmdir()
    monkeypatch.setattr(sys, "stderr", None)
    _ask(made)
    assert made.failures == 2


def test_other_records_fail_as_ever(logged: Handler, capsys: pytest.CaptureFixture[str]) -> None:
    """A handler's own way with failures holds for records of others, and is called once."""
    calls: list[logging.LogRecord] = []

    class Own(Failing):
        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
            calls.append(record)

    failing = Own()
    logger = logging.getLogger(NAME)
    logger.addHandler(failing)
    try:
        first, second = plugin(), plugin()
        _ask(first)
        _ask(second)
        logger.warning("mine")
    finally:
        logger.removeHandler(failing)
    assert [record.getMessage() for record in calls] == ["mine"]
    assert (first.failures, second.failures) == (2, 2)


def test_a_filter_may_look_at_the_fields(logged: Handler) -> None:
    """The fields are on `record.qonduit`, for filters and formatters."""
    logged.addFilter(lambda record: record.qonduit["event.name"] == "qonduit.call")
    _ask(plugin())
    assert logged.fields() == [logged.call]


@pytest.mark.parametrize("formatter", [ConsoleFormatter, JSONFormatter])
def test_a_queue(logged: Handler, formatter: type[logging.Formatter]) -> None:
    """A record that went through a queue, to another thread or process, is written the same."""
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = QueueHandler(waiting)
    logging.getLogger(NAME).addHandler(handler)
    try:
        _ask(plugin())
    finally:
        logging.getLogger(NAME).removeHandler(handler)
    for record in logged.records:
        assert formatter().format(waiting.get()) == formatter().format(record)


async def test_structlog(mode: Mode) -> None:
    """With structlog, the event is the record's name and the fields are its values; structlog adds time and level."""
    structlog = pytest.importorskip("structlog")
    with structlog.testing.capture_logs() as entries:
        await mode.ask(mode.client(MemoryTransport(said("Hi")), plugin(library="structlog")))
    assert [(entry["event"], entry["log_level"]) for entry in entries] == [
        ("qonduit.attempt", "debug"),
        ("qonduit.call", "info"),
    ]
    assert entries[1]["gen_ai.usage.input_tokens"] == 7
    assert "timestamp" not in entries[1]


def test_structlogs_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made of a record that structlog filters out."""
    structlog = pytest.importorskip("structlog")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    monkeypatch.setattr("qonduit_logging.cleaning.request_numbers", None)
    try:
        made = plugin(library="structlog")
        _ask(made)
    finally:
        structlog.reset_defaults()
    assert made.failures == 0


@pytest.mark.parametrize(
    ("options", "module", "extra"),
    [({"library": "structlog"}, "structlog", "structlog"), ({"traces": True}, "opentelemetry.trace", "otel")],
)
def test_a_missing_extra(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], module: str, extra: str) -> None:
    """What is not installed is named, with the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf'not installed: pip install "qonduit\[{extra}\]"'):
        plugin(**options)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("env:QONDUIT_TEST_NOT_SET", "the variable QONDUIT_TEST_NOT_SET is not set"),
        ("short", "the value is shorter than 6 characters"),
        ("regex:(", "no regular expression"),
        ("regex:x*", "the expression fits an empty text"),
    ],
)
def test_a_secret_that_cannot_be_read(entry: str, expected: str) -> None:
    """A wrong entry of `redact` is said by its number, never by its text."""
    with pytest.raises(ConfigurationError, match=f"Plugin 'logging': redact, entry 2: {expected}"):
        plugin(redact=("a fine one", entry))


def _ask(made: Any) -> None:
    mode = Mode(False, False)
    mode.client(MemoryTransport(said("Hi")), made).chat.completions.create(messages=[{"role": "user", "content": "x"}])

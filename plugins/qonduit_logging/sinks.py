"""Sinks: the loggers that records go to, of `logging` or structlog."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any, Protocol

from qonduit import ConfigurationError
from qonduit_logging.failures import Failures
from qonduit_logging.record import Record


class Sink(Protocol):
    """Takes records. What it raises is counted by the plugin, and the call goes on."""

    def wants(self, level: int) -> bool:
        """Whether records of a level are written at all: nothing is made of one that nobody wants."""

    def write(self, record: Record) -> None:
        """Write one."""


class LoggerSink:
    """A logger of the standard library. The fields are on `record.qonduit`; the message is the record's form."""

    def __init__(self, name: str, failures: Failures) -> None:
        self._logger = logging.getLogger(name)
        self._failures = failures
        self.wants = self._logger.isEnabledFor

    def write(self, record: Record) -> None:
        """Hand it to the logger's handlers; what one of them cannot write is counted."""
        logger = self._logger
        self._watch_handlers()
        # A record of its own making: the line of code that logs is always this one, so nobody need look for it.
        made = logger.makeRecord(
            logger.name, record.level, __file__, 0, record, (), None, "call", {"qonduit": record.fields}
        )
        made.__dict__[_FAILURES] = self._failures
        logger.handle(made)

    def _watch_handlers(self) -> None:
        logger: logging.Logger | None = self._logger
        while logger is not None:
            for handler in logger.handlers:
                if handler.__dict__.get("handleError").__class__ is not _Watch:
                    handler.handleError = _Watch(handler)  # type: ignore[method-assign]
            logger = logger.parent if logger.propagate else None


class _Watch:
    """A handler's `handleError` that counts what is lost of qonduit's records; others go the handler's own way.

    `logging` tells nobody but stderr that a handler failed, with the record in it, and says nothing at all where
    `logging.raiseExceptions` is off, as it is recommended for production.
    """

    def __init__(self, handler: logging.Handler) -> None:
        self._original = handler.handleError

    def __call__(self, record: logging.LogRecord) -> None:
        failures = record.__dict__.get(_FAILURES)
        if failures is None:
            self._original(record)
        else:
            failures.add("a log handler", sys.exc_info()[1])


class StructlogSink:
    """A logger of structlog: the event is "qonduit.call" or "qonduit.attempt", the fields are its values."""

    def __init__(self, name: str) -> None:
        try:
            structlog = importlib.import_module("structlog")
        except ImportError:
            raise ConfigurationError(
                "Plugin 'logging': library = 'structlog' needs the package structlog, which is not installed: "
                'pip install "qonduit[structlog]".'
            ) from None
        self._logger: Any = structlog.get_logger(name)

    def wants(self, level: int) -> bool:
        """As structlog's own filter says; a logger without one takes everything."""
        asked = getattr(self._logger, "is_enabled_for", None) or getattr(self._logger, "isEnabledFor", None)
        return asked is None or bool(asked(level))

    def write(self, record: Record) -> None:
        """Log the fields; time and level are for structlog's processors to add."""
        fields = {name: value for name, value in record.fields.items() if name not in _STRUCTLOG_HAS}
        self._logger.log(record.level, record.fields["event.name"], **fields)


_FAILURES = "_qonduit_failures"
_STRUCTLOG_HAS = frozenset({"timestamp", "level", "event.name"})

"""What a test sees of the plugin: the records that a handler got."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qonduit_logging import LoggingOptions, LoggingPlugin

NAME = "tests.qonduit"


class Handler(logging.Handler):
    """Keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def fields(self, scope: str | None = None) -> list[dict[str, Any]]:
        """The fields of the records, all or those of "call" or "attempt"."""
        found = [record.qonduit for record in self.records]
        return [fields for fields in found if scope is None or fields["event.name"] == f"qonduit.{scope}"]

    @property
    def call(self) -> dict[str, Any]:
        """The fields of the only record of a call."""
        (found,) = self.fields("call")
        return found


@contextmanager
def capturing(level: int = logging.DEBUG) -> Iterator[Handler]:
    """A handler on the tests' logger."""
    logger, handler = logging.getLogger(NAME), Handler()
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def plugin(**options: Any) -> LoggingPlugin:
    """The plugin, to the tests' logger."""
    return LoggingPlugin(LoggingOptions(logger=NAME, **options))

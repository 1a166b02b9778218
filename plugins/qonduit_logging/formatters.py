"""Formatters for handlers of your own: one readable line, or one JSON object a line.

    handler = logging.StreamHandler()
    handler.setFormatter(JSONFormatter())
    logging.getLogger("qonduit").addHandler(handler)

Both take every record, also those that are not qonduit's: their texts are redacted and escaped as well.
"""

from __future__ import annotations

import datetime
import functools
import logging
from typing import Any

from pydantic_core import to_json

from qonduit_logging.record import Record, written
from qonduit_logging.redaction import Redactor


class JSONFormatter(logging.Formatter):
    """One JSON object a line, in UTF-8, with every control character escaped.

    Args:
        redactor: what cleans records that are not qonduit's; those of qonduit are clean already.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__()
        self._redactor = redactor or Redactor()

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, without its end."""
        if isinstance(record.msg, Record):
            return record.msg.json.decode()
        fields = getattr(record, "qonduit", None)  # after a queue, the message is text already
        if not isinstance(fields, dict):
            fields = self._foreign(record)
        return to_json(fields, inf_nan_mode="null", fallback=str).decode()

    def _foreign(self, record: logging.LogRecord) -> dict[str, Any]:
        fields = {
            "timestamp": timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            fields["error.type"] = record.exc_info[0].__name__
            fields["exception.stacktrace"] = self.formatException(record.exc_info)
        return {name: self._redactor.clean(text, limit=None) for name, text in fields.items()}


class ConsoleFormatter(logging.Formatter):
    """One readable line: time, level, and what happened.

    Args:
        redactor: what cleans records that are not qonduit's; those of qonduit are clean already.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__()
        self._redactor = redactor or Redactor()

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, without its end."""
        fields = getattr(record, "qonduit", None)
        if isinstance(record.msg, Record):
            text = record.msg.line
        elif isinstance(fields, dict):
            text = written(fields)
        else:
            text = f"{record.name}: {record.getMessage()}"
            if record.exc_info:
                text += f"\n{self.formatException(record.exc_info)}"
            text = self._redactor.clean(text, limit=None)
        return f"{timestamp(record.created)} {record.levelname:<7} {text}"


def timestamp(seconds: float) -> str:
    """A time of `time.time()` in ISO 8601, UTC, to the microsecond."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1_000_000):06d}Z"


@functools.lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")

"""Failures: what went wrong in one sentence on standard error, and the exit code that belongs to it.

0 done; 1 the call failed, or the doctor found something; 2 nothing was sent: mend the command or the set-up;
130 interrupted.
"""

from __future__ import annotations

import sys

from qonduit import APIError, BadRequestError, ConfigurationError, QonduitError
from qonduit_cli.output import note

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130


class UsageError(Exception):
    """The command line is wrong. The text says what was expected."""


def report(error: Exception) -> int:
    """Say what went wrong; returns the exit code."""
    text, code = _describe(error)
    note("error", text)
    return code


def _describe(error: Exception) -> tuple[object, int]:
    if hasattr(error, "format_message"):  # typer's errors; older versions take them from click
        return f"{error.format_message()} See: qonduit --help", WRONG_INPUT
    match error:
        case UsageError() | ConfigurationError() | BadRequestError(status_code=None, attempts=0):
            return error, WRONG_INPUT
        case APIError(request_id=str(request_id)) if request_id not in str(error):
            return f"{error} (request id {request_id})", FAILED
        case QonduitError():
            return error, FAILED
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            return f"{place}{error.strerror or error}.", FAILED
    if sys.flags.dev_mode:
        raise error
    return (
        f"{type(error).__name__}: {error} - a fault of qonduit or of a plugin. "
        "For the traceback run: python -X dev -m qonduit_cli …",
        FAILED,
    )

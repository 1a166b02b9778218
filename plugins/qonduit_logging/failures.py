"""Failures: what could not be logged, counted, and said once on stderr: never through the sink that failed."""

from __future__ import annotations

import contextlib
import sys
import threading

from qonduit_logging.redaction import Redactor


class Failures:
    """Counts failures of one plugin. `count` is how many records, spans or parts of them were lost."""

    def __init__(self, redactor: Redactor) -> None:
        self.count = 0
        self._redactor = redactor
        self._lock = threading.Lock()

    def add(self, what: str, error: BaseException | None) -> None:
        """Count one; the first is said."""
        with self._lock:
            self.count += 1
            first = self.count == 1
        if not first:
            return
        reason = type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            reason += f": {self._redactor.clean(error.strerror)}"
        with contextlib.suppress(Exception):  # stderr may be closed, or full as well
            sys.stderr.write(
                f"qonduit: {what} failed ({reason}). The calls go on; what is not logged is counted in the logging "
                "plugin's 'failures'. This is said once.\n"
            )
            sys.stderr.flush()

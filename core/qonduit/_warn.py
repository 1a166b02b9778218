"""Warnings that point at the caller's own line, however deep in qonduit they arise."""

from __future__ import annotations

import sys
import warnings


def warn(text: str) -> None:
    """Warn with a UserWarning whose place is the first frame outside of qonduit."""
    level = 2
    frame = sys._getframe(1)  # the documented way to the frames; skip_file_prefixes is Python 3.12's
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "qonduit":
        frame = frame.f_back
        level += 1
    warnings.warn(text, UserWarning, stacklevel=level)

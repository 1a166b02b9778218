"""Output: answers and reports on standard output; all else, a line each, on standard error."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Sequence

WIDTH_OFF_TERMINAL = 1000
"""Columns of a table that goes into a file or a pipe: as wide as it needs to be, never folded."""


def prepare() -> None:
    """Make both streams take any text, and show each Python warning as one line, once."""
    if sys.stdout is None:  # closed by the caller: `>&-`
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # open to the process's end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    shown: set[str] = set()

    def show(message: Warning | str, *_place: object, **_more: object) -> None:
        text = one_line(message)
        if text not in shown:
            shown.add(text)
            note("warning", text)

    warnings.showwarning = show


def one_line(text: object) -> str:
    """`text` on one line, without characters that a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(str(text).split()))


def write(text: str) -> None:
    """Write to standard output at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def say(text: str = "") -> None:
    """A line on standard output."""
    write(one_line(text) + "\n")


def note(kind: str, text: object) -> None:
    """`kind: text`, a line on standard error."""
    with contextlib.suppress(OSError):  # a full disk, a reader that left: standard error is another place
        sys.stdout.flush()
    sys.stderr.write(f"{kind}: {one_line(text)}\n")
    sys.stderr.flush()


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns on standard output."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else WIDTH_OFF_TERMINAL)
    grid = Table(box=None, pad_edge=False, header_style="bold" if terminal else "")
    for name in header:
        grid.add_column(Text(name), overflow="fold")
    for row in rows:
        # Text, not str: what stands in brackets is not rich's markup here.
        grid.add_row(*(Text(one_line(cell)) for cell in row))
    with console.capture() as capture:
        console.print(grid)
    for line in capture.get().splitlines():
        write(line.rstrip() + "\n")


def discard_output() -> None:
    """Send what cannot be written to nowhere: the interpreter flushes at its end, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)

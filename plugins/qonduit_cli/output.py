"""Output: answers and reports on standard output; all else, a line each, on standard error."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import sys
import warnings
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TextIO

_OBEYED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|\r(?!\n)")
"""Characters that move, colour or overwrite; not those that join the signs of a script or of a picture."""
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


def harmless(text: str, stream: TextIO) -> str:
    """A model's text for `stream`: where that is a terminal, with "?" in place of what it would obey."""
    return _OBEYED.sub("?", text) if stream.isatty() else text


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


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], right: Container[int] = ()) -> None:
    """Columns of figures on standard output, never folded; those whose numbers are in `right` end together."""
    from rich.cells import cell_len

    lines = [[one_line(cell) for cell in line] for line in (header, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padding = [" " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)]
        cells = [
            space + cell if number in right else cell + space
            for number, (cell, space) in enumerate(zip(line, padding, strict=True))
        ]
        write("  ".join(cells).rstrip() + "\n")


def write_file(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all. Raises: OSError."""
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe, a device: there is nothing to replace
        path.write_text(text, encoding="utf-8")
        return
    path = path.resolve()
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "It is a folder; name a file", str(path))
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        if path.exists():
            shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def discard_output() -> None:
    """Send what cannot be written to nowhere: the interpreter flushes at its end, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)

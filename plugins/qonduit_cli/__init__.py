"""The command `qonduit`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code. `arguments` are those of the process when None."""
    missing = [name for name in ("typer", "rich") if find_spec(name) is None]
    if missing:
        sys.stderr.write(f'The command qonduit needs {" and ".join(missing)}: pip install "qonduit[cli]"\n')
        return 2
    try:
        from qonduit_cli.app import run

        return run(arguments)
    except KeyboardInterrupt:
        return 130

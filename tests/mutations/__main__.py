"""The command: `python -m tests.mutations [WORD …]` puts each bug into a copy of the source and runs its tests.

The tests must pass without any bug, and fail with each of them. With words, only the bugs whose area or sentence has
one of them. The exit code is 0 when every bug was found, 2 when no bug has such a word.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutations.bug import ROOT, Bug
from tests.mutations.bugs import BUGS

SOURCES = ("core", "providers", "plugins")
WORKERS = min(os.cpu_count() or 1, 4)
"""How many bugs are tried at a time, each in a copy of its own."""
TIME_LIMIT = 120.0
"""Seconds for the tests of one bug; a bug that makes them hang is found, too."""
WHOLE_LIMIT = 900.0
"""Seconds for all of them together, without a bug."""
FAILED_TESTS = 1
"""What pytest exits with when tests fail, as opposed to one that could not be run."""


def main(words: Sequence[str]) -> int:
    """Plant the bugs. Returns the exit code."""
    bugs = [bug for bug in BUGS if not words or any(word in f"{bug.area}: {bug.what}" for word in words)]
    if not bugs:
        areas = ", ".join(dict.fromkeys(bug.area for bug in BUGS))
        print(f"No bug has {' or '.join(map(repr, words))} in its area or sentence. The areas: {areas}.")
        return 2
    tests = sorted({test for bug in bugs for test in bug.tests if not test.startswith("-k")})
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as workers:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(WORKERS):
            copies.put(_copy(Path(folder) / str(number)))
        whole = workers.submit(_run, _copy(Path(folder) / "whole"), tests, WHOLE_LIMIT)
        found = list(workers.map(lambda bug: _found(copies, bug), bugs))
        code, output = whole.result()
    if code != 0:
        print(f"{output}\nThe tests do not pass without a bug.")
        return 1
    print(f"{sum(found)} of {len(bugs)} deliberate bugs were found by the tests.")
    return 0 if all(found) else 1


def _copy(folder: Path) -> Path:
    """A copy of the product and its tests."""
    for name in (*SOURCES, "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    return folder


def _found(copies: queue.SimpleQueue[Path], bug: Bug) -> bool:
    """Whether the tests of `bug` fail with it."""
    copy = copies.get()
    place = copy / bug.file
    right = place.read_bytes()
    started = time.monotonic()
    try:
        place.write_text(bug.broken(), encoding="utf-8")
        code, output = _run(copy, bug.tests)
    finally:
        place.write_bytes(right)
        copies.put(copy)
    found = code == FAILED_TESTS
    verdict = "found " if found else "MISSED"
    print(f"{verdict} {time.monotonic() - started:5.1f} s  {bug.area}: {bug.what}", flush=True)
    if not found:
        print(output)
    return found


def _run(copy: Path, tests: Sequence[str], limit: float = TIME_LIMIT) -> tuple[int, str]:
    """Run tests of a copy against its sources. The exit code, and what was printed."""
    path = os.pathsep.join(str(copy / name) for name in SOURCES)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return FAILED_TESTS, "the time was up"
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

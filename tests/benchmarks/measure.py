"""What is measured and how often: rounds in which every contender has its turn, each in a fresh process.

A ratio compares two figures of one round, seconds apart, so that a machine that changes its speed does it to
both. The order rotates from round to round.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .contenders import CONTENDERS, HITS, OPENAI, RAW_HTTPX

REPOSITORY = Path(__file__).parents[2]
TURN_TIMEOUT_SECONDS = 600

Figures = dict[str, float]  # quantity -> value
Turn = Callable[[str, str, bool], Figures]  # row, server URL, quick -> figures


class NotMeasuredError(Exception):
    """A contender could not take its turn; the text says why."""


@dataclass(frozen=True)
class Quantity:
    """One column. Ratios to the base row are shown for the quantities a ratio says something about."""

    name: str
    title: str
    digits: int = 1
    ratio: bool = False


@dataclass(frozen=True)
class Measurement:
    """One table: its rows (key and label), its columns, and how one row is measured once."""

    name: str
    title: str
    quantities: tuple[Quantity, ...]
    turn: Turn
    rows: dict[str, str] = field(default_factory=lambda: {key: it.label for key, it in CONTENDERS.items()})
    base: str = RAW_HTTPX
    single_round: bool = False
    trial: bool = False  # an unmeasured first turn: writes byte code, fills the file cache


@dataclass
class Samples:
    """The figures of one measurement: by row, one entry for each round; and why rows are missing."""

    measurement: Measurement
    by_row: dict[str, list[Figures]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def values(self, row: str, quantity: str) -> list[float]:
        return [figures[quantity] for figures in self.by_row.get(row, [])]

    def ratios(self, row: str, quantity: str, base: str) -> list[float]:
        """Round by round; empty where either row was not measured."""
        bases = self.values(base, quantity)
        return [value / base_value for value, base_value in zip(self.values(row, quantity), bases, strict=False)]


IMPORT_STATEMENTS = {
    RAW_HTTPX: "import httpx",
    "qonduit": "import qonduit",
    "qonduit-client": "from qonduit import Client",
    "qonduit-async-client": "from qonduit import AsyncClient",
    OPENAI: "import openai",
    "dashscope": "import dashscope",
}


def _environment() -> dict[str, str]:
    """This environment without proxies, and with the paths of PYTHONPATH made absolute."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    if path := environment.get("PYTHONPATH"):
        environment["PYTHONPATH"] = os.pathsep.join(
            str(Path(entry).absolute()) for entry in path.split(os.pathsep) if entry
        )
    return environment


def _run(arguments: list[str], directory: Path) -> str:
    """Standard output of a fresh Python; if it fails, `NotMeasuredError` with its last words."""
    finished = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=TURN_TIMEOUT_SECONDS,
    )
    if finished.returncode:
        raise NotMeasuredError((finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"])[-1])
    return finished.stdout


def _import_turn(row: str, server_url: str, quick: bool) -> Figures:
    program = (
        "import sys, time\nbefore = len(sys.modules)\nstart = time.perf_counter()\n"
        f"{IMPORT_STATEMENTS[row]}\n"
        "print(1e3 * (time.perf_counter() - start), len(sys.modules) - before)"
    )
    milliseconds, modules = _run(["-c", program], Path(tempfile.gettempdir())).split()
    return {"wall_ms": float(milliseconds), "modules": float(modules)}


def _cold_turn(row: str, server_url: str, quick: bool) -> Figures:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    printed = _run(["-c", CONTENDERS[row].cold_program, server_url], Path(tempfile.gettempdir()))
    wall_seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not printed.strip():
        raise NotMeasuredError("the program printed no answer")
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_ms": 1e3 * wall_seconds, "cpu_ms": 1e3 * cpu_seconds}


def _worker_turn(block: str, number: int, quick_number: int) -> Turn:
    def turn(row: str, server_url: str, quick: bool) -> Figures:
        amount = str(quick_number if quick else number)
        printed = _run(["-m", f"{__package__}.worker", block, row, server_url, amount], REPOSITORY)
        figures: Figures = json.loads(printed)
        return figures

    return turn


_BUSY = Quantity("server_busy_percent", "server busy %", digits=0)
_PER_CALL = (Quantity("cpu_us", "CPU us/call", ratio=True), Quantity("wall_us", "wall us/call"), _BUSY)
_PER_CHUNK = (
    Quantity("cpu_us", "CPU us/chunk", 2, ratio=True),
    Quantity("wall_us", "wall us/chunk", 2),
    _BUSY,
)

MEASUREMENTS = (
    Measurement(
        "import",
        "Import, in a fresh interpreter",
        (Quantity("wall_ms", "ms", ratio=True), Quantity("modules", "modules", 0, ratio=True)),
        _import_turn,
        rows=IMPORT_STATEMENTS,
        trial=True,
    ),
    Measurement(
        "cold",
        "Cold one-shot call: start Python, import, build a client, one unary call, print, exit",
        (Quantity("wall_ms", "wall ms", ratio=True), Quantity("cpu_ms", "CPU ms", ratio=True)),
        _cold_turn,
        trial=True,
    ),
    Measurement("unary-sync", "Unary call, sync", _PER_CALL, _worker_turn("unary-sync", 600, 200)),
    Measurement(
        "unary-async",
        "Unary call, async, one after another",
        _PER_CALL,
        _worker_turn("unary-async", 600, 200),
    ),
    Measurement(
        "concurrent",
        "200 concurrent async callers",
        (
            Quantity("calls_per_second", "calls/s", 0, ratio=True),
            Quantity("calls_per_cpu_second", "calls/CPU s", 0, ratio=True),
            _BUSY,
        ),
        _worker_turn("concurrent", 2000, 1000),
    ),
    Measurement(
        "chunk-sync",
        "A chunk of a 500-chunk stream, sync",
        _PER_CHUNK,
        _worker_turn("chunk-sync", 30, 10),
    ),
    Measurement(
        "chunk-async",
        "A chunk of a 500-chunk stream, async",
        _PER_CHUNK,
        _worker_turn("chunk-async", 30, 10),
    ),
    Measurement(
        "hit-sync",
        "The same unary call again, sync: raw httpx asks again, a cache has the answer",
        _PER_CALL,
        _worker_turn("hit-sync", 2000, 600),
        rows={key: it.label for key, it in HITS.items()},
    ),
    Measurement(
        "memory",
        "Resident memory over 20,000 unary calls (--quick: 5,000), after a warm-up of 12,000",
        (
            Quantity("start_mib", "start MiB"),
            Quantity("end_mib", "end MiB"),
            Quantity("growth_kib", "growth KiB", 0),
        ),
        _worker_turn("memory", 20_000, 5_000),
        single_round=True,
    ),
)


@contextmanager
def canned_server() -> Iterator[str]:
    """The benchmark's server in its own process; yields its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.server"],
        cwd=REPOSITORY,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


def _show_progress(text: str) -> None:
    """Overwrite one line of a terminal's standard error; elsewhere nothing."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def measure(measurement: Measurement, server_url: str, *, rounds: int, quick: bool) -> Samples:
    """Every row once a round, interleaved. A row that fails is left out from then on, with its reason."""
    samples = Samples(measurement)
    order = list(measurement.rows)
    for round_number in range(1 if measurement.single_round else rounds):
        for row in order:
            if row in samples.missing:
                continue
            _show_progress(f"{measurement.name}, round {round_number + 1}: {row}")
            try:
                if measurement.trial and round_number == 0:
                    measurement.turn(row, server_url, quick)
                figures = measurement.turn(row, server_url, quick)
            except (NotMeasuredError, subprocess.TimeoutExpired) as error:
                samples.missing[row] = str(error)
                samples.by_row.pop(row, None)
            else:
                samples.by_row.setdefault(row, []).append(figures)
        order = order[1:] + order[:1]
    _show_progress("")
    return samples

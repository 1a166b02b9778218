"""Tables, the targets, and the JSON of a run."""

import importlib.metadata
import os
import platform
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

from qonduit._libraries import serving

from .contenders import CONTENDERS, HITS, OPENAI, QONDUIT, QONDUIT_CACHE, QONDUIT_KEPT, QONDUIT_PLUGINS, RAW_HTTPX
from .measure import Quantity, Samples

FLAT_GROWTH_KIB = 1024.0  # the resident memory of an idle interpreter already moves by some hundred KiB


@dataclass(frozen=True)
class Target:
    """A limit for the median of a figure, or of its ratio to another row of the same round."""

    title: str
    measurement: str
    quantity: str
    comparison: Literal["<=", ">="]
    limit: float
    base: str | None = RAW_HTTPX
    row: str = QONDUIT

    def line(self, samples: Samples | None) -> str:
        """`reached` or `MISSED`, the limit and the figures."""
        against = f"x {(CONTENDERS | HITS)[self.base].label}" if self.base else ""
        text = f"{self.title} {self.comparison} {self.limit:g} {against}".rstrip()
        values = self._values(samples) if samples else []
        if not values:
            return f"  not measured  {text}"
        middle = median(values)
        reached = middle <= self.limit if self.comparison == "<=" else middle >= self.limit
        figures = f"median {middle:.3f}, minimum {min(values):.3f}, maximum {max(values):.3f}"
        return f"  {'reached' if reached else 'MISSED':12}  {text}: {figures}"

    def _values(self, samples: Samples) -> list[float]:
        if self.base is None:
            return samples.values(self.row, self.quantity)
        return samples.ratios(self.row, self.quantity, self.base)


TARGETS = (
    Target("unary sync, CPU", "unary-sync", "cpu_us", "<=", 0.65),
    Target("unary sync, three plugins, CPU", "unary-sync", "cpu_us", "<=", 0.80, row=QONDUIT_PLUGINS),
    Target("unary sync, JSON log, ledger and cache, CPU", "unary-sync", "cpu_us", "<=", 1.1, row=QONDUIT_KEPT),
    Target("unary async, CPU", "unary-async", "cpu_us", "<=", 0.50),
    Target("chunk sync, CPU", "chunk-sync", "cpu_us", "<=", 0.95),
    Target("chunk sync, CPU", "chunk-sync", "cpu_us", "<=", 0.125, base=OPENAI),
    Target("chunk sync, JSON log, ledger and cache, CPU", "chunk-sync", "cpu_us", "<=", 1.0, row=QONDUIT_KEPT),
    Target("chunk async, CPU", "chunk-async", "cpu_us", "<=", 0.95),
    Target("chunk async, CPU", "chunk-async", "cpu_us", "<=", 0.125, base=OPENAI),
    Target("200 concurrent, calls/s", "concurrent", "calls_per_second", ">=", 5),
    Target("cold one-shot, wall", "cold", "wall_ms", "<=", 0.4, base=OPENAI),
    Target("cold one-shot, CPU", "cold", "cpu_ms", "<=", 0.4, base=OPENAI),
    Target("memory cache hit, sync, CPU", "hit-sync", "cpu_us", "<=", 0.12, row=QONDUIT_CACHE),
    Target("memory, growth in KiB", "memory", "growth_kib", "<=", FLAT_GROWTH_KIB, base=None),
    Target(
        "memory, three plugins, growth in KiB",
        "memory",
        "growth_kib",
        "<=",
        FLAT_GROWTH_KIB,
        base=None,
        row=QONDUIT_PLUGINS,
    ),
)


def environment() -> dict[str, str]:
    """What the figures depend on: interpreter, machine, versions, and which library serves qonduit by default."""
    versions = {"python": f"{platform.python_implementation()} {platform.python_version()}"}
    versions["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    for name in sorted({it.distribution for it in CONTENDERS.values()} | {"httpcore", "h11", "httptools", "pydantic"}):
        try:
            versions[name] = importlib.metadata.version(name)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            continue
    found = serving("auto")
    versions["qonduit's HTTP by"] = f"{found.__name__} {found.__version__}"
    return versions


def _cells(samples: Samples, row: str, quantity: Quantity) -> list[str]:
    cells = [f"{median(samples.values(row, quantity.name)):,.{quantity.digits}f}"]
    if quantity.ratio:
        ratios = samples.ratios(row, quantity.name, samples.measurement.base)
        cells += [f"{value:.2f}" for value in (min(ratios), median(ratios), max(ratios))] if ratios else ["-"] * 3
    return cells


def table(samples: Samples) -> str:
    """A measurement as text: the median of each figure; minimum, median and maximum of its ratios."""
    measurement = samples.measurement
    header = [""]
    for quantity in measurement.quantities:
        header += [quantity.title] + (["x min", "x median", "x max"] if quantity.ratio else [])
    rows = [
        [label, *(cell for quantity in measurement.quantities for cell in _cells(samples, row, quantity))]
        for row, label in measurement.rows.items()
        if row in samples.by_row
    ]
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]
    base = f"x: ratio to {measurement.rows[measurement.base]!r}"
    lines = [f"{measurement.title} [{measurement.name}]" + ("" if measurement.single_round else f"; {base}")]
    for line in [header, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        lines.append("  ".join(["  " + line[0].ljust(widths[0]), *cells]).rstrip())
    lines += [f"  {measurement.rows[row]}: not measured: {reason}" for row, reason in samples.missing.items()]
    return "\n".join(lines)


def target_lines(all_samples: dict[str, Samples]) -> str:
    """One line for each target: reached or missed, with the figures; and one with httpcore, where that has a row."""
    lines = ["Targets"]
    for target in TARGETS:
        samples = all_samples.get(target.measurement)
        lines.append(target.line(samples))
        row = f"{target.row}-httpcore"
        if samples is not None and samples.values(row, target.quantity):
            lines.append(replace(target, title=f"{target.title}, httpcore", row=row).line(samples))
    return "\n".join(lines)


def as_json(all_samples: dict[str, Samples]) -> dict[str, Any]:
    """Every figure of every round, by measurement and row; what was not measured, and why."""
    return {
        "environment": environment(),
        "measurements": {
            name: {"samples": samples.by_row, "missing": samples.missing} for name, samples in all_samples.items()
        },
    }

"""Chart: bars over time as SVG, drawn in the page's own colours. Heights are floats: what counts is in the tables."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from qonduit_cli.costs.figures import exact

WIDTH, HEIGHT = 1240, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 12, 28
LABELS = 10
"""How many periods at most are named under the bars."""
TICKS = 4
WIDEST_BAR = 56.0


HATCH = (
    '<svg class="defs" width="0" height="0"><defs>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" class="soft"/><rect width="2" height="6" class="stripe"/></pattern></defs></svg>'
)
"""Once a page: what is saved is hatched, so that it is told apart without colours too."""


class Bar(NamedTuple):
    """One period: what was paid, what a cache saved on top of it, and what both are in words."""

    label: str
    cost: Decimal
    saved: Decimal
    words: str


def draw(bars: Sequence[Bar], title: str) -> str:
    """The bars as an `<svg>`; each shows its words when it is pointed at."""
    step = _step(max((bar.cost + bar.saved for bar in bars), default=Decimal(0)))
    top = step * max(1, math.ceil(max((bar.cost + bar.saved for bar in bars), default=Decimal(0)) / step))
    room = HEIGHT - TOP - BOTTOM
    slot = (WIDTH - LEFT - RIGHT) / max(1, len(bars))
    width = min(slot * 0.72, WIDEST_BAR)
    base = HEIGHT - BOTTOM
    lines = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">']
    for number in range(int(top / step) + 1):
        y = base - float(step * number / top) * room
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" class="tick end">{exact(step * number)}</text>')
    every = math.ceil(len(bars) / LABELS)
    for number, bar in enumerate(bars):
        middle = LEFT + slot * (number + 0.5)
        cost, saved = (float(amount / top) * room for amount in (bar.cost, bar.saved))
        lines.append(f'<g class="bar"><title>{html.escape(bar.words)}</title>')
        lines.append(_rect(middle - slot / 2, TOP, slot, room, "hit"))
        if cost:
            lines.append(_rect(middle - width / 2, base - cost, width, cost, "cost"))
        if saved:
            lines.append(_rect(middle - width / 2, base - cost - saved, width, saved, "saved"))
        lines.append("</g>")
        if number % every == 0:
            lines.append(f'<text x="{middle:.1f}" y="{HEIGHT - 8}" class="tick middle">{html.escape(bar.label)}</text>')
    lines.append("</svg>")
    return "\n".join(lines)


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.2f}" class="{kind}"/>'


def _step(largest: Decimal) -> Decimal:
    """The distance of the lines: 1, 2 or 5 of some power of ten, so that about `TICKS` of them reach the top."""
    if not largest:
        return Decimal(1)
    rough = largest / TICKS
    power = Decimal(1).scaleb(rough.adjusted())
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)

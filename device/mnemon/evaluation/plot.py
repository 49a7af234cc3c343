"""Line charts as SVG: curves over depths or sizes, written out by hand so that nothing has to be installed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 44, 52
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333")  # told apart by most eyes
_STEPS = 5


def line_chart(
    title: str, across: str, up: str, at: Sequence[float], lines: Mapping[str, Sequence[float]], *, top: float = 0.0
) -> str:
    """An SVG document with one curve a line; the points of ``at`` stand at equal distances, as depths and sizes do.

    Args:
        across: What the horizontal axis shows.
        up: What the vertical axis shows, from 0 on.
        at: Where the points are, the same for all lines.
        lines: A value for each point, by the line's name.
        top: The vertical axis's end; 0: a round figure above the highest value.

    Raises:
        ValueError: There is nothing to draw, or a line has not as many values as there are points.
    """
    if not at or not lines or any(len(values) != len(at) for values in lines.values()):
        raise ValueError("a chart needs points, and a value of every line for each")
    highest = top or _round_up(max(max(values) for values in lines.values()))
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    xs = [_LEFT + inner_width * (i / (len(at) - 1) if len(at) > 1 else 0.5) for i in range(len(at))]

    def y(value: float) -> float:
        return _TOP + inner_height * (1 - min(value / highest, 1))

    floor = _TOP + inner_height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
        f' height="{_HEIGHT}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_LEFT, 24, title, size=15),
        _text(_LEFT + inner_width / 2, _HEIGHT - 12, across, anchor="middle"),
        f'<g transform="translate(16 {_TOP + inner_height / 2:.1f}) rotate(-90)">',
        _text(0, 0, up, anchor="middle"),
        "</g>",
    ]
    for step in range(_STEPS + 1):
        value = highest * step / _STEPS
        parts.append(f'<path d="M{_LEFT} {y(value):.1f}H{_LEFT + inner_width}" stroke="#dddddd"/>')
        parts.append(_text(_LEFT - 8, y(value) + 4, f"{value:g}", anchor="end"))
    parts += [_text(x, floor + 20, f"{point:,g}", anchor="middle") for x, point in zip(xs, at, strict=True)]
    labels = _apart([y(values[-1]) for values in lines.values()])
    for number, ((name, values), label) in enumerate(zip(lines.items(), labels, strict=True)):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{x:.1f},{y(value):.1f}" for x, value in zip(xs, values, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x:.1f}" cy="{y(value):.1f}" r="3" fill="{colour}"/>'
            for x, value in zip(xs, values, strict=True)
        ]
        parts.append(_text(_LEFT + inner_width + 10, label + 4, name, colour=colour))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, colour: str = "#333333") -> str:
    look = f'text-anchor="{anchor}" font-size="{size}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(words)}</text>'


def _apart(wanted: Sequence[float], gap: float = 15) -> list[float]:
    """Heights near the wanted ones, in the same order from top to bottom, with at least ``gap`` between two."""
    placed = list(wanted)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for above, below in pairwise(order):
        placed[below] = max(placed[below], placed[above] + gap)
    over = max(0.0, max(placed) - (_HEIGHT - _BOTTOM))
    return [height - over for height in placed]


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten: an axis with figures that can be read."""
    if value < 1e-9:  # nothing that is measured here is that small
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)

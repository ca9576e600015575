"""Lines over one time axis, one panel above the other, as SVG that also reads as text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import msgspec

from parlor_bench.plots import COLOURS

_WIDTH, _LEFT, _RIGHT, _TOP, _PANEL, _GAP = 860, 150, 20, 56, 72, 18


class Line(msgspec.Struct, frozen=True):
    name: str
    points: list[tuple[float, float]]
    """Seconds, and what was found then."""


class Panel(msgspec.Struct, frozen=True):
    name: str
    lines: list[Line]


class Mark(msgspec.Struct, frozen=True):
    """Something that happened."""

    at: float
    what: str


def line_chart(title: str, panels: Sequence[Panel], marks: Sequence[Mark], seconds: float) -> str:
    """``seconds`` is where the time axis ends; it begins at 0."""
    height = _TOP + len(panels) * (_PANEL + _GAP) + 24
    size = f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="18" font-size="14">{escape(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, _TOP + number * (_PANEL + _GAP), seconds)
    bottom = _TOP + len(panels) * (_PANEL + _GAP) - _GAP
    for number, mark in enumerate(marks):
        x, y = _x(mark.at, seconds), 34 + 13 * (number % 2)
        parts.append(
            f'<line x1="{x}" x2="{x}" y1="{y + 3}" y2="{bottom}" stroke="#9ca3af" stroke-dasharray="3 3"/>'
            f'<text x="{x + 3}" y="{y}" fill="#374151" font-size="11">{escape(mark.what)}</text>'
        )
    step = max(10, round(seconds / 8, -1))
    for at in range(0, int(seconds) + 1, int(step)):
        parts.append(f'<text x="{_x(at, seconds)}" y="{height - 8}" text-anchor="middle">{at} s</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, top: int, seconds: float) -> list[str]:
    most = max((value for line in panel.lines for _, value in line.points), default=0.0) or 1.0
    base = top + _PANEL
    parts = [
        f'<text x="12" y="{top + 12}">{escape(panel.name)}</text>',
        f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end" fill="#6b7280">{most:,g}</text>',
        f'<text x="{_LEFT - 6}" y="{base}" text-anchor="end" fill="#6b7280">0</text>',
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}" stroke="#d1d5db"/>',
    ]
    for number, line in enumerate(panel.lines):
        colour = COLOURS[number % len(COLOURS)]
        found = " ".join(f"{_x(at, seconds)},{base - value / most * _PANEL:.1f}" for at, value in line.points)
        parts.append(
            f'<polyline points="{found}" fill="none" stroke="{colour}" stroke-width="1.6">'
            f"<title>{escape(line.name)}</title></polyline>"
        )
        if len(panel.lines) > 1:
            parts.append(f'<text x="12" y="{top + 28 + 14 * number}" fill="{colour}">{escape(line.name)}</text>')
    return parts


def _x(at: float, seconds: float) -> float:
    return round(_LEFT + at / seconds * (_WIDTH - _LEFT - _RIGHT), 1)

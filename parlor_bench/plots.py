"""Bars as SVG: one group for each condition, one bar for each service, with the spread of the rounds as a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import msgspec

COLOURS = ("#2563eb", "#d97706", "#6b7280", "#059669", "#9333ea", "#dc2626")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 720, 300, 64, 58, 34


class Bar(msgspec.Struct, frozen=True):
    value: float
    low: float
    high: float


class Bars(msgspec.Struct, frozen=True):
    """The bars of one name, one for each group; None where there is none."""

    name: str
    bars: list[Bar | None]


def bar_chart(title: str, unit: str, groups: Sequence[str], several: Sequence[Bars], *, logarithmic: bool) -> str:
    """An image that also reads as text: its title, and the value of each bar as a tool tip."""
    every = [bar for bars in several for bar in bars.bars if bar is not None]
    scale = _Scale([bar.high for bar in every], logarithmic=logarithmic)
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)} ({escape(unit)})</text>',
    ]
    for tick in scale.ticks:
        y = scale.y(tick)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y}" y2="{y}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:,g}</text>')
    for number, bars in enumerate(several):
        left, colour = _LEFT + number * (_WIDTH - _LEFT) // len(several), COLOURS[number % len(COLOURS)]
        parts.append(f'<rect x="{left}" y="30" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{left + 14}" y="39">{escape(bars.name)}</text>')
    step = (_WIDTH - _LEFT) / len(groups)
    for place, group in enumerate(groups):
        middle = _LEFT + (place + 0.5) * step
        parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(group)}</text>')
        width = min(60.0, step * 0.8 / len(several))
        for number, bars in enumerate(several):
            if (bar := bars.bars[place]) is not None:
                x = middle + (number - len(several) / 2) * width
                parts += _bar(scale, bar, x, width, COLOURS[number % len(COLOURS)], f"{bars.name}, {group}")
    return "\n".join([*parts, "</svg>", ""])


def _bar(scale: _Scale, bar: Bar, x: float, width: float, colour: str, name: str) -> list[str]:
    top, middle = scale.y(bar.value), round(x + width / 2, 1)
    height = round(_HEIGHT - _BOTTOM - top, 1)
    tip = escape(f"{name}: {bar.value:g} ({bar.low:g} to {bar.high:g})")
    place = f'x="{x + 1:.1f}" y="{top}" width="{width - 2:.1f}" height="{height}"'
    return [
        f'<rect {place} fill="{colour}"><title>{tip}</title></rect>',
        f'<line x1="{middle}" x2="{middle}" y1="{scale.y(bar.low)}" y2="{scale.y(bar.high)}" stroke="#111827"/>',
    ]


class _Scale:
    """From values to heights: from 0, or by powers of ten."""

    def __init__(self, values: Sequence[float], *, logarithmic: bool) -> None:
        highest = max(values, default=0.0) or 1.0
        if logarithmic:
            self.ticks = [10.0**power for power in range(max(1, math.ceil(math.log10(max(highest, 1.0)))) + 1)]
        else:
            power = 10.0 ** math.floor(math.log10(highest))
            step = next(step for step in (power / 5, power / 2, power, power * 2) if highest / step <= 5)
            self.ticks = [round(step * number, 10) for number in range(math.ceil(highest / step) + 1)]
        self._logarithmic = logarithmic

    def y(self, value: float) -> float:
        space = _HEIGHT - _TOP - _BOTTOM
        most = self.ticks[-1]
        share = math.log10(max(value, 1.0)) / math.log10(most) if self._logarithmic else value / most
        return round(_HEIGHT - _BOTTOM - space * share, 1)

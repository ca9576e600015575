"""The tables and plots of docs/PERFORMANCE.md, from the results of `parlor bench run --results docs/benchmarks`:

python -m parlor_bench.report docs/benchmarks docs/PERFORMANCE.md
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from parlor_bench.catalogue import MEASURES
from parlor_bench.plots import Bar, Bars, bar_chart
from parlor_bench.results import Criterion, Kept, Result, Series

BEGIN, END = "<!-- results: made by parlor_bench/report.py -->\n", "<!-- end of results -->\n"
LOGARITHMIC = {"F5"}
"""Measures whose plots have powers of ten."""


def read(folder: Path) -> list[Kept]:
    """The results of a folder, in the order of the measures."""
    found = [msgspec.json.decode(path.read_bytes(), type=Kept) for path in folder.glob("*.json")]
    order = list(MEASURES)
    return sorted(found, key=lambda kept: order.index(kept.result.measure))


def page(text: str, kept: Sequence[Kept]) -> str:
    """The text with the tables between its two marks. Raises ``ValueError`` when it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for results")
    return f"{before}{BEGIN}\n{tables(kept)}\n{END}{after}"


def tables(kept: Sequence[Kept]) -> str:
    """What has a target, in one table; then the figures of each measure."""
    if not kept:
        return "No results are kept yet: `make bench` on a quiet machine makes them.\n"
    lines = ["| measure | what | target | result, median (lowest to highest) | |", "|---|---|---|---|---|"]
    lines += [_row(one.result, criterion) for one in kept for criterion in one.result.criteria]
    for one in kept:
        result, machine = one.result, one.machine
        lines += ["", f"### {result.measure}: {result.title}", ""]
        lines.append(
            f"Commit {machine.commit}, {machine.date}, {machine.cores} cores of {machine.processor}, load"
            f" {machine.load:g} before; {max(len(series.values) for series in result.series)} rounds; errors:"
            f" {result.errors}.{''.join(f' Left out: {reason}.' for reason in result.left_out)}"
        )
        lines += ["", "| | unit | median | lowest | highest |", "|---|---|---|---|---|"]
        lines += [
            f"| {series.name} | {series.unit} | {_number(series.median)} | {_number(min(series.values))} |"
            f" {_number(max(series.values))} |"
            for series in result.series
        ]
        lines += ["", *(f"![{result.title}, {unit}]({name})" for name, unit in _images(result).items())]
    return "\n".join(lines) + "\n"


def images(kept: Sequence[Kept]) -> dict[str, str]:
    """The plots by their path beside the page."""
    found = {}
    for one in kept:
        for path, unit in _images(one.result).items():
            several = [series for series in one.result.series if series.unit == unit]
            found[path] = _plot(one.result, unit, several)
    return found


def _images(result: Result) -> dict[str, str]:
    """Paths and units: a plot for each unit that two series have."""
    units = [series.unit for series in result.series]
    several = [unit for unit in dict.fromkeys(units) if units.count(unit) > 1]
    return {f"images/bench-{result.measure}-{number}.svg": unit for number, unit in enumerate(several, 1)}


def _plot(result: Result, unit: str, several: Sequence[Series]) -> str:
    """A series named ``a, b`` is the bar of a in the group b."""
    groups = list(dict.fromkeys(_parts(series.name)[1] for series in several))
    names = list(dict.fromkeys(_parts(series.name)[0] for series in several))
    bars: Mapping[tuple[str, str], Bar] = {
        _parts(series.name): Bar(series.median, min(series.values), max(series.values)) for series in several
    }
    rows = [Bars(name, [bars.get((name, group)) for group in groups]) for name in names]
    return bar_chart(f"{result.measure}: {result.title}", unit, groups, rows, logarithmic=result.measure in LOGARITHMIC)


def _parts(name: str) -> tuple[str, str]:
    before, comma, after = name.rpartition(", ")
    return (before, after) if comma and after[:1].isdigit() else (name, "")


def _row(result: Result, criterion: Criterion) -> str:
    target = (
        f"at least {criterion.at_least:g}" if criterion.at_least is not None else f"at most {criterion.at_most or 0:g}"
    )
    unit = f" {criterion.unit}" if criterion.unit else ""
    return (
        f"| {result.measure} | {criterion.name} | {target}{unit} | **{_number(criterion.median)}{unit}**"
        f" ({_number(min(criterion.values))} to {_number(max(criterion.values))}) |"
        f" {'met' if criterion.met else '**missed**'} |"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main(folder: Path, text: Path) -> None:
    kept = read(folder)
    text.write_text(page(text.read_text(encoding="utf-8"), kept), encoding="utf-8")
    for path, image in images(kept).items():
        (text.parent / path).write_text(image, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

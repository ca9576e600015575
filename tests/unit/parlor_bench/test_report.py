"""Results become tables and plots, so that nobody types figures."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from parlor_bench import report
from parlor_bench.plots import Bar, Bars, bar_chart
from parlor_bench.results import Criterion, Kept, Machine, Result, Series, ratios, slope

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
MACHINE = Machine(2, "a processor", "abc1234", "2026-11-30", 1.5)
F1 = Result(
    measure="F1",
    title="sends/s & more",
    criteria=[
        Criterion(name="over plain", values=[1.0, 1.3, 1.2], at_least=1.15),
        Criterion(name="wait", unit="ms", values=[5.0, 4.0], at_most=2.0),
    ],
    series=[Series("Parlor", "sends/s", [1200.0, 1300.0, 1250.0]), Series("plain", "sends/s", [1000.0, 1100.0, 900.0])],
)


@pytest.mark.parametrize(
    ("criterion", "met"),
    [
        (Criterion(name="a", values=[1.0, 1.2, 1.1], at_least=1.1), True),
        (Criterion(name="a", values=[1.0, 1.2, 1.09], at_least=1.1), False),
        (Criterion(name="a", values=[0.0], at_most=0.0), True),
        (Criterion(name="a", values=[1.0], at_most=0.0), False),
    ],
)
def test_the_median_meets_a_target_or_not(criterion: Criterion, met: bool) -> None:
    assert criterion.met is met


def test_ratios_are_of_each_round() -> None:
    assert ratios([2.0, 3.0, 1.0], [1.0, 2.0, 0.0]) == [2.0, 1.5, 0.0]


def test_a_slope_is_found_with_its_interval() -> None:
    exact = slope([(0.0, 1.0), (1800.0, 2.0), (3600.0, 3.0)])
    assert exact.per_hour == pytest.approx(2.0)
    assert exact.half_width == pytest.approx(0.0, abs=1e-9)
    flat = slope([(float(second), 10.0 + (-1) ** second) for second in range(100)])
    assert abs(flat.per_hour) < flat.half_width


@pytest.mark.parametrize("samples", [[(0.0, 1.0), (1.0, 2.0)], [(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]])
def test_a_slope_needs_samples_at_different_times(samples: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="sample"):
        slope(samples)


def test_a_page_gets_its_tables_between_the_marks_and_keeps_the_rest() -> None:
    text = f"before\n{report.BEGIN}old\n{report.END}after\n"
    made = report.page(text, [Kept(MACHINE, F1)])
    assert made.startswith("before\n")
    assert made.endswith("after\n")
    assert "old" not in made
    assert "| F1 | over plain | at least 1.15 | **1.2** (1 to 1.3) | met |" in made
    assert "| F1 | wait | at most 2 ms | **4.5 ms** (4 to 5) | **missed** |" in made
    assert "| Parlor | sends/s | 1,250 | 1,200 | 1,300 |" in made
    assert report.page(made, [Kept(MACHINE, F1)]) == made


def test_a_comparison_that_was_left_out_is_named() -> None:
    made = report.tables([Kept(MACHINE, msgspec.structs.replace(F1, left_out=["it is not installed"]))])
    assert "errors: 0. Left out: it is not installed.\n" in made
    assert "Left out" not in report.tables([Kept(MACHINE, F1)])


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        report.page("text", [])


def test_results_are_read_in_the_order_of_the_measures(tmp_path: Path) -> None:
    for name in ("F5", "F1w", "F1"):
        kept = Kept(MACHINE, msgspec.structs.replace(F1, measure=name))
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(kept))
    assert [kept.result.measure for kept in report.read(tmp_path)] == ["F1", "F1w", "F5"]


def bars_in(image: str) -> list[float]:
    """The heights of the bars that have a tool tip."""
    root = ET.fromstring(image)  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    return [float(bar.attrib["height"]) for bar in root.iter(f"{space}rect") if bar.find(f"{space}title") is not None]


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_plot_is_svg_and_its_bars_are_as_high_as_their_values(logarithmic: bool) -> None:
    several = [
        Bars("a & b", [Bar(10.0, 9.0, 11.0), Bar(100.0, 90.0, 110.0)]),
        Bars("c", [None, Bar(1000.0, 1.0, 1000.0)]),
    ]
    heights = bars_in(bar_chart("<title>", "ms", ["1 reply", "32 replies"], several, logarithmic=logarithmic))
    first, second, third = heights
    assert (
        third - second == pytest.approx(second - first, abs=0.3)
        if logarithmic
        else first * 10 == pytest.approx(second, rel=0.1)
    )
    assert first < second < third


def test_series_of_one_unit_are_one_plot_and_named_groups() -> None:
    result = msgspec.structs.replace(
        F1,
        series=[Series(f"{name}, {count} replies", "ms, p50", [5.0]) for name in ("a", "b") for count in (1, 32)]
        + [Series("alone", "tokens/s", [1.0])],
    )
    [(path, image)] = report.images([Kept(MACHINE, result)]).items()
    assert path == "images/bench-F1-1.svg"
    assert "32 replies</text>" in image
    assert len(bars_in(image)) == 4


def test_the_page_is_what_the_kept_results_say() -> None:
    """`python -m parlor_bench.report docs/benchmarks docs/PERFORMANCE.md` makes it."""
    kept = report.read(ROOT / "docs/benchmarks")
    text = (ROOT / "docs/PERFORMANCE.md").read_text(encoding="utf-8")
    assert report.page(text, kept) == text
    for path, image in report.images(kept).items():
        assert (ROOT / "docs" / path).read_text(encoding="utf-8") == image

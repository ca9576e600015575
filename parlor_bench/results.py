"""What a measure found, as it is kept in JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec


class Series(msgspec.Struct, frozen=True):
    """A figure of every round, for example sends/s of one of the services."""

    name: str
    unit: str
    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that has a target; of ratios, one of each round."""

    name: str
    unit: str = ""
    values: list[float]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        return (self.at_least is None or self.median >= self.at_least) and (
            self.at_most is None or self.median <= self.at_most
        )


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one measure found."""

    measure: str
    title: str
    criteria: list[Criterion]
    series: list[Series]
    errors: int = 0
    """Answers that were no success."""
    left_out: list[str] = []
    """Comparisons that this machine cannot make, and why."""


class Machine(msgspec.Struct, frozen=True):
    """Where and when it was measured."""

    cores: int
    processor: str
    commit: str
    date: str
    load: float
    """Of the minute before."""


class Kept(msgspec.Struct, frozen=True):
    """The file of one result."""

    machine: Machine
    result: Result


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """The ratio of each round; 0 where there is nothing to divide by."""
    return [round(one / other, 3) if other else 0.0 for one, other in zip(above, below, strict=True)]


class Slope(msgspec.Struct, frozen=True):
    """A straight line's slope by least squares, with the half width of its 95 % confidence interval."""

    per_hour: float
    half_width: float


def slope(samples: Sequence[tuple[float, float]]) -> Slope:
    """``samples`` are pairs of seconds and values; at least three at different times. The interval is that of
    independent errors, with 1.96 for Student's t: it takes some thirty samples to be exact."""
    count = len(samples)
    if count < 3:
        raise ValueError("a slope with its interval takes three samples")
    mean_x = statistics.fmean(at for at, _ in samples)
    mean_y = statistics.fmean(value for _, value in samples)
    spread = sum((at - mean_x) ** 2 for at, _ in samples)
    if not spread:
        raise ValueError("all samples are of one time")
    found = sum((at - mean_x) * (value - mean_y) for at, value in samples) / spread
    left = sum((value - mean_y - found * (at - mean_x)) ** 2 for at, value in samples)
    return Slope(found * 3600, 1.96 * math.sqrt(left / (count - 2) / spread) * 3600)

"""The measures by name, in the order in which `make bench` takes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from parlor_bench.installation import Bench
from parlor_bench.measures import answering, reading, resting, sending, soaking, storing
from parlor_bench.results import Result

Measure = Callable[[Bench], Awaitable[Result]]

ON_DEMAND = ("F12",)
"""Measures that are only taken when they are named: they take hours."""
MEASURES: Mapping[str, Measure] = {
    "F1": sending.f1,
    "F1w": sending.f1w,
    "F1a": sending.f1a,
    "F2": sending.f2,
    "F4": sending.f4,
    "F5": answering.f5,
    "F5t": answering.f5t,
    "F6": answering.f6,
    "F7": reading.f7,
    "F8": storing.f8,
    "F9": resting.f9,
    "F10": resting.f10,
    "F11": reading.f11,
    "F13": resting.f13,
    "F12": soaking.f12,
}

"""What the measures of sends make of their figures."""

from __future__ import annotations

import pytest

from parlor_bench.load import Figures
from parlor_bench.measures.sending import EJABBERD, PLAIN, SOCKET, socket_result

pytestmark = pytest.mark.unit


def rounds(*rates: float, errors: int = 0) -> list[Figures]:
    return [Figures(64, 3.0, 100, errors, rate, 1.0, 2.0) for rate in rates]


def test_sockets_are_compared_with_the_plain_service_and_with_ejabberd() -> None:
    found = socket_result(
        {SOCKET: rounds(3000.0, 2000.0), PLAIN: rounds(1000.0, 1000.0), EJABBERD: rounds(2000.0, 4000.0, errors=1)},
        None,
    )
    assert [(one.name, one.values, one.at_least) for one in found.criteria] == [
        ("over plain service", [3.0, 2.0], 2.5),
        ("over ejabberd", [1.5, 0.5], 1.0),
    ]
    assert [(one.name, one.unit) for one in found.series if one.name == EJABBERD] == [
        (EJABBERD, "sends/s"),
        (EJABBERD, "ms, p99"),
    ]
    assert (found.errors, found.left_out) == (2, [])


def test_without_ejabberd_the_comparison_is_left_out_and_the_result_says_so() -> None:
    found = socket_result({SOCKET: rounds(3000.0), PLAIN: rounds(1000.0)}, "it is not installed")
    assert [one.name for one in found.criteria] == ["over plain service"]
    assert found.left_out == ["it is not installed"]

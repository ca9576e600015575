"""The model of capacity: its formulas, what it says of figures that were measured, and docs/SCALE.md."""

from __future__ import annotations

import pytest

from parlor_bench.capacity import (
    FACTORS,
    FULL,
    IDLE_STREAM,
    REPLY,
    SMALL,
    TOKEN,
    Load,
    cores,
    cost_of_1000,
    first_full,
    most_per_second,
    needs,
    one,
    points,
    rate_of,
    redis_bytes,
    send,
    tables,
)
from tests.sources import ROOT

pytestmark = pytest.mark.unit


def test_the_model_is_within_a_fifth_of_what_was_measured() -> None:
    assert [each.what for each in points() if abs(each.error) >= 0.2] == []
    assert len(list(points())) == 4


def test_the_page_has_the_tables_of_today() -> None:
    assert tables(SMALL) in (ROOT / "docs/SCALE.md").read_text()


def test_processor_time_adds_up() -> None:
    used = cores(Load(sends=100, tokens=50, streams=1000))
    expected = (100 * (one(send()) + one(REPLY)) + 5000 * one(TOKEN) + 1000 * one(IDLE_STREAM)) / 1e6
    assert sum(used.values()) == pytest.approx(expected)
    assert most_per_second({"a": 400, "b": 600}, 2) == 2000
    assert most_per_second({"a": 400, "b": 600}, 2, FULL) == 1300


def test_what_is_needed_grows_with_the_load_and_with_what_is_held() -> None:
    before: dict[str, int] = {}
    for factor in FACTORS:
        now = {need.what: need.processes for need in needs(SMALL.times(factor))}
        assert all(now[name] >= count for name, count in before.items())
        before = now
    still = {need.what: need.processes for need in needs(Load(sends=0, streams=100_000, rooms=50_000))}
    assert (still["replica"], still["RoomActor"], still["Redis"]) == (50, 10, 1)


def test_a_process_of_python_is_full_before_a_database_is() -> None:
    assert first_full(SMALL, {}) == "replica"
    assert first_full(SMALL, {"replica": 2}) == "RoomActor"
    assert first_full(SMALL, {"replica": 40, "RoomActor": 40}) == "Redis"


def test_many_connections_are_bound_by_the_processors_and_few_by_the_way() -> None:
    assert rate_of(1, 0.001, 0.001, 1500) == pytest.approx(500)
    rates = [rate_of(connections, 0.001, 0.001, 1500) for connections in (1, 2, 4, 16, 64, 512)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(1500, rel=0.01)
    assert max(rates) <= 1500


def test_a_room_costs_what_the_page_on_sizes_says() -> None:
    assert redis_bytes(50, 500, 0) == pytest.approx(57_000, rel=0.03)


def test_a_thousand_messages_cost_their_processor_time_and_their_bytes() -> None:
    computed, kept = cost_of_1000(SMALL, core_hour=1.0, gigabyte_month=1.0, row_bytes=1000)
    assert computed == pytest.approx(sum(cores(SMALL).values()) / SMALL.sends * 1000 / FULL / 3600)
    assert kept == pytest.approx(0.004)

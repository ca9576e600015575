"""Where the days of a time zone begin and end."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.reading.usage import day_spans
from parlor.store.ports import QUARTER_SECONDS

pytestmark = pytest.mark.unit

ZONES = [
    "America/Chicago",
    "America/Havana",
    "Asia/Kathmandu",
    "Asia/Seoul",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "UTC",
]


@given(
    st.sampled_from(ZONES),
    st.dates(date(2020, 1, 1), date(2040, 1, 1)),
    st.integers(0, 400),
)
def test_days_follow_one_another_and_each_quarter_is_in_the_day_that_a_clock_shows(
    name: str, first: date, count: int
) -> None:
    zone = ZoneInfo(name)
    last = date.fromordinal(first.toordinal() + count)
    spans = day_spans(first, last, zone)
    assert [span.day for span in spans] == [
        date.fromordinal(day).isoformat() for day in range(first.toordinal(), last.toordinal() + 1)
    ]
    assert [span.first for span in spans[1:]] == [span.beyond for span in spans[:-1]]
    for span in spans:
        for quarter in (span.first, span.beyond - 1):
            assert datetime.fromtimestamp(quarter * QUARTER_SECONDS, zone).date().isoformat() == span.day


@pytest.mark.parametrize(
    ("zone", "day", "quarters"),
    [
        ("America/Chicago", date(2026, 11, 1), 100),
        ("America/Chicago", date(2026, 3, 8), 92),
        ("Australia/Lord_Howe", date(2026, 4, 5), 98),
        ("America/Havana", date(2026, 3, 8), 92),
        ("Asia/Seoul", date(2026, 11, 1), 96),
    ],
)
def test_a_day_is_longer_or_shorter_where_the_clock_is_set(zone: str, day: date, quarters: int) -> None:
    (span,) = day_spans(day, day, ZoneInfo(zone))
    assert span.beyond - span.first == quarters


@pytest.mark.parametrize("day", [date.min, date.max])
def test_the_first_and_the_last_day_that_there_are_have_a_length(day: date) -> None:
    for zone in (UTC, ZoneInfo("Asia/Seoul"), ZoneInfo("America/Chicago")):
        (span,) = day_spans(day, day, zone)
        assert span.beyond - span.first >= 95

"""What accounts use: counted once, by the quarter of an hour, and read by the days of any time zone."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from parlor.reading.usage import daily_use
from parlor.store.ports import QUARTER_SECONDS, Batch, DaySpan, RowRefused, Use
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract

ALL_MAY = date(2026, 5, 1), date(2026, 5, 31)


def use(fixtures: StoreFixtures, at: datetime, messages: int = 1, tokens: int = 10) -> Use:
    return Use(fixtures.key, int(at.timestamp()) // QUARTER_SECONDS, messages, tokens, 2 * tokens)


async def counted(fixtures: StoreFixtures, *uses: Use) -> None:
    await fixtures.apply(Batch([fixtures.fence()], uses=list(uses)))


async def days(
    fixtures: StoreFixtures, zone: str = "UTC", first: date = ALL_MAY[0], last: date = ALL_MAY[1]
) -> list[tuple[str, int, int]]:
    found = await daily_use(fixtures.store, SHARD, fixtures.key, first, last, ZoneInfo(zone))
    assert all(day.output_tokens == 2 * day.input_tokens for day in found)
    return [(day.day, day.messages, day.input_tokens) for day in found]


async def test_use_adds_up_and_commits_with_the_watermark(fixtures: StoreFixtures) -> None:
    noon = datetime(2026, 5, 4, 12, 3, tzinfo=UTC)
    batch = Batch([fixtures.fence()], uses=[use(fixtures, noon), use(fixtures, noon + timedelta(minutes=9), 0, 5)])
    assert await fixtures.store.apply(SHARD, batch) == []
    assert await fixtures.store.apply(SHARD, batch) == [fixtures.partition]
    fixtures.number += 1
    await counted(fixtures, use(fixtures, noon + timedelta(days=1)), use(fixtures, noon))
    assert await days(fixtures) == [("2026-05-04", 2, 25), ("2026-05-05", 1, 10)]
    assert await daily_use(fixtures.store, SHARD, fixtures.key + 1, *ALL_MAY, UTC) == []


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        ("UTC", "2026-05-04T23:59:59+00:00", "2026-05-04"),
        ("UTC", "2026-05-05T00:00:00+00:00", "2026-05-05"),
        ("Asia/Seoul", "2026-05-04T14:59:59+00:00", "2026-05-04"),
        ("Asia/Seoul", "2026-05-04T15:00:00+00:00", "2026-05-05"),
        ("America/Chicago", "2026-05-05T04:59:59+00:00", "2026-05-04"),
        ("America/Chicago", "2026-05-05T05:00:00+00:00", "2026-05-05"),
        ("Asia/Kathmandu", "2026-05-04T18:14:59+00:00", "2026-05-04"),
        ("Asia/Kathmandu", "2026-05-04T18:15:00+00:00", "2026-05-05"),
        ("Pacific/Kiritimati", "2026-05-04T10:00:00+00:00", "2026-05-05"),
    ],
)
async def test_each_zone_has_days_of_its_own(fixtures: StoreFixtures, zone: str, at: str, day: str) -> None:
    await counted(fixtures, use(fixtures, datetime.fromisoformat(at)))
    assert await days(fixtures, zone) == [(day, 1, 10)]


async def test_a_day_has_all_its_hours_where_the_clock_is_set(fixtures: StoreFixtures) -> None:
    """Chicago, 1 November 2026: 25 hours; 8 March: 23 hours."""
    zone = ZoneInfo("America/Chicago")
    for day, hours in ((date(2026, 11, 1), 25), (date(2026, 3, 8), 23)):
        begin = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        await counted(fixtures, *(use(fixtures, begin + timedelta(minutes=15 * n)) for n in range(-4, 4 * hours + 4)))
        around = day - timedelta(days=1), day + timedelta(days=1)
        assert [(found, count) for found, count, _ in await days(fixtures, "America/Chicago", *around)] == [
            (around[0].isoformat(), 4),
            (day.isoformat(), 4 * hours),
            (around[1].isoformat(), 4),
        ]


async def test_what_was_counted_by_days_of_utc_is_told_on_its_day(fixtures: StoreFixtures) -> None:
    """By an older program, whose procedures are still there."""
    row = {"account_db_key": fixtures.key, "day": "2026-05-04", "messages": 3, "input_tokens": 30, "output_tokens": 60}
    await fixtures.store.call_shard_procedure(SHARD, "fp_account_daily_add", (json.dumps([row]),))
    await counted(fixtures, use(fixtures, datetime(2026, 5, 4, 12, tzinfo=UTC)))
    assert await days(fixtures, "Asia/Seoul") == [("2026-05-04", 4, 40)]


@pytest.mark.parametrize(
    "uses", [[Use(1, 1, 2**63, 1, 1)], [Use(1, 2**63, 1, 1, 1)]], ids=["too many messages", "no quarter"]
)
async def test_numbers_that_do_not_fit_are_refused(fixtures: StoreFixtures, uses: list[Use]) -> None:
    with pytest.raises(RowRefused):
        await fixtures.store.apply(SHARD, Batch([fixtures.fence()], uses=uses))


async def test_days_without_use_and_no_days_are_nothing(fixtures: StoreFixtures) -> None:
    assert await days(fixtures) == []
    assert await fixtures.store.daily_use(SHARD, fixtures.key, []) == []
    await counted(fixtures, use(fixtures, datetime(2026, 5, 4, tzinfo=UTC)))
    assert await fixtures.store.daily_use(SHARD, fixtures.key, [DaySpan("2026-05-04", 5, 5)]) == []

"""What an account has used, day by day in a time zone.

Use is counted by quarters of an hour, of which the days of every time zone are made: zones differ from UTC by whole
quarters. So a day has 92, 96 or 100 of them where the clock is set forward and back.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo

from parlor.model.access import DailyUse
from parlor.model.ids import ShardId
from parlor.store.ports import QUARTER_SECONDS, ChatStore, DaySpan

_ONE_DAY = timedelta(days=1)


async def daily_use(
    store: ChatStore, shard: ShardId, account_db_key: int, first: date, last: date, zone: tzinfo
) -> list[DailyUse]:
    """Returns the committed use of each day of the zone from ``first`` to ``last`` inclusive, ascending. Days without
    use are left out. Raises ``StoreUnavailable``."""
    return await store.daily_use(shard, account_db_key, day_spans(first, last, zone))


def day_spans(first: date, last: date, zone: tzinfo) -> list[DaySpan]:
    """Returns where each day of the zone begins and ends, ascending."""
    days = [first + number * _ONE_DAY for number in range((last - first).days + 1)]
    firsts = [_first_quarter(day, zone) for day in days]
    # The last day that there is has none behind it.
    beyond = _first_quarter(last + _ONE_DAY, zone) if last < date.max else firsts[-1] + 24 * 4
    ends = [*firsts[1:], beyond]
    return [DaySpan(day.isoformat(), begin, end) for day, begin, end in zip(days, firsts, ends, strict=True)]


def _first_quarter(day: date, zone: tzinfo) -> int:
    """Returns the quarter in which the day begins. Where the clock is set forward at midnight, that is when it is."""
    return int(datetime.combine(day, time.min, zone).timestamp() // QUARTER_SECONDS)

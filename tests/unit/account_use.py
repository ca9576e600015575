"""What the account of a test's domain has used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from parlor.model.access import DailyUse
from parlor.reading.usage import daily_use
from tests.unit.domain import Domain


async def used_by_day(domain: Domain) -> list[DailyUse]:
    """Returns what Ada has used, by the days of UTC around now."""
    today = datetime.fromtimestamp(domain.clock.ms / 1000, UTC).date()
    around = today - timedelta(days=2), today + timedelta(days=2)
    return await daily_use(domain.store, domain.ada.shard_id, domain.ada.account_db_key, *around, UTC)

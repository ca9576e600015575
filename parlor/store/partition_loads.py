"""How many rows the partitions of a shard have."""

from __future__ import annotations

from parlor.model.ids import Partition
from parlor.store.sessions import Session

# A room's last seq is the number of its slots: that of its messages, deleted ones among them.
_ROWS = "SELECT partition_id, COUNT(*) + COALESCE(SUM(last_seq), 0) FROM rooms GROUP BY partition_id"


async def rows_by_partition(session: Session) -> dict[Partition, int]:
    """Rooms and messages, also those of a partition that comes or has left; none for those without rooms."""
    return {Partition(int(str(partition))): int(str(rows)) for partition, rows in await session.rows(_ROWS)}

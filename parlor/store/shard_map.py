"""Which shard each partition lives on, when an installation is created."""

from __future__ import annotations

import msgspec

from parlor.store.ports import SchemaMismatch
from parlor.store.rows import Row

MAP = "SELECT partition_id, shard_id FROM shard_map"


class ShardMap(msgspec.Struct, frozen=True):
    """How many partitions are spread over how many shards."""

    partitions: int
    shards: int
    """Shards are numbered from 1 to this."""


def missing_homes(wanted: ShardMap, stored: list[Row]) -> list[tuple[int, int]]:
    """The ``(partition, shard)`` pairs that the map lacks; what it has stays, because moving a partition
    is an operation of its own.

    Partitions go round the shards in turn, so that each shard has as many as any other, give or take one. Raises
    ``SchemaMismatch`` when the map names a shard that is not configured.
    """
    known = {int(str(row[0])): int(str(row[1])) for row in stored}
    if unknown := sorted(shard for shard in set(known.values()) if not 1 <= shard <= wanted.shards):
        raise SchemaMismatch(f"Partitions live on shard {unknown[0]}, which is not configured")
    return [
        (partition, partition % wanted.shards + 1) for partition in range(wanted.partitions) if partition not in known
    ]

"""Where partitions live, and who may still use a shard for one that moves (I28).

Every process has read the partition map at some time. So that none goes by an old one, each shard knows the generation
of every partition that came or left (table ``partition_homes``): a read is compared with it afterwards, a write before,
in its transaction (SQLite) or under the partition's lock (MySQL).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from parlor.errors import PartitionMoves
from parlor.model.ids import Partition, ShardId
from parlor.store.rows import Row
from parlor.store.sql_files import base_name

READ_HOME = "SELECT generation, state FROM partition_homes WHERE partition_id = {}"


class HomeState(StrEnum):
    """What a shard says of a partition; nothing: it has always lived there."""

    HOME = "home"
    LEAVING = "leaving"
    """It is copied, and used as before."""
    FENCED = "fenced"
    """It is read, and nobody writes."""
    DEPARTED = "departed"
    ARRIVING = "arriving"


_WRITES = frozenset(
    {
        "fp_file_add",
        "fp_file_delete",
        "fp_file_lost",
        "fp_file_removal_done",
        "fp_file_uses_add",
        "fp_file_uses_drop",
        "fp_partition_acquire",
        "fp_partition_open",
    }
)
_PURGES = frozenset({"fp_account_use_purge", "fp_chat_room_purge"})
"""They take rows away that may have been copied already: they wait for the end of the move."""


class PartitionElsewhere(Exception):
    """The caller's partition map is an old one. Does not leave the store."""


class Place(msgspec.Struct, frozen=True):
    """A row of the partition map."""

    shard: ShardId
    generation: int = 0


class Gate(msgspec.Struct, frozen=True):
    """What the caller of a procedure goes by."""

    partition: Partition
    generation: int

    def check(self, procedure: str, found: list[Row]) -> None:
        """``found`` is the shard's row. Raises ``PartitionElsewhere``, ``PartitionMoves``."""
        generation, state = (int(str(found[0][0])), HomeState(str(found[0][1]))) if found else (0, HomeState.HOME)
        if state is HomeState.DEPARTED or generation != self.generation:
            raise PartitionElsewhere(f"partition {self.partition} is {state}, generation {generation}")
        allowed = {HomeState.HOME} if base_name(procedure) in _PURGES else {HomeState.HOME, HomeState.LEAVING}
        if writes(procedure) and state not in allowed:
            raise PartitionMoves(debug=f"partition {self.partition} is {state}", retry_after=1.0)


def writes(procedure: str) -> bool:
    """Whether a procedure that is called past the writers changes rows of a partition."""
    return base_name(procedure) in _WRITES or base_name(procedure) in _PURGES

"""What is counted and measured, as ports: the domain reports, ``actors.metrics`` hands the numbers to Ray.

docs/METRICS.md lists them as operators see them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class NotHeld(StrEnum):
    """Why a writer does not hold a partition."""

    FOREIGN_CACHE = "foreign-redis"
    FOREIGN_STORE = "foreign-shard"
    SHARD_BEHIND = "shard-behind"
    LEASE_LOST = "lease-lost"
    HELD_BY_ANOTHER = "held-by-another"
    PARTITION_MOVES = "partition-moves"
    CACHE_UNAVAILABLE = "cache-unavailable"
    STORE_UNAVAILABLE = "store-unavailable"


class RoomMetrics(Protocol):
    """Rooms and replies of one RoomActor."""

    def rooms_active(self, count: int) -> None:
        """Rooms that the actor holds now."""

    def commands(self, count: int) -> None:
        """Commands that came in one actor call."""

    def send(self, outcome: str) -> None:
        """A send ended: ``ok``, ``duplicate``, or an error's code."""

    def append_seconds(self, seconds: float) -> None:
        """Time from a send's turn in the mailbox to its acknowledgement; of sends that succeed."""

    def stale_write_refused(self, what: str) -> None:
        """A write was refused because the claim is another owner's; ``room`` (a command) or ``reply``."""

    def reply(self, outcome: str) -> None:
        """A reply ended; a ``FinishReason``."""

    def first_token_seconds(self, seconds: float) -> None:
        """Time from the start of an attempt to its first token."""


class WriterMetrics(Protocol):
    """Queues and batches of one ShardWriter; ``shard`` is the number of its shard."""

    def depth(self, shard: int, entries: int, lag_seconds: float) -> None:
        """Operations queued in the partitions that the writer holds, and the age of the oldest in seconds."""

    def batch(self, shard: int, operations: int, commit_seconds: float) -> None:
        """A batch was committed: its size, and the time of its transaction."""

    def stale_batch_refused(self, shard: int) -> None:
        """A batch was refused because a lease or an epoch is another writer's."""

    def parked(self, shard: int) -> None:
        """An operation was set aside as a dead letter."""

    def not_held(self, shard: int, reason: NotHeld, partitions: int) -> None:
        """How many of its partitions the writer does not hold for this reason."""


class NoMetrics:
    """Both ports, for tests and tools: counts nothing."""

    def rooms_active(self, count: int) -> None: ...

    def commands(self, count: int) -> None: ...

    def send(self, outcome: str) -> None: ...

    def append_seconds(self, seconds: float) -> None: ...

    def stale_write_refused(self, what: str) -> None: ...

    def reply(self, outcome: str) -> None: ...

    def first_token_seconds(self, seconds: float) -> None: ...

    def depth(self, shard: int, entries: int, lag_seconds: float) -> None: ...

    def batch(self, shard: int, operations: int, commit_seconds: float) -> None: ...

    def stale_batch_refused(self, shard: int) -> None: ...

    def parked(self, shard: int) -> None: ...

    def not_held(self, shard: int, reason: NotHeld, partitions: int) -> None: ...

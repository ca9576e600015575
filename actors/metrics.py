"""The domain's metrics in Ray's: ``ray_parlor_...`` on each node's metrics port.

docs/METRICS.md lists them; a test holds it to this module. No label ever holds the id of a room or of an account: Ray
keeps a process's counters for good, and Prometheus has a series for each label.
"""

from __future__ import annotations

from collections.abc import Sequence

from ray.util.metrics import Counter, Gauge, Histogram

from parlor.metrics import NotHeld
from parlor.rooms.own_actors import is_own

_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]
_SIZES = [0.5, 1.5, 2.5, 5.5, 10.5, 25.5, 50.5, 100.5, 250.5, 500.5, 1000.5]
"""Ray exports a bucket's middle for each value in it, which makes ``_sum`` right for ones and twos, near above."""


class RayRoomMetrics:
    """``RoomMetrics`` of one RoomActor; ``actor`` is its name. Those of one room each share the label ``room``."""

    def __init__(self, actor: str) -> None:
        self.acknowledged = 0
        """Sends that ended ``ok``."""
        self.replied = 0
        """Replies that ended."""
        tags = {"actor": "room" if is_own(actor) else actor}
        self._active = _gauge("parlor_rooms_active", "Rooms that the actor holds", tags)
        self._commands = _histogram("parlor_call_commands", "Commands in one actor call", tags, _SIZES)
        self._sends = _counter("parlor_sends_total", "Sends by outcome", tags, "outcome")
        self._append = _histogram(
            "parlor_append_seconds", "Time from a send's turn in the mailbox to its acknowledgement", tags, _SECONDS
        )
        self._stale = _counter(
            "parlor_stale_writes_refused_total",
            "Writes refused because another owner has claimed the room",
            tags,
            "what",
        )
        self._replies = _counter("parlor_replies_total", "Replies by how they ended", tags, "outcome")
        self._first = _histogram(
            "parlor_first_token_seconds", "Time from the start of an attempt to its first token", tags, _SECONDS
        )

    def rooms_active(self, count: int) -> None:
        self._active.set(count)

    def commands(self, count: int) -> None:
        self._commands.observe(count)

    def send(self, outcome: str) -> None:
        self.acknowledged += outcome == "ok"
        self._sends.inc(tags={"outcome": outcome})

    def append_seconds(self, seconds: float) -> None:
        self._append.observe(seconds)

    def stale_write_refused(self, what: str) -> None:
        self._stale.inc(tags={"what": what})

    def reply(self, outcome: str) -> None:
        self.replied += 1
        self._replies.inc(tags={"outcome": outcome})

    def first_token_seconds(self, seconds: float) -> None:
        self._first.observe(seconds)


class RayWriterMetrics:
    """``WriterMetrics`` of one ShardWriter; ``actor`` is its name."""

    def __init__(self, actor: str, shard: int) -> None:
        self.committed = 0
        """Operations of committed batches."""
        tags = {"actor": actor, "shard": str(shard)}
        self._depth = _gauge("parlor_queue_depth", "Operations queued in the partitions that the writer holds", tags)
        self._lag = _gauge("parlor_queue_lag_seconds", "Age of the oldest of these operations", tags)
        self._size = _histogram("parlor_batch_operations", "Operations in a committed batch", tags, _SIZES)
        self._stored = _counter("parlor_operations_stored_total", "Operations of committed batches", tags)
        self._commit = _histogram("parlor_commit_seconds", "Time of a batch's transaction", tags, _SECONDS)
        self._stale = _counter(
            "parlor_stale_batches_refused_total", "Batches refused because another writer has the partition", tags
        )
        self._parked = _counter("parlor_operations_parked_total", "Operations set aside as dead letters", tags)
        self._not_held = _gauge(
            "parlor_partitions_not_held", "Partitions that the writer is to hold and does not", tags, "reason"
        )

    def depth(self, shard: int, entries: int, lag_seconds: float) -> None:
        self._depth.set(entries)
        self._lag.set(lag_seconds)

    def batch(self, shard: int, operations: int, commit_seconds: float) -> None:
        self.committed += operations
        self._size.observe(operations)
        if operations:
            self._stored.inc(operations)
        self._commit.observe(commit_seconds)

    def stale_batch_refused(self, shard: int) -> None:
        self._stale.inc()

    def parked(self, shard: int) -> None:
        self._parked.inc()

    def not_held(self, shard: int, reason: NotHeld, partitions: int) -> None:
        self._not_held.set(partitions, tags={"reason": reason})


def _gauge(name: str, description: str, tags: dict[str, str], *more: str) -> Gauge:
    """``more``: tags that each call gives."""
    metric = Gauge(name, description, (*tags, *more))
    metric.set_default_tags(tags)
    return metric


def _counter(name: str, description: str, tags: dict[str, str], *more: str) -> Counter:
    """``more``: tags that each call gives. The name ends with ``_total``, or Ray would export it twice."""
    metric = Counter(name, description, (*tags, *more))
    metric.set_default_tags(tags)
    return metric


def _histogram(name: str, description: str, tags: dict[str, str], bounds: Sequence[float]) -> Histogram:
    metric = Histogram(name, description, boundaries=list(bounds), tag_keys=tuple(tags))
    metric.set_default_tags(tags)
    return metric

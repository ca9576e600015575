"""The domain's counters as Ray metrics: ``ray_parlor_*`` on each node's metrics port. Never tagged with a room's or a
person's id."""

from __future__ import annotations

from ray.util.metrics import Counter, Gauge, Histogram

_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]
_SIZES = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000]


class RayRoomMetrics:
    """Of one RoomActor; ``actor`` is its name."""

    def __init__(self, actor: str) -> None:
        tags = {"actor": actor}
        self._active = _gauge("parlor_rooms_active", "Rooms that this actor holds", tags)
        self._sends = Counter("parlor_sends", "Sends by outcome", ("actor", "outcome"))
        self._commands = _histogram("parlor_call_commands", "Commands that came in one actor call", tags, _SIZES)
        self._append = _histogram("parlor_append_seconds", "From a send's turn in the mailbox to its ack", tags)
        self._stale = Counter("parlor_stale_writes_refused", "Writes that a claim refused", ("actor", "what"))
        self._replies = Counter("parlor_replies", "Replies by outcome", ("actor", "outcome"))
        self._first = _histogram("parlor_first_token_seconds", "From a reply's start to its first token", tags)
        for metric in (self._sends, self._stale, self._replies):
            metric.set_default_tags(tags)

    def rooms_active(self, count: int) -> None:
        self._active.set(count)

    def commands(self, count: int) -> None:
        self._commands.observe(count)

    def send(self, outcome: str) -> None:
        self._sends.inc(tags={"outcome": outcome})

    def append_seconds(self, seconds: float) -> None:
        self._append.observe(seconds)

    def stale_write_refused(self, script: str) -> None:
        self._stale.inc(tags={"what": script})

    def reply(self, outcome: str) -> None:
        self._replies.inc(tags={"outcome": outcome})

    def first_token_seconds(self, seconds: float) -> None:
        self._first.observe(seconds)


class RayWriterMetrics:
    """Of one ShardWriter; ``actor`` is its name."""

    def __init__(self, actor: str, shard: int) -> None:
        tags = {"actor": actor, "shard": str(shard)}
        self._depth = _gauge("parlor_queue_depth", "Operations that wait for this shard", tags)
        self._lag = _gauge("parlor_queue_lag_seconds", "Age of the oldest of them", tags)
        self._size = _histogram("parlor_batch_operations", "Operations of a batch", tags, _SIZES)
        self._commit = _histogram("parlor_commit_seconds", "Time of a batch's transaction", tags)
        self._stale = _counter("parlor_stale_batches_refused", "Batches that an epoch or a lease refused", tags)
        self._parked = _counter("parlor_operations_parked", "Operations set aside as dead letters", tags)

    def depth(self, shard: int, entries: int, lag_seconds: float) -> None:
        self._depth.set(entries)
        self._lag.set(lag_seconds)

    def batch(self, shard: int, operations: int, commit_seconds: float) -> None:
        self._size.observe(operations)
        self._commit.observe(commit_seconds)

    def stale_batch_refused(self, shard: int) -> None:
        self._stale.inc()

    def parked(self, shard: int) -> None:
        self._parked.inc()


def _gauge(name: str, what: str, tags: dict[str, str]) -> Gauge:
    metric = Gauge(name, what, tuple(tags))
    metric.set_default_tags(tags)
    return metric


def _counter(name: str, what: str, tags: dict[str, str]) -> Counter:
    metric = Counter(name, what, tuple(tags))
    metric.set_default_tags(tags)
    return metric


def _histogram(name: str, what: str, tags: dict[str, str], bounds: list[float] | list[int] | None = None) -> Histogram:
    metric = Histogram(name, what, boundaries=list(bounds or _SECONDS), tag_keys=tuple(tags))
    metric.set_default_tags(tags)
    return metric

"""Metrics that a test reads."""

from __future__ import annotations

from collections import Counter

from parlor.metrics import NoMetrics, NotHeld


class CountingMetrics(NoMetrics):
    """Counts what it receives, by outcome or by script."""

    def __init__(self) -> None:
        self.sends: Counter[str] = Counter()
        self.replies: Counter[str] = Counter()
        self.stale_writes: Counter[str] = Counter()
        self.batches: list[int] = []
        self.stale_batches = 0
        self.parked_count = 0
        self.rooms = 0
        self.not_held_now: dict[NotHeld, int] = {}
        """Why partitions are not held, and how many; what is 0 is left out."""

    def rooms_active(self, count: int) -> None:
        self.rooms = count

    def send(self, outcome: str) -> None:
        self.sends[outcome] += 1

    def reply(self, outcome: str) -> None:
        self.replies[outcome] += 1

    def stale_write_refused(self, script: str) -> None:
        self.stale_writes[script] += 1

    def batch(self, shard: int, operations: int, commit_seconds: float) -> None:
        self.batches.append(operations)

    def stale_batch_refused(self, shard: int) -> None:
        self.stale_batches += 1

    def parked(self, shard: int) -> None:
        self.parked_count += 1

    def not_held(self, shard: int, reason: NotHeld, partitions: int) -> None:
        self.not_held_now.pop(reason, None)
        if partitions:
            self.not_held_now[reason] = partitions

"""What is counted, as a port: the domain says it, ``actors.metrics`` hands it to Ray."""

from __future__ import annotations

from typing import Protocol


class RoomMetrics(Protocol):
    """Rooms and replies."""

    def rooms_active(self, count: int) -> None: ...

    def commands(self, count: int) -> None:
        """Commands that came in one actor call."""

    def send(self, outcome: str) -> None:
        """``ok``, ``duplicate``, or an error's code."""

    def append_seconds(self, seconds: float) -> None: ...

    def stale_write_refused(self, script: str) -> None: ...

    def reply(self, outcome: str) -> None:
        """``completed``, ``stopped``, ``failed``, ``interrupted``."""

    def first_token_seconds(self, seconds: float) -> None: ...


class WriterMetrics(Protocol):
    """Queues and batches of one shard."""

    def depth(self, shard: int, entries: int, lag_seconds: float) -> None: ...

    def batch(self, shard: int, operations: int, commit_seconds: float) -> None: ...

    def stale_batch_refused(self, shard: int) -> None: ...

    def parked(self, shard: int) -> None: ...


class NoMetrics:
    """Counts nothing: for tests and tools."""

    def rooms_active(self, count: int) -> None: ...

    def commands(self, count: int) -> None: ...

    def send(self, outcome: str) -> None: ...

    def append_seconds(self, seconds: float) -> None: ...

    def stale_write_refused(self, script: str) -> None: ...

    def reply(self, outcome: str) -> None: ...

    def first_token_seconds(self, seconds: float) -> None: ...

    def depth(self, shard: int, entries: int, lag_seconds: float) -> None: ...

    def batch(self, shard: int, operations: int, commit_seconds: float) -> None: ...

    def stale_batch_refused(self, shard: int) -> None: ...

    def parked(self, shard: int) -> None: ...

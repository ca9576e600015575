"""What operators are shown of the Supervisor's report."""

from __future__ import annotations

import pytest

from actors.administration import overview_of
from actors.contracts import ActorStatus, InstallationStatus, QueueStatus
from parlor.model.administration import ShardLine

pytestmark = pytest.mark.unit


def test_a_writer_has_the_lag_of_its_own_partitions() -> None:
    rooms = ActorStatus("rooms-000", "RoomActor", 7, "node", True, rooms=["a", "b"], replies=1, sends=9, replied=8)
    writer = ActorStatus("writer-shard1-0", "ShardWriter", 8, "node", True, partitions=[0, 2, 9], committed=5)
    queues = [QueueStatus(0, 1, 3, 0.5, 0), QueueStatus(1, 1, 40, 9.0, 1), QueueStatus(2, 1, 4, 0.25, 0)]
    found = overview_of(InstallationStatus("parlor", [rooms, writer], queues, {"redis": "ok"}))
    first, second = found.actors
    assert (first.rooms, first.replies, first.sends, first.replied, first.lag_entries) == (2, 1, 9, 8, 0)
    assert (second.pid, second.partitions, second.committed) == (8, 3, 5)
    assert (second.lag_entries, second.lag_seconds) == (7, 0.5)
    assert found.shards == [ShardLine(1, 47, 9.0, 1, "")]

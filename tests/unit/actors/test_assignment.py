"""Writers keep their partitions while others move, and each process knows its own."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from actors.assignment import Assignments, assigned
from actors.contracts import ActorStatus
from parlor.model.ids import Partition, ShardId

pytestmark = pytest.mark.unit

ONE, TWO = ShardId(1), ShardId(2)


def parts(*numbers: int) -> list[Partition]:
    return [Partition(number) for number in numbers]


def test_the_writers_of_a_shard_share_its_partitions() -> None:
    found = assigned({}, {ONE: parts(0, 2, 4), TWO: parts(1, 3)}, 2)
    assert found == {
        "writer-shard1-0": (ONE, 0, parts(0, 4)),
        "writer-shard1-1": (ONE, 1, parts(2)),
        "writer-shard2-0": (TWO, 0, parts(1)),
        "writer-shard2-1": (TWO, 1, parts(3)),
    }


def test_only_the_partition_that_moved_changes_its_writer() -> None:
    before = assigned({}, {ONE: parts(0, 2, 4), TWO: parts(1, 3)}, 2)
    found = assigned(before, {ONE: parts(2, 4), TWO: parts(0, 1, 3)}, 2)
    assert {name: held for name, (_, _, held) in found.items()} == {
        "writer-shard1-0": parts(4),
        "writer-shard1-1": parts(2),
        "writer-shard2-0": parts(0, 1),
        "writer-shard2-1": parts(3),
    }


def test_a_shard_without_partitions_has_a_writer_that_waits_for_some() -> None:
    before = assigned({}, {ONE: parts(0), TWO: []}, 1)
    assert before["writer-shard2-0"] == (TWO, 0, [])
    assert assigned(before, {ONE: [], TWO: parts(0)}, 1)["writer-shard2-0"] == (TWO, 0, parts(0))


def test_a_process_is_told_once_and_again_when_it_was_started_again() -> None:
    writers = assigned({}, {ONE: parts(0, 2)}, 1)
    status = ActorStatus("writer-shard1-0", "ShardWriter", 7, "node", True)
    assignments = Assignments()
    assert assignments.due(writers, [replace(status, started=False)]) == {}, "it cannot be told yet"
    assert assignments.due(writers, [status]) == {"writer-shard1-0": parts(0, 2)}
    assert assignments.due(writers, [status]) == {}
    assert assignments.due(writers, [replace(status, pid=8)]) == {"writer-shard1-0": parts(0, 2)}
    assert assignments.due(assigned(writers, {ONE: parts(0)}, 1), [replace(status, pid=8)]) == {
        "writer-shard1-0": parts(0)
    }
    assignments.forget("writer-shard1-0")
    assert assignments.due(assigned(writers, {ONE: parts(0)}, 1), [replace(status, pid=8)]) == {
        "writer-shard1-0": parts(0)
    }

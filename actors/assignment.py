"""Which writer works for which partitions, also after partitions have moved to other shards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from actors.contracts import ActorStatus
from actors.pools import writer_name
from parlor.model.ids import Partition, ShardId

Writers: TypeAlias = dict[str, tuple[ShardId, int, list[Partition]]]
"""Shard, number and partitions of each writer, by name."""


def assigned(before: Writers, homes: Mapping[ShardId, Sequence[Partition]], count: int) -> Writers:
    """The writers for these homes, ``count`` for each shard. A partition stays with its writer while it stays on its
    shard; one that came goes to the writer that has the fewest."""
    found: Writers = {}
    for shard, partitions in homes.items():
        names = [writer_name(shard, number) for number in range(count)]
        if any(name not in before for name in names):
            shares = [list(partitions[number::count]) for number in range(count)]
        else:
            shares = [[p for p in before[name][2] if p in set(partitions)] for name in names]
            for partition in sorted(set(partitions) - {p for share in shares for p in share}):
                min(shares, key=len).append(partition)
        found |= {name: (shard, number, sorted(shares[number])) for number, name in enumerate(names)}
    return found


class Assignments:
    """What each writer's process has been told. A process that was started again knows only what it was made with."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, list[Partition]]] = {}

    def due(self, writers: Writers, statuses: Iterable[ActorStatus]) -> dict[str, list[Partition]]:
        """The writers that answer and do not know their partitions yet; they count as told from now on."""
        found = {}
        for status in statuses:
            if status.kind == "ShardWriter" and status.alive and status.started and status.name in writers:
                now = (status.pid, writers[status.name][2])
                if self._told.get(status.name) != now:
                    self._told[status.name] = now
                    found[status.name] = now[1]
        return found

    def forget(self, name: str) -> None:
        """It could not be told."""
        self._told.pop(name, None)

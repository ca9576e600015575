"""Which partitions are to move so that the shards carry alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from parlor.model.ids import Partition, ShardId

TOLERANCE = 0.1
"""How far the fullest shard may be above the average, as a share of it: moving costs more than the rest is worth."""


class Carried(msgspec.Struct, frozen=True):
    """A partition, and what it weighs: rows, or operations that were stored while somebody looked."""

    partition: Partition
    shard: ShardId
    weight: int


class Planned(msgspec.Struct, frozen=True):
    """One move of a plan."""

    partition: Partition
    source: ShardId
    target: ShardId
    weight: int


def plan(carried: Sequence[Carried], shards: Sequence[ShardId]) -> list[Planned]:
    """The moves, one after the other. Each takes from the fullest shard what brings it and the emptiest one nearest to
    each other; no partition moves twice. Equal loads have equal plans."""
    places = {one.partition: one for one in carried}
    moved: list[Planned] = []
    while True:
        sums = totals(places.values(), shards)
        full, empty = (
            max(sums, key=lambda shard: (sums[shard], shard)),
            min(sums, key=lambda shard: (sums[shard], shard)),
        )
        average, gap = sum(sums.values()) / len(shards), sums[full] - sums[empty]
        done = {one.partition for one in moved}
        movable = [
            one for one in places.values() if one.shard == full and 0 < one.weight < gap and one.partition not in done
        ]
        if sums[full] <= average * (1 + TOLERANCE) or not movable:
            return moved
        best = min(movable, key=lambda one: (abs(gap - 2 * one.weight), one.partition))
        moved.append(Planned(best.partition, full, empty, best.weight))
        places[best.partition] = Carried(best.partition, empty, best.weight)


def totals(carried: Iterable[Carried], shards: Sequence[ShardId]) -> dict[ShardId, int]:
    """What each shard carries."""
    found = dict.fromkeys(shards, 0)
    for one in carried:
        found[one.shard] += one.weight
    return found

"""A plan of moves: the shards carry alike in the end, and as little as possible moves."""

from __future__ import annotations

import random

import pytest

from parlor.model.ids import Partition, ShardId
from parlor.persistence.balance import TOLERANCE, Carried, Planned, plan, totals

pytestmark = pytest.mark.unit

ONE, TWO, THREE = map(ShardId, (1, 2, 3))


def carried(**weights: int) -> list[Carried]:
    """``s1p0=70``: partition 0 is on shard 1."""
    found = []
    for name, weight in weights.items():
        shard, partition = name[1:].split("p")
        found.append(Carried(Partition(int(partition)), ShardId(int(shard)), weight))
    return found


def done(before: list[Carried], moves: list[Planned]) -> list[Carried]:
    homes = {one.partition: one.target for one in moves}
    return [Carried(one.partition, homes.get(one.partition, one.shard), one.weight) for one in before]


def test_shards_that_carry_alike_are_left_alone() -> None:
    assert plan(carried(s1p0=100, s2p1=95), [ONE, TWO]) == []
    assert plan(carried(s1p0=0, s2p1=0), [ONE, TWO]) == []


def test_the_partition_that_evens_out_best_moves() -> None:
    before = carried(s1p0=10, s1p2=50, s1p4=60, s2p1=20)
    assert plan(before, [ONE, TWO]) == [Planned(Partition(2), ONE, TWO, 50)]


def test_one_partition_that_is_all_there_is_stays() -> None:
    """Moved, it would only be on the other shard."""
    assert plan(carried(s1p0=100, s1p2=0, s2p1=0), [ONE, TWO]) == []


def test_a_new_shard_gets_its_share() -> None:
    before = carried(**{f"s{number % 2 + 1}p{number}": 10 for number in range(30)})
    moves = plan(before, [ONE, TWO, THREE])
    assert {one.target for one in moves} == {THREE}
    assert max(totals(done(before, moves), [ONE, TWO, THREE]).values()) <= 100 * (1 + TOLERANCE)


@pytest.mark.parametrize("seed", range(50))
def test_a_plan_ends_and_never_makes_it_worse(seed: int) -> None:
    chance = random.Random(seed)
    shards = [ShardId(number) for number in range(1, chance.randint(2, 6))]
    before = [
        Carried(Partition(number), chance.choice(shards[:2]), round(10 ** chance.uniform(0, 4))) for number in range(64)
    ]
    moves = plan(before, shards)
    assert len({one.partition for one in moves}) == len(moves)
    after = done(before, moves)
    full, full_then = max(totals(before, shards).values()), max(totals(after, shards).values())
    assert full_then <= full
    average, heaviest = sum(one.weight for one in before) / len(shards), max(one.weight for one in before)
    assert full_then <= max(average * (1 + TOLERANCE), average + heaviest)
    assert moves == plan(before, shards), "equal loads have equal plans"

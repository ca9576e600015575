"""hold_lease, renew_lease, release_lease, init_partition: one writer, and positions that only go up."""

from __future__ import annotations

import pytest

from parlor.cache.queue import Lease
from tests.contract.cache.world import LEASE, World

pytestmark = pytest.mark.contract


async def test_a_lease_tells_where_the_queue_stands(world: World) -> None:
    assert await world.queue.hold(world.partition, LEASE, "writer-1") == Lease(1, 0)
    await world.claimed()
    assert await world.queue.hold(world.partition, LEASE, "writer-1") == Lease(1, 1)


async def test_a_lease_on_an_unknown_partition_says_so(world: World) -> None:
    await world.redis.delete(world.keys.partition(world.partition))
    assert await world.queue.hold(world.partition, LEASE, "writer-1") == Lease(None, 0)


async def test_another_writer_has_to_wait(world: World) -> None:
    before = await world.dump()
    assert await world.queue.hold(world.partition, "lease-2", "writer-2") is None
    assert await world.dump() == before


async def test_a_restarted_writer_takes_its_lease_back_at_once(world: World) -> None:
    assert await world.queue.hold(world.partition, "lease-2", "writer-1") is not None
    assert not await world.queue.renew(world.partition, LEASE)
    assert await world.queue.renew(world.partition, "lease-2")


async def test_names_are_compared_whole(world: World) -> None:
    assert await world.queue.hold(world.partition, "lease-2", "writer-11") is None
    assert await world.queue.hold(world.partition, "lease-2", "writer") is None


async def test_a_released_lease_is_free_for_all(world: World) -> None:
    await world.queue.release(world.partition, LEASE)
    assert not await world.redis.exists(world.keys.lease(world.partition))
    assert await world.queue.hold(world.partition, "lease-2", "writer-2") is not None


async def test_a_lease_runs_out_by_itself_unless_it_is_renewed(world: World) -> None:
    lease = world.keys.lease(world.partition)
    assert 0 < await world.redis.pttl(lease) <= 30_000
    await world.redis.pexpire(lease, 50)
    assert await world.queue.renew(world.partition, LEASE)
    assert await world.redis.pttl(lease) > 20_000


async def test_an_incarnation_only_goes_up(world: World) -> None:
    assert await world.live.init_partition(world.partition, 5) == 5
    for lower in (5, 4, 1):
        before = await world.dump()
        assert await world.live.init_partition(world.partition, lower) == 5
        assert await world.dump() == before


async def test_positions_of_a_later_incarnation_are_above_all_before(world: World) -> None:
    await world.created()
    await world.created()
    await world.live.init_partition(world.partition, 2)
    await world.created()
    positions = [entry.position for entry in await world.queued()]
    assert [str(position) for position in positions] == ["1-1", "1-2", "2-1"]
    assert positions == sorted(positions)


async def test_incarnations_are_compared_as_numbers(world: World) -> None:
    await world.live.init_partition(world.partition, 9)
    assert await world.live.init_partition(world.partition, 10) == 10
    assert await world.live.init_partition(world.partition, 9) == 10


async def test_a_partition_is_known_once_it_is_initialised(world: World) -> None:
    assert await world.reader.incarnation(world.partition) == 1
    await world.redis.delete(world.keys.partition(world.partition))
    assert await world.reader.incarnation(world.partition) is None


async def test_a_queue_that_lost_its_group_gets_it_back(world: World) -> None:
    await world.redis.delete(world.keys.queue(world.partition), world.keys.partition(world.partition))
    await world.live.init_partition(world.partition, 3)
    (group,) = await world.redis.xinfo_groups(world.keys.queue(world.partition))
    assert group["name"] == b"writer"

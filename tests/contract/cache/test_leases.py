"""hold_lease, renew_lease, release_lease, init_partition: one writer, and positions that only go up."""

from __future__ import annotations

import pytest

from parlor.cache.queue import Lease
from tests.contract.cache.fixtures import LEASE, CacheFixtures

pytestmark = pytest.mark.contract


async def test_a_lease_tells_where_the_queue_stands(fixtures: CacheFixtures) -> None:
    assert await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1") == Lease(1, 0)
    await fixtures.claimed()
    assert await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1") == Lease(1, 1)


async def test_a_lease_on_an_unknown_partition_says_so(fixtures: CacheFixtures) -> None:
    await fixtures.redis.delete(fixtures.keys.partition(fixtures.partition))
    assert await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1") == Lease(None, 0)


async def test_another_writer_has_to_wait(fixtures: CacheFixtures) -> None:
    before = await fixtures.dump()
    assert await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-2") is None
    assert await fixtures.dump() == before


async def test_a_restarted_writer_takes_its_lease_back_at_once(fixtures: CacheFixtures) -> None:
    assert await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-1") is not None
    assert not await fixtures.queue.renew(fixtures.partition, LEASE)
    assert await fixtures.queue.renew(fixtures.partition, "lease-2")


async def test_names_are_compared_whole(fixtures: CacheFixtures) -> None:
    assert await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-11") is None
    assert await fixtures.queue.hold(fixtures.partition, "lease-2", "writer") is None


async def test_a_released_lease_is_free_for_all(fixtures: CacheFixtures) -> None:
    await fixtures.queue.release(fixtures.partition, LEASE)
    assert not await fixtures.redis.exists(fixtures.keys.lease(fixtures.partition))
    assert await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-2") is not None


async def test_a_lease_runs_out_by_itself_unless_it_is_renewed(fixtures: CacheFixtures) -> None:
    lease = fixtures.keys.lease(fixtures.partition)
    assert 0 < await fixtures.redis.pttl(lease) <= 30_000
    await fixtures.redis.pexpire(lease, 50)
    assert await fixtures.queue.renew(fixtures.partition, LEASE)
    assert await fixtures.redis.pttl(lease) > 20_000


async def test_an_incarnation_only_goes_up(fixtures: CacheFixtures) -> None:
    assert await fixtures.live.init_partition(fixtures.partition, 5) == 5
    for lower in (5, 4, 1):
        before = await fixtures.dump()
        assert await fixtures.live.init_partition(fixtures.partition, lower) == 5
        assert await fixtures.dump() == before


async def test_positions_of_a_later_incarnation_are_above_all_before(fixtures: CacheFixtures) -> None:
    await fixtures.created()
    await fixtures.created()
    await fixtures.live.init_partition(fixtures.partition, 2)
    await fixtures.created()
    positions = [entry.position for entry in await fixtures.queued()]
    assert [str(position) for position in positions] == ["1-1", "1-2", "2-1"]
    assert positions == sorted(positions)


async def test_incarnations_are_compared_as_numbers(fixtures: CacheFixtures) -> None:
    await fixtures.live.init_partition(fixtures.partition, 9)
    assert await fixtures.live.init_partition(fixtures.partition, 10) == 10
    assert await fixtures.live.init_partition(fixtures.partition, 9) == 10


async def test_a_partition_is_known_once_it_is_initialised(fixtures: CacheFixtures) -> None:
    assert await fixtures.reader.incarnation(fixtures.partition) == 1
    await fixtures.redis.delete(fixtures.keys.partition(fixtures.partition))
    assert await fixtures.reader.incarnation(fixtures.partition) is None


async def test_a_queue_that_lost_its_group_gets_it_back(fixtures: CacheFixtures) -> None:
    await fixtures.redis.delete(fixtures.keys.queue(fixtures.partition), fixtures.keys.partition(fixtures.partition))
    await fixtures.live.init_partition(fixtures.partition, 3)
    (group,) = await fixtures.redis.xinfo_groups(fixtures.keys.queue(fixtures.partition))
    assert group["name"] == b"writer"

"""hold_lease, renew_lease, release_lease, init_partition: one writer, and positions that only go up."""

from __future__ import annotations

import pytest

from parlor.cache.codes import Code
from parlor.cache.live import RoomAddress
from parlor.cache.loader import Argument, all_names, load
from parlor.cache.queue import HeldByAnother, Lease
from parlor.model.messages import QueuePosition
from tests.contract.cache.fixtures import APPLIED, LEASE, OURS, CacheFixtures

pytestmark = pytest.mark.contract

LEASED = [name for name in all_names() if "lease" in load(name).arguments]


async def test_a_lease_tells_where_the_queue_stands(fixtures: CacheFixtures) -> None:
    assert await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1") == Lease(1, 0)
    await fixtures.claimed()
    assert await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1") == Lease(1, 1)


async def test_a_lease_on_an_unknown_partition_says_so(fixtures: CacheFixtures) -> None:
    await fixtures.redis.delete(fixtures.keys.partition(fixtures.partition))
    assert await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1") == Lease(None, 0)


async def test_another_writer_has_to_wait(fixtures: CacheFixtures) -> None:
    before = await fixtures.dump()
    assert await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-2") == HeldByAnother("writer-1")
    assert await fixtures.dump() == before


async def test_a_restarted_writer_takes_its_lease_back_at_once(fixtures: CacheFixtures) -> None:
    assert isinstance(await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-1"), Lease)
    assert not await fixtures.queue.renew(fixtures.partition, LEASE, APPLIED)
    assert await fixtures.queue.renew(fixtures.partition, "lease-2", APPLIED)


async def test_a_writer_of_a_later_generation_does_not_wait(fixtures: CacheFixtures) -> None:
    """The partition has moved: its former shard refuses whoever holds the lease."""
    assert isinstance(await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-2", 1), Lease)
    assert not await fixtures.queue.renew(fixtures.partition, LEASE, APPLIED), "the former holder learns of it"
    for generation in (0, 1):
        found = await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1", generation)
        assert found == HeldByAnother("writer-2"), "it goes by an older map, or by the same one"
    assert isinstance(await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1", 10), Lease), "as numbers"


async def test_a_lease_of_which_no_generation_is_known_is_waited_for(fixtures: CacheFixtures) -> None:
    """A program of before generations took it, or its partition was forgotten since."""
    await fixtures.redis.hdel(fixtures.keys.partition(fixtures.partition), "generation")
    assert await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-2", 3) == HeldByAnother("writer-1")


async def test_names_are_compared_whole(fixtures: CacheFixtures) -> None:
    assert await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-11") == HeldByAnother("writer-1")
    assert await fixtures.queue.hold(fixtures.partition, "lease-2", "writer") == HeldByAnother("writer-1")


async def test_who_knows_that_the_holder_is_gone_need_not_wait(fixtures: CacheFixtures) -> None:
    hold, partition = fixtures.queue.hold, fixtures.partition
    assert await hold(partition, "lease-2", "w@9ee", 0, "writer-2") == HeldByAnother("writer-1")
    assert isinstance(await hold(partition, "lease-2", "w@9ee", 0, "writer-1"), Lease)
    assert await hold(partition, LEASE, "writer-1") == HeldByAnother("w@9ee"), "under its own name"


async def test_a_released_lease_is_free_for_all(fixtures: CacheFixtures) -> None:
    await fixtures.queue.release(fixtures.partition, LEASE, APPLIED)
    assert not await fixtures.redis.exists(fixtures.keys.lease(fixtures.partition))
    assert isinstance(await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-2"), Lease)


async def test_a_lease_runs_out_by_itself_unless_it_is_renewed(fixtures: CacheFixtures) -> None:
    lease = fixtures.keys.lease(fixtures.partition)
    assert 0 < await fixtures.redis.pttl(lease) <= 30_000
    await fixtures.redis.pexpire(lease, 50)
    assert await fixtures.queue.renew(fixtures.partition, LEASE, APPLIED)
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


# Empty tokens


@pytest.mark.parametrize("name", LEASED)
@pytest.mark.parametrize("lease", ["held", "free", "damaged"])
async def test_an_empty_token_is_refused_and_changes_nothing(fixtures: CacheFixtures, name: str, lease: str) -> None:
    """Found by the scripts' headers, so that none can be forgotten; what an empty token left would fit each other."""
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    key = fixtures.keys.lease(fixtures.partition)
    if lease == "free":
        await fixtures.redis.delete(key)
    elif lease == "damaged":
        await fixtures.redis.set(key, " writer-1")
    before = await fixtures.dump()
    assert await answer(fixtures, name, address, "") == Code.LEASE_LOST
    assert await fixtures.dump() == before


@pytest.mark.parametrize("name", LEASED)
async def test_it_is_the_token_that_is_refused(fixtures: CacheFixtures, name: str) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    assert await answer(fixtures, name, address, LEASE) != Code.LEASE_LOST


async def answer(fixtures: CacheFixtures, name: str, address: RoomAddress, lease: str) -> int:
    """The code of a script that is called with this token and, where it matters at all, sensible arguments."""
    script = load(name)
    keys = fixtures.live._all_keys(address)
    known: dict[str, Argument] = {"room": address.room_id, "lease": lease, "holder": "writer-1", "applied": "1-0"}
    known |= {
        "installation": OURS,
        "ttl": 30_000,
        "generation": 0,
        "event_ttl": 1000,
        "event_max": 1000,
        "entry": "1-1",
    }
    arguments = {name: known.get(name, 1) for name in script.arguments}
    rest = ["op", "CHAT_ROOM_CREATE"] if name == "park_entry" else []
    found = await fixtures.pipeline.run(script, {name: keys[name] for name in script.keys}, arguments, rest)
    return int(found[0])


# Watermarks


async def watermark(fixtures: CacheFixtures) -> QueuePosition:
    lease = await fixtures.queue.hold(fixtures.partition, LEASE, "writer-1")
    assert isinstance(lease, Lease)
    return lease.applied


async def test_a_writer_tells_how_far_its_shard_is_and_its_successor_hears_it(fixtures: CacheFixtures) -> None:
    assert await watermark(fixtures) == QueuePosition(0, 0)
    assert await fixtures.queue.renew(fixtures.partition, LEASE, QueuePosition(1, 9))
    assert await watermark(fixtures) == QueuePosition(1, 9)
    await fixtures.queue.release(fixtures.partition, LEASE, QueuePosition(1, 10))
    assert await watermark(fixtures) == QueuePosition(1, 10)


async def test_a_watermark_only_goes_up(fixtures: CacheFixtures) -> None:
    told = [QueuePosition(1, 9), QueuePosition(1, 8), QueuePosition(1, 10), QueuePosition(2, 1), QueuePosition(1, 99)]
    highest = QueuePosition(0, 0)
    for applied in told:
        highest = max(highest, applied)
        assert await fixtures.queue.renew(fixtures.partition, LEASE, applied)
        assert await watermark(fixtures) == highest


async def test_who_lost_the_lease_tells_nothing(fixtures: CacheFixtures) -> None:
    assert isinstance(await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-1"), Lease)
    assert not await fixtures.queue.renew(fixtures.partition, LEASE, QueuePosition(1, 9))
    await fixtures.queue.release(fixtures.partition, LEASE, QueuePosition(1, 9))
    lease = await fixtures.queue.hold(fixtures.partition, "lease-2", "writer-1")
    assert isinstance(lease, Lease)
    assert lease.applied == QueuePosition(0, 0)


async def test_a_new_incarnation_begins_with_its_shards_watermark(fixtures: CacheFixtures) -> None:
    """Also with a lower one: that of a shard that was restored, and adopted."""
    assert await fixtures.queue.renew(fixtures.partition, LEASE, QueuePosition(1, 9))
    await fixtures.live.init_partition(fixtures.partition, 2, QueuePosition(1, 4))
    assert await watermark(fixtures) == QueuePosition(1, 4)

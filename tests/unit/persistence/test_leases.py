"""Leases: which writer holds a partition, and what happens when it loses one."""

from __future__ import annotations

import asyncio

import pytest

from parlor.cache.queue import HeldByAnother, Lease
from parlor.errors import CacheUnavailable
from parlor.model.ids import ClusterId, Partition, in_cluster
from parlor.model.states import MessageState
from tests.unit.account_use import used_by_day
from tests.unit.domain import HOME, NEIGHBOUR, SHARD, Domain
from tests.unit.persistence.writer_fixture import INTERVAL, killed, opened, run_out, started, states, stored

pytestmark = pytest.mark.unit


# Other writers


async def test_what_was_taken_before_goes_before_what_is_new(domain: Domain) -> None:
    room = await opened(domain)
    first = domain.writer(name="first")
    task = await started(domain, first)
    domain.store.down = True
    await domain.say(room, "old")
    await domain.clock.advance(INTERVAL + 0.1)
    await killed(task, domain)
    domain.store.down = False
    await run_out(domain)
    await domain.say(room, "new")
    await started(domain, domain.writer(name="second"))
    await domain.clock.advance(INTERVAL + 1)
    assert await stored(domain, room.room_id) == ["old", "new"]
    order = [save.doc.content for batch in domain.store.batches for save in batch.message_saves]
    assert order[-2:] == ["old", "new"]


async def test_a_restarted_writer_takes_its_leases_back_at_once(domain: Domain) -> None:
    room = await opened(domain)
    task = await started(domain)
    await killed(task, domain)
    await domain.say(room, "Hello")
    await started(domain)
    await domain.clock.advance(INTERVAL + 0.1)
    assert await stored(domain, room.room_id) == ["Hello"]


async def test_writers_of_one_name_in_two_clusters_do_not_take_partitions_from_each_other(domain: Domain) -> None:
    blue, green = ClusterId("0b1"), ClusterId("9ee")
    room = await opened(domain)
    first = domain.writer(name=in_cluster("writer-0", blue))
    second = domain.writer(name=in_cluster("writer-0", green))
    for cluster in (blue, green):
        await domain.redis.set(domain.live.keys.alive(cluster), "1")  # for good: fakeredis knows only real time
    task = await started(domain, first)
    await started(domain, second)
    await domain.clock.advance(120)
    assert (first.held, second.held) == ([HOME], [])
    assert second.trouble == "", "the normal thing, for as long as the other cluster is there"
    await killed(task, domain)
    await domain.clusters.leave(blue)  # as when its sign of life expires
    await domain.say(room, "Hello")
    await domain.clock.advance(10 + 2 * INTERVAL + 1)  # the lease wait, a round that was under way, and a batch
    assert second.held == [HOME]
    assert await stored(domain, room.room_id) == ["Hello"]
    later = domain.writer(name=in_cluster("writer-0", blue))
    await started(domain, later)
    await domain.clock.advance(120)
    assert (later.held, second.held) == ([], [HOME]), "also when the one that it followed is long gone"


async def test_a_writer_follows_one_of_its_name_from_before_clusters_had_names(domain: Domain) -> None:
    await opened(domain)
    await killed(await started(domain, domain.writer(name="writer-0")), domain)
    newer = domain.writer(name=in_cluster("writer-0", ClusterId("0b1")))
    await started(domain, newer)
    assert newer.held == [HOME]


async def test_a_second_writer_waits_for_the_firsts_lease(domain: Domain) -> None:
    first, second = domain.writer(name="first"), domain.writer(name="second")
    await opened(domain)
    task = await started(domain, first)
    await started(domain, second)
    assert (first.held, second.held) == ([HOME], [])
    await domain.clock.advance(120)
    assert (first.held, second.held) == ([HOME], [])
    await first.stop()
    await domain.clock.advance(10 + INTERVAL + 1)  # the lease wait, and the round that was under way
    assert task.done()
    assert second.held == [HOME]


async def test_a_stale_writers_batch_is_refused_and_it_drops_the_partition(domain: Domain) -> None:
    """It is paused between taking a batch and committing it; its lease runs out; another one goes on."""
    room = await opened(domain)
    stale = domain.writer(name="stale")
    await started(domain, stale)
    await domain.say(room, "contested")
    domain.store.commit_gate = asyncio.Event()
    await domain.clock.advance(INTERVAL + 0.1)
    gate, domain.store.commit_gate = domain.store.commit_gate, None
    await run_out(domain)
    fresh = domain.writer(name="fresh")
    await started(domain, fresh)
    await domain.clock.advance(INTERVAL)
    assert await stored(domain, room.room_id) == ["contested"]
    gate.set()
    await domain.clock.advance(1)
    assert domain.metrics.stale_batches == 1
    assert (stale.held, fresh.held) == ([], [HOME])
    await domain.say(room, "after")
    await domain.clock.advance(INTERVAL + 1)
    assert await stored(domain, room.room_id) == ["contested", "after"]
    uses = await used_by_day(domain)
    assert [use.messages for use in uses] == [2]


async def test_a_lease_that_ran_out_during_the_commit_does_not_end_the_writer(domain: Domain) -> None:
    room = await opened(domain)
    writer = domain.writer()
    task = await started(domain, writer)
    await domain.say(room, "Hello")
    domain.store.commit_gate = asyncio.Event()
    await domain.clock.advance(INTERVAL + 0.1)
    await run_out(domain)
    await domain.clock.advance(10 + INTERVAL + 1)  # the lease wait, and the round that was under way
    assert writer.held == []
    domain.store.commit_gate.set()
    await domain.clock.advance(INTERVAL + 1)
    assert not task.done()
    assert await stored(domain, room.room_id) == ["Hello"]
    assert await states(domain, room.room_id) == [MessageState.SENT]


async def test_what_a_stale_writer_read_is_not_taken_for_stored(domain: Domain) -> None:
    """A writer that lost its lease reads once more before it knows. What it read is unfinished, and not below the
    watermark of whoever goes on."""
    room = await opened(domain)
    stale = domain.writer(name="stale")
    stale_task = await started(domain, stale)
    await run_out(domain)
    fresh = domain.writer(name="fresh")
    task = await started(domain, fresh)
    assert fresh.held == [HOME]
    await domain.say(room, "read by the stale one")
    await domain.say(room, "read by either")
    await domain.clock.advance(15)
    await killed(stale_task, domain)
    await domain.say(room, "read by the fresh one")
    await domain.clock.advance(INTERVAL + 1)
    await killed(task, domain)
    await run_out(domain)
    await domain.write_all()
    assert await stored(domain, room.room_id) == ["read by the stale one", "read by either", "read by the fresh one"]
    assert (await domain.page(room.room_id)).persisted_seq == 3


# Redis forgets


async def test_a_redis_that_came_back_empty_gets_a_new_incarnation(domain: Domain) -> None:
    room = await opened(domain)
    await started(domain)
    await domain.say(room, "before")
    await domain.clock.advance(INTERVAL + 0.1)
    await domain.redis.flushall()
    assert (await domain.say(room, "after")).seq == 2
    await domain.clock.advance(30)
    assert await stored(domain, room.room_id) == ["before", "after"]
    (progress,) = [found for found in await domain.store.progress(SHARD) if found.partition == HOME]
    assert progress.incarnation > 1
    assert progress.applied.incarnation == progress.incarnation


async def test_a_queue_that_went_back_gets_a_new_incarnation(domain: Domain) -> None:
    """Redis comes back with an old copy of itself: what it counts from there was counted before."""
    room = await opened(domain)
    keys = domain.live.keys
    for n in range(3):
        await domain.say(room, f"{n}")
    await domain.write_all()
    await domain.redis.hset(keys.partition(HOME), "next", "1")
    await domain.forget_room(room.room_id)
    await started(domain)
    assert (await domain.say(room, "after")).seq == 4
    await domain.clock.advance(INTERVAL + 1)
    assert await stored(domain, room.room_id) == ["0", "1", "2", "after"]


async def test_a_partition_that_cannot_be_taken_outdates_no_other(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All takes of a round have ended before the next round takes anything: an epoch that is minted late is not the
    newest."""
    room = await opened(domain)
    gate, hold, under_way, most = asyncio.Event(), domain.queue.hold, 0, 0

    async def slow_at_home(partition: Partition, lease: str, holder: str, generation: int = 0) -> Lease | HeldByAnother:
        nonlocal under_way, most
        if partition == NEIGHBOUR and not gate.is_set():
            raise CacheUnavailable(debug="its node is gone")
        under_way += 1
        most = max(most, under_way)
        try:
            if not gate.is_set():
                await domain.clock.sleep(30)
            return await hold(partition, lease, holder)
        finally:
            under_way -= 1

    monkeypatch.setattr(domain.queue, "hold", slow_at_home)
    writer = domain.writer(HOME, NEIGHBOUR)
    await started(domain, writer)
    await domain.clock.advance(29)
    assert most == 1
    gate.set()
    await domain.say(room, "Hello")
    await domain.clock.advance(10 + INTERVAL)
    assert writer.held == [HOME, NEIGHBOUR]
    assert await stored(domain, room.room_id) == ["Hello"]
    assert domain.metrics.stale_batches == 0

"""A shard writer when Redis, the shard or another writer get in the way."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from parlor.states import MessageState
from parlor.store.ports import Batch
from tests.unit.domain import HOME, SHARD, Domain
from tests.unit.persistence.writer_fixture import INTERVAL, killed, opened, run_out, started, states, stored

pytestmark = pytest.mark.unit


# The shard fails


async def test_nothing_is_lost_while_the_shard_is_down(domain: Domain) -> None:
    room = await opened(domain)
    await started(domain)
    domain.store.down = True
    for n in range(3):
        await domain.say(room, f"{n}")
        await domain.clock.advance(10)
    assert await domain.queued() == 3
    domain.store.down = False
    await domain.clock.advance(5 + INTERVAL)
    assert await stored(domain, room.room_id) == ["0", "1", "2"]
    assert await domain.queued() == 0
    assert set(await states(domain, room.room_id)) == {MessageState.SENT}


async def test_attempts_back_off_while_the_shard_is_down(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    await opened(domain)
    domain.store.down = True
    tried: list[float] = []
    hold = domain.queue.hold

    async def counted(*args: object) -> object:
        tried.append(domain.clock.monotonic())
        return await hold(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(domain.queue, "hold", counted)
    await started(domain)
    await domain.clock.advance(60)
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses[0] == pytest.approx(0.2)
    assert all(later > earlier - 0.001 for earlier, later in pairwise(pauses))
    assert pauses[-1] == pytest.approx(5)
    assert len(tried) < 20


async def test_stopping_ends_a_writer_whose_shard_is_down(domain: Domain) -> None:
    room = await opened(domain)
    writer = domain.writer()
    task = await started(domain, writer)
    domain.store.down = True
    await domain.say(room)
    await domain.clock.advance(30)
    await writer.stop()
    await domain.clock.advance(0.1)
    assert task.done()
    assert await domain.queued() == 1


async def test_a_batch_whose_answer_was_lost_is_counted_once(domain: Domain) -> None:
    room = await opened(domain)
    await started(domain)
    domain.store.lost.append("fp_writer_apply")
    await domain.say(room, "once")
    await domain.clock.advance(INTERVAL + 0.1)
    await domain.say(room, "twice")
    await domain.clock.advance(10)
    assert await stored(domain, room.room_id) == ["once", "twice"]
    assert await states(domain, room.room_id) == [MessageState.SENT, MessageState.SENT]
    uses = await domain.store.daily_use(SHARD, domain.ada.account_db_key, "2000-01-01", "2100-01-01")
    assert [use.messages for use in uses] == [2]
    assert await domain.queued() == 0


async def test_half_a_bisected_batch_whose_answer_was_lost_is_counted_once(domain: Domain) -> None:
    room = await opened(domain)
    await started(domain)

    def poisoned(batch: Batch) -> bool:
        bad = any(save.doc.content == "poison" for save in batch.message_saves)
        if bad and "fp_writer_apply" not in domain.store.lost and len(domain.store.batches) == 1:
            domain.store.lost.append("fp_writer_apply")
        return bad

    domain.store.poison = poisoned
    for text in ("one", "two", "poison", "four"):
        await domain.say(room, text)
    await domain.clock.advance(20)
    assert await stored(domain, room.room_id) == ["one", "two", "four"]
    uses = await domain.store.daily_use(SHARD, domain.ada.account_db_key, "2000-01-01", "2100-01-01")
    assert [use.messages for use in uses] == [3]


async def test_a_poison_row_is_parked_and_the_others_go_on_in_order(domain: Domain) -> None:
    room = await opened(domain)
    domain.store.poison = lambda batch: any(save.doc.content == "poison" for save in batch.message_saves)
    for text in ("one", "two", "poison", "four", "five"):
        await domain.say(room, text)
    await started(domain)
    await domain.clock.advance(INTERVAL + 1)
    assert [(row.seq, row.doc.content) for row in await domain.rows(room.room_id)] == [
        (1, "one"),
        (2, "two"),
        (4, "four"),
        (5, "five"),
    ]
    assert domain.metrics.parked_count == 1
    depth, _, dead = await domain.queue.depth(HOME)
    assert (depth, dead) == (0, 1)
    parked = await domain.redis.xrange(domain.live.keys.dead(HOME))
    assert parked
    ((_, fields),) = parked
    assert fields is not None
    assert b"poison" in fields[b"doc"]
    assert b"poison" in fields[b"reason"]
    applied = [batch.fences[0].applied for batch in domain.store.batches]
    assert applied[-1] == max(applied)


# Redis fails


async def test_a_commit_that_was_not_finished_is_only_finished(domain: Domain) -> None:
    room = await opened(domain)
    task = await started(domain)
    domain.pipeline.refuse["finish_batch"] = 1
    await domain.say(room, "once")
    await domain.clock.advance(INTERVAL + 0.1)
    assert await stored(domain, room.room_id) == ["once"]
    assert await states(domain, room.room_id) == [MessageState.PROCESSING]
    await killed(task, domain)
    await started(domain)
    assert await states(domain, room.room_id) == [MessageState.SENT]
    assert len(domain.store.batches) == 1
    assert await domain.queued() == 0


async def test_redis_down_delays_a_writer(domain: Domain) -> None:
    room = await opened(domain)
    await started(domain)
    await domain.say(room, "kept")
    domain.server.connected = False
    await domain.clock.advance(20)
    domain.server.connected = True
    await domain.clock.advance(INTERVAL + 6)
    assert await stored(domain, room.room_id) == ["kept"]


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
    uses = await domain.store.daily_use(SHARD, domain.ada.account_db_key, "2000-01-01", "2100-01-01")
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

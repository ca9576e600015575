"""A shard writer when Redis, the shard or another writer get in the way."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from parlor.states import MessageState
from parlor.store.ports import Batch
from tests.unit.rig import HOME, SHARD, Rig
from tests.unit.writers import INTERVAL, killed, opened, run_out, started, states, stored

pytestmark = pytest.mark.unit


# The shard fails


async def test_nothing_is_lost_while_the_shard_is_down(rig: Rig) -> None:
    room = await opened(rig)
    await started(rig)
    rig.store.down = True
    for n in range(3):
        await rig.say(room, f"{n}")
        await rig.clock.advance(10)
    assert await rig.queued() == 3
    rig.store.down = False
    await rig.clock.advance(5 + INTERVAL)
    assert await stored(rig, room.room_id) == ["0", "1", "2"]
    assert await rig.queued() == 0
    assert set(await states(rig, room.room_id)) == {MessageState.SENT}


async def test_attempts_back_off_while_the_shard_is_down(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await opened(rig)
    rig.store.down = True
    tried: list[float] = []
    hold = rig.queue.hold

    async def counted(*args: object) -> object:
        tried.append(rig.clock.monotonic())
        return await hold(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(rig.queue, "hold", counted)
    await started(rig)
    await rig.clock.advance(60)
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses[0] == pytest.approx(0.2)
    assert all(later > earlier - 0.001 for earlier, later in pairwise(pauses))
    assert pauses[-1] == pytest.approx(5)
    assert len(tried) < 20


async def test_stopping_ends_a_writer_whose_shard_is_down(rig: Rig) -> None:
    room = await opened(rig)
    writer = rig.writer()
    task = await started(rig, writer)
    rig.store.down = True
    await rig.say(room)
    await rig.clock.advance(30)
    await writer.stop()
    await rig.clock.advance(0.1)
    assert task.done()
    assert await rig.queued() == 1


async def test_a_batch_whose_answer_was_lost_is_counted_once(rig: Rig) -> None:
    room = await opened(rig)
    await started(rig)
    rig.store.lost.append("fp_writer_apply")
    await rig.say(room, "once")
    await rig.clock.advance(INTERVAL + 0.1)
    await rig.say(room, "twice")
    await rig.clock.advance(10)
    assert await stored(rig, room.room_id) == ["once", "twice"]
    assert await states(rig, room.room_id) == [MessageState.SENT, MessageState.SENT]
    uses = await rig.store.daily_use(SHARD, rig.ada.account_db_key, "2000-01-01", "2100-01-01")
    assert [use.messages for use in uses] == [2]
    assert await rig.queued() == 0


async def test_half_a_bisected_batch_whose_answer_was_lost_is_counted_once(rig: Rig) -> None:
    room = await opened(rig)
    await started(rig)

    def poisoned(batch: Batch) -> bool:
        bad = any(save.doc.content == "poison" for save in batch.message_saves)
        if bad and "fp_writer_apply" not in rig.store.lost and len(rig.store.batches) == 1:
            rig.store.lost.append("fp_writer_apply")
        return bad

    rig.store.poison = poisoned
    for text in ("one", "two", "poison", "four"):
        await rig.say(room, text)
    await rig.clock.advance(20)
    assert await stored(rig, room.room_id) == ["one", "two", "four"]
    uses = await rig.store.daily_use(SHARD, rig.ada.account_db_key, "2000-01-01", "2100-01-01")
    assert [use.messages for use in uses] == [3]


async def test_a_poison_row_is_parked_and_the_others_go_on_in_order(rig: Rig) -> None:
    room = await opened(rig)
    rig.store.poison = lambda batch: any(save.doc.content == "poison" for save in batch.message_saves)
    for text in ("one", "two", "poison", "four", "five"):
        await rig.say(room, text)
    await started(rig)
    await rig.clock.advance(INTERVAL + 1)
    assert [(row.seq, row.doc.content) for row in await rig.rows(room.room_id)] == [
        (1, "one"),
        (2, "two"),
        (4, "four"),
        (5, "five"),
    ]
    assert rig.metrics.parked_count == 1
    depth, _, dead = await rig.queue.depth(HOME)
    assert (depth, dead) == (0, 1)
    parked = await rig.redis.xrange(rig.live.keys.dead(HOME))
    assert parked
    ((_, fields),) = parked
    assert fields is not None
    assert b"poison" in fields[b"doc"]
    assert b"poison" in fields[b"reason"]
    applied = [batch.fences[0].applied for batch in rig.store.batches]
    assert applied[-1] == max(applied)


# Redis fails


async def test_a_commit_that_was_not_finished_is_only_finished(rig: Rig) -> None:
    room = await opened(rig)
    task = await started(rig)
    rig.pipeline.refuse["finish_batch"] = 1
    await rig.say(room, "once")
    await rig.clock.advance(INTERVAL + 0.1)
    assert await stored(rig, room.room_id) == ["once"]
    assert await states(rig, room.room_id) == [MessageState.PROCESSING]
    await killed(task, rig)
    await started(rig)
    assert await states(rig, room.room_id) == [MessageState.SENT]
    assert len(rig.store.batches) == 1
    assert await rig.queued() == 0


async def test_redis_down_delays_a_writer(rig: Rig) -> None:
    room = await opened(rig)
    await started(rig)
    await rig.say(room, "kept")
    rig.server.connected = False
    await rig.clock.advance(20)
    rig.server.connected = True
    await rig.clock.advance(INTERVAL + 6)
    assert await stored(rig, room.room_id) == ["kept"]


async def test_a_redis_that_came_back_empty_gets_a_new_incarnation(rig: Rig) -> None:
    room = await opened(rig)
    await started(rig)
    await rig.say(room, "before")
    await rig.clock.advance(INTERVAL + 0.1)
    await rig.redis.flushall()
    assert (await rig.say(room, "after")).seq == 2
    await rig.clock.advance(30)
    assert await stored(rig, room.room_id) == ["before", "after"]
    (progress,) = [found for found in await rig.store.progress(SHARD) if found.partition == HOME]
    assert progress.incarnation > 1
    assert progress.applied.incarnation == progress.incarnation


async def test_a_queue_that_went_back_gets_a_new_incarnation(rig: Rig) -> None:
    """Redis comes back with an old copy of itself: what it counts from there was counted before."""
    room = await opened(rig)
    keys = rig.live.keys
    for n in range(3):
        await rig.say(room, f"{n}")
    await rig.write_all()
    await rig.redis.hset(keys.partition(HOME), "next", "1")
    await rig.forget_room(room.room_id)
    await started(rig)
    assert (await rig.say(room, "after")).seq == 4
    await rig.clock.advance(INTERVAL + 1)
    assert await stored(rig, room.room_id) == ["0", "1", "2", "after"]


# Other writers


async def test_what_was_taken_before_goes_before_what_is_new(rig: Rig) -> None:
    room = await opened(rig)
    first = rig.writer(name="first")
    task = await started(rig, first)
    rig.store.down = True
    await rig.say(room, "old")
    await rig.clock.advance(INTERVAL + 0.1)
    await killed(task, rig)
    rig.store.down = False
    await run_out(rig)
    await rig.say(room, "new")
    await started(rig, rig.writer(name="second"))
    await rig.clock.advance(INTERVAL + 1)
    assert await stored(rig, room.room_id) == ["old", "new"]
    order = [save.doc.content for batch in rig.store.batches for save in batch.message_saves]
    assert order[-2:] == ["old", "new"]


async def test_a_restarted_writer_takes_its_leases_back_at_once(rig: Rig) -> None:
    room = await opened(rig)
    task = await started(rig)
    await killed(task, rig)
    await rig.say(room, "Hello")
    await started(rig)
    await rig.clock.advance(INTERVAL + 0.1)
    assert await stored(rig, room.room_id) == ["Hello"]


async def test_a_second_writer_waits_for_the_firsts_lease(rig: Rig) -> None:
    first, second = rig.writer(name="first"), rig.writer(name="second")
    await opened(rig)
    task = await started(rig, first)
    await started(rig, second)
    assert (first.held, second.held) == ([HOME], [])
    await rig.clock.advance(120)
    assert (first.held, second.held) == ([HOME], [])
    await first.stop()
    await rig.clock.advance(10 + INTERVAL + 1)  # the lease wait, and the round that was under way
    assert task.done()
    assert second.held == [HOME]


async def test_a_stale_writers_batch_is_refused_and_it_drops_the_partition(rig: Rig) -> None:
    """It is paused between taking a batch and committing it; its lease runs out; another one goes on."""
    room = await opened(rig)
    stale = rig.writer(name="stale")
    await started(rig, stale)
    await rig.say(room, "contested")
    rig.store.commit_gate = asyncio.Event()
    await rig.clock.advance(INTERVAL + 0.1)
    gate, rig.store.commit_gate = rig.store.commit_gate, None
    await run_out(rig)
    fresh = rig.writer(name="fresh")
    await started(rig, fresh)
    await rig.clock.advance(INTERVAL)
    assert await stored(rig, room.room_id) == ["contested"]
    gate.set()
    await rig.clock.advance(1)
    assert rig.metrics.stale_batches == 1
    assert (stale.held, fresh.held) == ([], [HOME])
    await rig.say(room, "after")
    await rig.clock.advance(INTERVAL + 1)
    assert await stored(rig, room.room_id) == ["contested", "after"]
    uses = await rig.store.daily_use(SHARD, rig.ada.account_db_key, "2000-01-01", "2100-01-01")
    assert [use.messages for use in uses] == [2]


async def test_a_lease_that_ran_out_during_the_commit_does_not_end_the_writer(rig: Rig) -> None:
    room = await opened(rig)
    writer = rig.writer()
    task = await started(rig, writer)
    await rig.say(room, "Hello")
    rig.store.commit_gate = asyncio.Event()
    await rig.clock.advance(INTERVAL + 0.1)
    await run_out(rig)
    await rig.clock.advance(10 + INTERVAL + 1)  # the lease wait, and the round that was under way
    assert writer.held == []
    rig.store.commit_gate.set()
    await rig.clock.advance(INTERVAL + 1)
    assert not task.done()
    assert await stored(rig, room.room_id) == ["Hello"]
    assert await states(rig, room.room_id) == [MessageState.SENT]


async def test_what_a_stale_writer_read_is_not_taken_for_stored(rig: Rig) -> None:
    """A writer that lost its lease reads once more before it knows. What it read is unfinished, and not below the
    watermark of whoever goes on."""
    room = await opened(rig)
    stale = rig.writer(name="stale")
    stale_task = await started(rig, stale)
    await run_out(rig)
    fresh = rig.writer(name="fresh")
    task = await started(rig, fresh)
    assert fresh.held == [HOME]
    await rig.say(room, "read by the stale one")
    await rig.say(room, "read by either")
    await rig.clock.advance(15)
    await killed(stale_task, rig)
    await rig.say(room, "read by the fresh one")
    await rig.clock.advance(INTERVAL + 1)
    await killed(task, rig)
    await run_out(rig)
    await rig.write_all()
    assert await stored(rig, room.room_id) == ["read by the stale one", "read by either", "read by the fresh one"]
    assert (await rig.page(room.room_id)).persisted_seq == 3

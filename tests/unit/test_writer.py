"""A shard writer: when it writes, and what."""

from __future__ import annotations

import asyncio

import pytest

from parlor.model import Durability, ReplyMode
from parlor.states import MessageState, RoomState
from tests.unit.rig import HOME, NEIGHBOUR, SHARD, Rig, RigMaker, settle
from tests.unit.writers import INTERVAL, opened, started, states, stored

pytestmark = pytest.mark.unit


# When


async def test_a_batch_is_written_after_its_interval(rig: Rig) -> None:
    room = await opened(rig)
    await started(rig)
    await rig.say(room, "one")
    await rig.clock.advance(1)
    await rig.say(room, "two")
    await rig.clock.advance(INTERVAL - 1.1)
    assert await stored(rig, room.room_id) == []
    await rig.clock.advance(0.2)
    assert await stored(rig, room.room_id) == ["one", "two"]
    assert rig.metrics.batches == [2]


async def test_a_batch_is_written_when_it_is_full(new_rig: RigMaker) -> None:
    rig = new_rig(queue={"batch_size": 5})
    room = await opened(rig)
    await started(rig)
    for n in range(5):
        await rig.say(room, f"{n}")
    await rig.clock.advance(1)
    assert len(await stored(rig, room.room_id)) == 5
    assert rig.metrics.batches == [5]


async def test_a_busy_queue_gives_larger_batches_not_more(new_rig: RigMaker) -> None:
    rig = new_rig(queue={"batch_size": 2, "batch_pause": 0.5, "batch_limit": 1000})
    room = await opened(rig)
    await started(rig)
    for n in range(40):
        await rig.say(room, f"{n}")
        await rig.clock.advance(0.05)
    await rig.clock.advance(1)
    assert sum(rig.metrics.batches) == 40
    assert len(rig.metrics.batches) <= 6


async def test_no_batch_is_larger_than_its_limit(new_rig: RigMaker) -> None:
    rig = new_rig(queue={"batch_size": 5, "batch_limit": 7})
    room = await opened(rig)
    for n in range(30):
        await rig.say(room, f"{n}")
    await started(rig)
    await rig.clock.advance(5)
    assert len(await stored(rig, room.room_id)) == 30
    assert max(rig.metrics.batches) <= 7


async def test_a_sender_that_waits_for_the_commit_does_not_wait_for_a_full_batch(rig: Rig) -> None:
    room = await opened(rig)
    await started(rig)
    await rig.send(room, "now", reply=ReplyMode.NONE, urgent=True)
    await settle()
    assert await stored(rig, room.room_id) == ["now"]
    message = (await rig.page(room.room_id)).messages[0]
    assert (message.state, message.durability) == (MessageState.SENT, Durability.PERSISTED)


async def test_stopping_writes_what_is_queued_and_gives_the_leases_up(rig: Rig) -> None:
    room = await opened(rig)
    writer = rig.writer()
    task = await started(rig, writer)
    await rig.say(room, "late")
    await writer.stop()
    await rig.clock.advance(1)
    await task
    assert await stored(rig, room.room_id) == ["late"]
    assert writer.held == []
    assert await rig.redis.exists(rig.live.keys.lease(HOME)) == 0
    assert await rig.queued() == 0


# What


async def test_one_transaction_takes_several_partitions_and_rooms(rig: Rig) -> None:
    neighbour = rig.session("bob", NEIGHBOUR)
    mine, yours = rig.room(await rig.new_room()), rig.room(await rig.new_room(neighbour))
    await started(rig, rig.writer(HOME, NEIGHBOUR))
    await rig.say(mine, "mine")
    await rig.send(yours, "yours", session=neighbour, reply=ReplyMode.NONE)
    await rig.clock.advance(INTERVAL + 0.1)
    assert len(rig.store.batches) == 1
    (batch,) = rig.store.batches
    assert [fence.partition for fence in batch.fences] == [HOME, NEIGHBOUR]
    assert {save.doc.content for save in batch.message_saves} == {"mine", "yours"}
    assert await stored(rig, mine.room_id) == ["mine"]
    assert await stored(rig, yours.room_id) == ["yours"]


async def test_states_are_final_only_after_the_commit(rig: Rig) -> None:
    room = rig.room(await rig.new_room())
    message = await rig.say(room, "Hello")
    rig.store.commit_gate = asyncio.Event()
    await started(rig)
    await rig.clock.advance(INTERVAL + 0.1)
    assert len(rig.store.batches) == 1
    assert (await rig.message(room.room_id, message.message_id)).state is MessageState.PROCESSING
    assert (await rig.states.get_room_state(room.room_id)).state == RoomState.PROCESSING
    assert (await rig.page(room.room_id)).persisted_seq == 0
    rig.store.commit_gate.set()
    await settle()
    assert (await rig.message(room.room_id, message.message_id)).state is MessageState.SENT
    assert (await rig.states.get_room_state(room.room_id)).state == RoomState.ACTIVE
    assert (await rig.page(room.room_id)).persisted_seq == 1
    steps = (await rig.states.get_message_state(room.room_id, message.message_id)).log
    assert [step.to_state for step in steps] == ["PENDING", "PROCESSING", "SENT"]


async def test_the_row_of_a_reserved_reply_leaves_it_composing(rig: Rig) -> None:
    room = await opened(rig)
    await rig.send(room)
    await settle()
    await rig.write_all()
    assert await states(rig, room.room_id) == [MessageState.SENT, MessageState.COMPOSING]
    assert (await rig.page(room.room_id)).persisted_seq == 1
    rig.model.talks[0].say("done")
    rig.model.talks[0].finish()
    await rig.clock.advance(1)
    await rig.write_all()
    assert await stored(rig, room.room_id) == ["Hello", "done"]
    assert (await rig.page(room.room_id)).persisted_seq == 2


async def test_a_cancelled_message_leaves_a_tombstone_and_never_its_content(rig: Rig) -> None:
    room = await opened(rig)
    first = await rig.say(room, "secret")
    await rig.say(room, "open")
    await rig.delete_message(room, first.message_id)
    await rig.write_all()
    assert all(save.doc.content != "secret" for batch in rig.store.batches for save in batch.message_saves)
    assert [(row.seq, row.doc.content, row.deleted) for row in await rig.rows(room.room_id)] == [
        (1, "", True),
        (2, "open", False),
    ]
    assert (await rig.page(room.room_id)).persisted_seq == 2


async def test_messages_of_a_deleted_room_are_not_written(rig: Rig) -> None:
    room = await opened(rig)
    await rig.say(room, "secret")
    await rig.delete_room(room)
    await rig.write_all()
    assert await stored(rig, room.room_id) == []
    assert await rig.store.room_get(SHARD, room.room_id) is None
    assert (await rig.states.get_room_state(room.room_id)).state == RoomState.DELETED

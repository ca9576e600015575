"""A shard writer: when it writes, and what."""

from __future__ import annotations

import asyncio

import pytest

from parlor.model.messages import Durability
from parlor.model.requests import ReplyMode
from parlor.model.states import MessageState, RoomState
from tests.unit.domain import HOME, NEIGHBOUR, SHARD, Domain, DomainMaker, settle
from tests.unit.persistence.writer_fixture import INTERVAL, opened, started, states, stored

pytestmark = pytest.mark.unit


# When


async def test_a_batch_is_written_after_its_interval(domain: Domain) -> None:
    room = await opened(domain)
    await started(domain)
    await domain.say(room, "one")
    await domain.clock.advance(1)
    await domain.say(room, "two")
    await domain.clock.advance(INTERVAL - 1.1)
    assert await stored(domain, room.room_id) == []
    await domain.clock.advance(0.2)
    assert await stored(domain, room.room_id) == ["one", "two"]
    assert domain.metrics.batches == [2]


async def test_a_batch_is_written_when_it_is_full(new_domain: DomainMaker) -> None:
    domain = new_domain(queue={"batch_size": 5})
    room = await opened(domain)
    await started(domain)
    for n in range(5):
        await domain.say(room, f"{n}")
    await domain.clock.advance(1)
    assert len(await stored(domain, room.room_id)) == 5
    assert domain.metrics.batches == [5]


async def test_a_busy_queue_gives_larger_batches_not_more(new_domain: DomainMaker) -> None:
    domain = new_domain(queue={"batch_size": 2, "batch_pause": 0.5, "batch_limit": 1000})
    room = await opened(domain)
    await started(domain)
    for n in range(40):
        await domain.say(room, f"{n}")
        await domain.clock.advance(0.05)
    await domain.clock.advance(1)
    assert sum(domain.metrics.batches) == 40
    assert len(domain.metrics.batches) <= 6


async def test_no_batch_is_larger_than_its_limit(new_domain: DomainMaker) -> None:
    domain = new_domain(queue={"batch_size": 5, "batch_limit": 7})
    room = await opened(domain)
    for n in range(30):
        await domain.say(room, f"{n}")
    await started(domain)
    await domain.clock.advance(5)
    assert len(await stored(domain, room.room_id)) == 30
    assert max(domain.metrics.batches) <= 7


async def test_a_sender_that_waits_for_the_commit_does_not_wait_for_a_full_batch(domain: Domain) -> None:
    room = await opened(domain)
    await started(domain)
    await domain.send(room, "now", reply=ReplyMode.NONE, urgent=True)
    await settle()
    assert await stored(domain, room.room_id) == ["now"]
    message = (await domain.page(room.room_id)).messages[0]
    assert (message.state, message.durability) == (MessageState.SENT, Durability.PERSISTED)


async def test_stopping_writes_what_is_queued_and_gives_the_leases_up(domain: Domain) -> None:
    room = await opened(domain)
    writer = domain.writer()
    task = await started(domain, writer)
    await domain.say(room, "late")
    await writer.stop()
    await domain.clock.advance(1)
    await task
    assert await stored(domain, room.room_id) == ["late"]
    assert writer.held == []
    assert await domain.redis.exists(domain.live.keys.lease(HOME)) == 0
    assert await domain.queued() == 0


# What


async def test_one_transaction_takes_several_partitions_and_rooms(domain: Domain) -> None:
    neighbour = domain.session("bob", NEIGHBOUR)
    mine, yours = domain.room(await domain.new_room()), domain.room(await domain.new_room(neighbour))
    await started(domain, domain.writer(HOME, NEIGHBOUR))
    await domain.say(mine, "mine")
    await domain.send(yours, "yours", session=neighbour, reply=ReplyMode.NONE)
    await domain.clock.advance(INTERVAL + 0.1)
    assert len(domain.store.batches) == 1
    (batch,) = domain.store.batches
    assert [fence.partition for fence in batch.fences] == [HOME, NEIGHBOUR]
    assert {save.doc.content for save in batch.message_saves} == {"mine", "yours"}
    assert await stored(domain, mine.room_id) == ["mine"]
    assert await stored(domain, yours.room_id) == ["yours"]


async def test_states_are_final_only_after_the_commit(domain: Domain) -> None:
    room = domain.room(await domain.new_room())
    message = await domain.say(room, "Hello")
    domain.store.commit_gate = asyncio.Event()
    await started(domain)
    await domain.clock.advance(INTERVAL + 0.1)
    assert len(domain.store.batches) == 1
    assert (await domain.message(room.room_id, message.message_id)).state is MessageState.PROCESSING
    assert (await domain.states.get_room_state(room.room_id)).state == RoomState.PROCESSING
    assert (await domain.page(room.room_id)).persisted_seq == 0
    domain.store.commit_gate.set()
    await settle()
    assert (await domain.message(room.room_id, message.message_id)).state is MessageState.SENT
    assert (await domain.states.get_room_state(room.room_id)).state == RoomState.ACTIVE
    assert (await domain.page(room.room_id)).persisted_seq == 1
    steps = (await domain.states.get_message_state(room.room_id, message.message_id)).log
    assert [step.to_state for step in steps] == ["PENDING", "PROCESSING", "SENT"]


async def test_the_row_of_a_reserved_reply_leaves_it_composing(domain: Domain) -> None:
    room = await opened(domain)
    await domain.send(room)
    await settle()
    await domain.write_all()
    assert await states(domain, room.room_id) == [MessageState.SENT, MessageState.COMPOSING]
    assert (await domain.page(room.room_id)).persisted_seq == 1
    domain.model.talks[0].say("done")
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    await domain.write_all()
    assert await stored(domain, room.room_id) == ["Hello", "done"]
    assert (await domain.page(room.room_id)).persisted_seq == 2


async def test_a_cancelled_message_leaves_a_tombstone_and_never_its_content(domain: Domain) -> None:
    room = await opened(domain)
    first = await domain.say(room, "secret")
    await domain.say(room, "open")
    await domain.delete_message(room, first.message_id)
    await domain.write_all()
    assert all(save.doc.content != "secret" for batch in domain.store.batches for save in batch.message_saves)
    assert [(row.seq, row.doc.content, row.deleted) for row in await domain.rows(room.room_id)] == [
        (1, "", True),
        (2, "open", False),
    ]
    assert (await domain.page(room.room_id)).persisted_seq == 2


async def test_messages_of_a_deleted_room_are_not_written(domain: Domain) -> None:
    room = await opened(domain)
    await domain.say(room, "secret")
    await domain.delete_room(room)
    await domain.write_all()
    assert await stored(domain, room.room_id) == []
    assert await domain.store.room_get(SHARD, room.room_id) is None
    assert (await domain.states.get_room_state(room.room_id)).state == RoomState.DELETED

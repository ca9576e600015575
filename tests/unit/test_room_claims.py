"""A room's owner when another one has it, when Redis forgets it, and what an owner leaves to the next."""

from __future__ import annotations

import pytest

from parlor.commands import Wake
from parlor.errors import (
    CacheUnavailable,
    RoomMoved,
    StoreUnavailable,
)
from parlor.model import FinishReason
from parlor.room import Room
from parlor.states import MessageState, RoomState
from tests.unit.rig import HOME, Rig, crash, gathered, settle

pytestmark = pytest.mark.unit


# Claims


async def test_a_stale_claim_is_refused(rig: Rig) -> None:
    room_id = await rig.new_room()
    old, new = rig.room(room_id), rig.room(room_id)
    await rig.say(old, "first")
    assert (await rig.say(new, "second")).seq == 2
    with pytest.raises(RoomMoved):
        await rig.say(old, "late")
    with pytest.raises(RoomMoved):
        await rig.rename(old, "late")
    assert (await rig.say(new, "third")).seq == 3
    assert await rig.texts(room_id) == [(1, "first"), (2, "second"), (3, "third")]
    assert rig.metrics.stale_writes == {"room": 1}


async def test_a_stale_owners_reply_stops_writing(rig: Rig) -> None:
    room_id = await rig.new_room()
    old, new = rig.room(room_id), rig.room(room_id)
    await rig.send(old, "Hello")
    await settle()
    rig.model.talks[0].say("old words")
    await settle()
    await rig.wake(new)
    await settle()
    rig.model.talks[0].say("that nobody reads")
    await rig.clock.advance(1)
    assert rig.model.talks[0].closed
    await rig.answer(1, "new words")
    assert await rig.texts(room_id) == [(1, "Hello"), (2, "new words")]
    assert [kind for kind in await rig.kinds(room_id) if kind != "message.created"] == [
        "message.delta",
        "message.reset",
        "message.delta",
        "message.completed",
    ]
    with pytest.raises(RoomMoved):
        await rig.say(old)


async def test_commands_behind_the_one_that_was_fenced_are_sent_elsewhere(rig: Rig) -> None:
    room_id = await rig.new_room()
    old = rig.room(room_id)
    await rig.say(old)
    await rig.say(rig.room(room_id))
    results = await gathered([rig.say(old), rig.say(old), rig.rename(old, "t")])
    assert [type(result) for result in results] == [RoomMoved] * 3


async def test_closing_gives_the_claim_up_but_never_anothers(rig: Rig) -> None:
    room_id = await rig.new_room()
    old, new = rig.room(room_id), rig.room(room_id)
    await rig.say(old)
    await rig.say(new)
    await old.close()
    assert await claim_of(rig, new) != b""
    assert (await rig.say(new)).seq == 3
    await new.close()
    assert await claim_of(rig, new) == b""
    with pytest.raises(RoomMoved):
        await rig.say(new)


async def test_closing_with_redis_down_still_closes(rig: Rig) -> None:
    room = await rig.opened()
    await rig.say(room)
    rig.server.connected = False
    await room.close()
    with pytest.raises(RoomMoved):
        await rig.say(room)


# Redis forgets


async def test_a_room_that_redis_lost_is_loaded_and_goes_on(rig: Rig) -> None:
    room = await rig.opened()
    for n in range(5):
        await rig.say(room, f"{n}")
    await rig.write_all()
    await rig.forget_room(room.room_id)
    assert (await rig.say(room, "5")).seq == 6
    assert await rig.texts(room.room_id) == [(n + 1, f"{n}") for n in range(6)]
    assert (await rig.directory.room(room.room_id, rig.ada.account_id)).state is RoomState.ACTIVE


async def test_seq_goes_on_behind_what_is_still_queued(rig: Rig) -> None:
    room = await rig.opened()
    await rig.say(room, "stored")
    await rig.write_all()
    await rig.say(room, "queued")
    await rig.forget_room(room.room_id)
    assert (await rig.say(room, "new")).seq == 3
    await rig.write_all()
    assert [(row.seq, row.doc.content) for row in await rig.rows(room.room_id)] == [
        (1, "stored"),
        (2, "queued"),
        (3, "new"),
    ]
    assert await rig.texts(room.room_id) == [(1, "stored"), (2, "queued"), (3, "new")]


async def test_an_empty_redis_is_filled_again_and_the_room_goes_on(rig: Rig) -> None:
    room = await rig.opened()
    await rig.say(room, "before")
    await rig.write_all()
    await rig.redis.flushall()
    assert (await rig.say(room, "after")).seq == 2
    await rig.write_all()
    assert [row.doc.content for row in await rig.rows(room.room_id)] == ["before", "after"]
    assert await rig.texts(room.room_id) == [(1, "before"), (2, "after")]


async def test_tickets_begin_anew_with_an_empty_redis(rig: Rig) -> None:
    room = await rig.opened()
    for ticket in range(4):
        await room.execute(Wake(None, room.room_id, "sweep", ticket=ticket))
    with pytest.raises(RoomMoved):
        await room.execute(Wake(None, room.room_id, "late", ticket=0))
    await rig.say(room, "before")
    await rig.write_all()
    await rig.redis.flushall()
    await room.execute(Wake(None, room.room_id, "sweep", ticket=0))
    assert (await rig.say(room, "after")).seq == 2
    assert await rig.reader.claims(room.room_id) == 1


async def test_the_replies_of_a_room_that_redis_lost_are_written(rig: Rig) -> None:
    room = await rig.opened()
    await rig.send(room, "one")
    await rig.send(room, "two")
    await settle()
    rig.model.talks[0].say("begun")
    await rig.clock.advance(0.1)
    await rig.write_all()
    await rig.forget_room(room.room_id)
    rig.model.talks[0].say(" and cut")
    await rig.clock.advance(1)
    await rig.answer(1, "first")
    await rig.answer(2, "second")
    assert await rig.texts(room.room_id) == [(1, "one"), (2, "first"), (3, "two"), (4, "second")]


async def test_a_lost_room_is_loaded_as_soon_as_its_shard_answers(rig: Rig) -> None:
    room = await rig.opened()
    await rig.send(room, "one")
    await settle()
    rig.model.talks[0].say("begun")
    await rig.clock.advance(0.1)
    await rig.write_all()
    await rig.forget_room(room.room_id)
    rig.store.down = True
    rig.model.talks[0].say(" and cut")
    await rig.clock.advance(5)
    rig.store.down = False
    await rig.clock.advance(5)
    await rig.answer(1, "whole")
    assert await rig.texts(room.room_id) == [(1, "one"), (2, "whole")]


async def test_redis_down_is_said_at_once_and_forgotten_when_it_is_back(rig: Rig) -> None:
    room = await rig.opened()
    await rig.say(room)
    rig.server.connected = False
    with pytest.raises(CacheUnavailable) as down:
        await rig.say(room)
    assert down.value.retry_after is not None
    rig.server.connected = True
    assert (await rig.say(room)).seq == 2


async def test_a_room_that_only_its_shard_knows_waits_for_the_shard(rig: Rig) -> None:
    room = await rig.opened()
    await rig.say(room)
    await rig.write_all()
    await rig.forget_room(room.room_id)
    rig.store.down = True
    with pytest.raises(StoreUnavailable):
        await rig.say(room)
    rig.store.down = False
    assert (await rig.say(room)).seq == 2


# Taking up what another owner left


async def test_a_reply_that_its_owner_left_is_begun_again_by_the_next(rig: Rig) -> None:
    room_id = await rig.new_room()
    dying = rig.room(room_id)
    await rig.send(dying)
    await settle()
    rig.model.talks[0].say("cut")
    await rig.clock.advance(0.1)
    await crash(dying)
    await rig.clock.advance(6)
    assert await rig.reader.overdue_rooms(HOME, 10) == [room_id]
    await rig.wake(rig.room(room_id))
    await rig.answer(1, "whole")
    reply = (await rig.page(room_id)).messages[1]
    assert (reply.content, reply.attempt, reply.finish_reason) == ("whole", 2, FinishReason.STOP)
    events = await rig.events(room_id)
    assert [kind for kind, _ in events][2:] == [
        "message.delta",
        "message.reset",
        "message.delta",
        "message.completed",
    ]
    assert events[3][1] == {"message_id": reply.message_id, "attempt": 2}


async def test_a_reply_that_keeps_failing_its_owners_ends_as_interrupted(rig: Rig) -> None:
    room_id = await rig.new_room()
    for attempt, text in enumerate(("one", "two")):
        owner = rig.room(room_id)
        await (rig.send(owner) if attempt == 0 else rig.wake(owner))
        await settle()
        rig.model.talks[attempt].say(text)
        await rig.clock.advance(0.1)
        await crash(owner)
    last = rig.room(room_id)
    await rig.wake(last)
    await settle()
    reply = (await rig.page(room_id)).messages[1]
    assert (reply.content, reply.finish_reason, reply.attempt) == ("two", FinishReason.INTERRUPTED, 2)
    assert reply.error is not None
    assert (reply.is_streaming, reply.state) == (False, MessageState.PENDING)
    assert (await rig.kinds(room_id))[-1] == "message.failed"
    assert len(rig.model.talks) == 2
    assert not last.busy


async def test_a_reply_that_was_reserved_and_never_begun_gets_its_first_attempt(rig: Rig) -> None:
    room_id = await rig.new_room()
    dying = rig.room(room_id)
    await rig.send(dying, "one")
    await rig.send(dying, "two")
    await settle()
    await crash(dying)
    owner = rig.room(room_id)
    await rig.wake(owner)
    await rig.answer(1, "again")
    await rig.answer(2, "first time")
    replies = [message for message in (await rig.page(room_id)).messages if message.attempt]
    assert [(reply.content, reply.attempt) for reply in replies] == [("again", 2), ("first time", 1)]
    assert (await rig.kinds(room_id)).count("message.reset") == 1


async def test_replies_are_taken_up_although_a_first_try_failed(rig: Rig) -> None:
    """The shard does not answer while the new owner looks what there is to do: it looks again."""
    room_id = await rig.new_room()
    dying = rig.room(room_id)
    await rig.send(dying, "one")
    await settle()
    await crash(dying)
    await rig.write_all()
    messages = rig.live.keys.messages(HOME, room_id)
    await rig.redis.delete(messages)
    owner = rig.room(room_id)
    rig.store.down = True
    with pytest.raises(StoreUnavailable):
        await rig.wake(owner)
    rig.store.down = False
    await rig.wake(owner)
    await rig.answer(1, "in the end")
    assert (await rig.texts(room_id))[1] == (2, "in the end")


async def claim_of(rig: Rig, room: Room) -> object:
    return await rig.redis.hget(rig.live.keys.room(HOME, room.room_id), "claim")

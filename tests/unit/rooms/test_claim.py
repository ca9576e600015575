"""A room's owner when another one has it, when Redis forgets it, and what an owner leaves to the next."""

from __future__ import annotations

import pytest

from parlor.errors import (
    CacheUnavailable,
    RoomMoved,
    StoreUnavailable,
)
from parlor.model.messages import FinishReason
from parlor.model.states import MessageState, RoomState
from parlor.rooms.commands import Wake
from parlor.rooms.room import Room
from tests.unit.domain import HOME, Domain, crash, gathered, settle

pytestmark = pytest.mark.unit


# Claims


async def test_a_stale_claim_is_refused(domain: Domain) -> None:
    room_id = await domain.new_room()
    old, new = domain.room(room_id), domain.room(room_id)
    await domain.say(old, "first")
    assert (await domain.say(new, "second")).seq == 2
    with pytest.raises(RoomMoved):
        await domain.say(old, "late")
    with pytest.raises(RoomMoved):
        await domain.rename(old, "late")
    assert (await domain.say(new, "third")).seq == 3
    assert await domain.texts(room_id) == [(1, "first"), (2, "second"), (3, "third")]
    assert domain.metrics.stale_writes == {"room": 1}


async def test_a_stale_owners_reply_stops_writing(domain: Domain) -> None:
    room_id = await domain.new_room()
    old, new = domain.room(room_id), domain.room(room_id)
    await domain.send(old, "Hello")
    await settle()
    domain.model.talks[0].say("old words")
    await settle()
    await domain.wake(new)
    await settle()
    domain.model.talks[0].say("that nobody reads")
    await domain.clock.advance(1)
    assert domain.model.talks[0].closed
    await domain.answer(1, "new words")
    assert await domain.texts(room_id) == [(1, "Hello"), (2, "new words")]
    assert [kind for kind in await domain.kinds(room_id) if kind != "message.created"] == [
        "message.delta",
        "message.reset",
        "message.delta",
        "message.completed",
    ]
    with pytest.raises(RoomMoved):
        await domain.say(old)


async def test_commands_behind_the_one_that_was_fenced_are_sent_elsewhere(domain: Domain) -> None:
    room_id = await domain.new_room()
    old = domain.room(room_id)
    await domain.say(old)
    await domain.say(domain.room(room_id))
    results = await gathered([domain.say(old), domain.say(old), domain.rename(old, "t")])
    assert [type(result) for result in results] == [RoomMoved] * 3


async def test_closing_gives_the_claim_up_but_never_anothers(domain: Domain) -> None:
    room_id = await domain.new_room()
    old, new = domain.room(room_id), domain.room(room_id)
    await domain.say(old)
    await domain.say(new)
    await old.close()
    assert await claim_of(domain, new) != b""
    assert (await domain.say(new)).seq == 3
    await new.close()
    assert await claim_of(domain, new) == b""
    with pytest.raises(RoomMoved):
        await domain.say(new)


async def test_closing_with_redis_down_still_closes(domain: Domain) -> None:
    room = await domain.opened()
    await domain.say(room)
    domain.server.connected = False
    await room.close()
    with pytest.raises(RoomMoved):
        await domain.say(room)


# Redis forgets


async def test_a_room_that_redis_lost_is_loaded_and_goes_on(domain: Domain) -> None:
    room = await domain.opened()
    for n in range(5):
        await domain.say(room, f"{n}")
    await domain.write_all()
    await domain.forget_room(room.room_id)
    assert (await domain.say(room, "5")).seq == 6
    assert await domain.texts(room.room_id) == [(n + 1, f"{n}") for n in range(6)]
    assert (await domain.directory.room(room.room_id, domain.ada.account_id)).state is RoomState.ACTIVE


async def test_seq_goes_on_behind_what_is_still_queued(domain: Domain) -> None:
    room = await domain.opened()
    await domain.say(room, "stored")
    await domain.write_all()
    await domain.say(room, "queued")
    await domain.forget_room(room.room_id)
    assert (await domain.say(room, "new")).seq == 3
    await domain.write_all()
    assert [(row.seq, row.doc.content) for row in await domain.rows(room.room_id)] == [
        (1, "stored"),
        (2, "queued"),
        (3, "new"),
    ]
    assert await domain.texts(room.room_id) == [(1, "stored"), (2, "queued"), (3, "new")]


async def test_an_empty_redis_is_filled_again_and_the_room_goes_on(domain: Domain) -> None:
    room = await domain.opened()
    await domain.say(room, "before")
    await domain.write_all()
    await domain.redis.flushall()
    assert (await domain.say(room, "after")).seq == 2
    await domain.write_all()
    assert [row.doc.content for row in await domain.rows(room.room_id)] == ["before", "after"]
    assert await domain.texts(room.room_id) == [(1, "before"), (2, "after")]


async def test_tickets_begin_anew_with_an_empty_redis(domain: Domain) -> None:
    room = await domain.opened()
    for ticket in range(4):
        await room.execute(Wake(None, room.room_id, "sweep", ticket=ticket))
    with pytest.raises(RoomMoved):
        await room.execute(Wake(None, room.room_id, "late", ticket=0))
    await domain.say(room, "before")
    await domain.write_all()
    await domain.redis.flushall()
    await room.execute(Wake(None, room.room_id, "sweep", ticket=0))
    assert (await domain.say(room, "after")).seq == 2
    assert await domain.reader.claims(room.room_id) == 1


async def test_the_replies_of_a_room_that_redis_lost_are_written(domain: Domain) -> None:
    room = await domain.opened()
    await domain.send(room, "one")
    await domain.send(room, "two")
    await settle()
    domain.model.talks[0].say("begun")
    await domain.clock.advance(0.1)
    await domain.write_all()
    await domain.forget_room(room.room_id)
    domain.model.talks[0].say(" and cut")
    await domain.clock.advance(1)
    await domain.answer(1, "first")
    await domain.answer(2, "second")
    assert await domain.texts(room.room_id) == [(1, "one"), (2, "first"), (3, "two"), (4, "second")]


async def test_a_lost_room_is_loaded_as_soon_as_its_shard_answers(domain: Domain) -> None:
    room = await domain.opened()
    await domain.send(room, "one")
    await settle()
    domain.model.talks[0].say("begun")
    await domain.clock.advance(0.1)
    await domain.write_all()
    await domain.forget_room(room.room_id)
    domain.store.down = True
    domain.model.talks[0].say(" and cut")
    await domain.clock.advance(5)
    domain.store.down = False
    await domain.clock.advance(5)
    await domain.answer(1, "whole")
    assert await domain.texts(room.room_id) == [(1, "one"), (2, "whole")]


async def test_redis_down_is_said_at_once_and_forgotten_when_it_is_back(domain: Domain) -> None:
    room = await domain.opened()
    await domain.say(room)
    domain.server.connected = False
    with pytest.raises(CacheUnavailable) as down:
        await domain.say(room)
    assert down.value.retry_after is not None
    domain.server.connected = True
    assert (await domain.say(room)).seq == 2


async def test_a_room_that_only_its_shard_knows_waits_for_the_shard(domain: Domain) -> None:
    room = await domain.opened()
    await domain.say(room)
    await domain.write_all()
    await domain.forget_room(room.room_id)
    domain.store.down = True
    with pytest.raises(StoreUnavailable):
        await domain.say(room)
    domain.store.down = False
    assert (await domain.say(room)).seq == 2


# Taking up what another owner left


async def test_a_reply_that_its_owner_left_is_begun_again_by_the_next(domain: Domain) -> None:
    room_id = await domain.new_room()
    dying = domain.room(room_id)
    await domain.send(dying)
    await settle()
    domain.model.talks[0].say("cut")
    await domain.clock.advance(0.1)
    await crash(dying)
    await domain.clock.advance(6)
    assert await domain.reader.overdue_rooms(HOME, 10) == [room_id]
    await domain.wake(domain.room(room_id))
    await domain.answer(1, "whole")
    reply = (await domain.page(room_id)).messages[1]
    assert (reply.content, reply.attempt, reply.finish_reason) == ("whole", 2, FinishReason.STOP)
    events = await domain.events(room_id)
    assert [kind for kind, _ in events][2:] == [
        "message.delta",
        "message.reset",
        "message.delta",
        "message.completed",
    ]
    assert events[3][1] == {"message_id": reply.message_id, "attempt": 2}


async def test_a_reply_that_keeps_failing_its_owners_ends_as_interrupted(domain: Domain) -> None:
    room_id = await domain.new_room()
    for attempt, text in enumerate(("one", "two")):
        owner = domain.room(room_id)
        await (domain.send(owner) if attempt == 0 else domain.wake(owner))
        await settle()
        domain.model.talks[attempt].say(text)
        await domain.clock.advance(0.1)
        await crash(owner)
    last = domain.room(room_id)
    await domain.wake(last)
    await settle()
    reply = (await domain.page(room_id)).messages[1]
    assert (reply.content, reply.finish_reason, reply.attempt) == ("two", FinishReason.INTERRUPTED, 2)
    assert reply.error is not None
    assert (reply.is_streaming, reply.state) == (False, MessageState.PENDING)
    assert (await domain.kinds(room_id))[-1] == "message.failed"
    assert len(domain.model.talks) == 2
    assert not last.busy


async def test_a_reply_that_was_reserved_and_never_begun_gets_its_first_attempt(domain: Domain) -> None:
    room_id = await domain.new_room()
    dying = domain.room(room_id)
    await domain.send(dying, "one")
    await domain.send(dying, "two")
    await settle()
    await crash(dying)
    owner = domain.room(room_id)
    await domain.wake(owner)
    await domain.answer(1, "again")
    await domain.answer(2, "first time")
    replies = [message for message in (await domain.page(room_id)).messages if message.attempt]
    assert [(reply.content, reply.attempt) for reply in replies] == [("again", 2), ("first time", 1)]
    assert (await domain.kinds(room_id)).count("message.reset") == 1


async def test_replies_are_taken_up_although_a_first_try_failed(domain: Domain) -> None:
    """The shard does not answer while the new owner looks for unfinished replies, so it looks again."""
    room_id = await domain.new_room()
    dying = domain.room(room_id)
    await domain.send(dying, "one")
    await settle()
    await crash(dying)
    await domain.write_all()
    messages = domain.live.keys.messages(HOME, room_id)
    await domain.redis.delete(messages)
    owner = domain.room(room_id)
    domain.store.down = True
    with pytest.raises(StoreUnavailable):
        await domain.wake(owner)
    domain.store.down = False
    await domain.wake(owner)
    await domain.answer(1, "in the end")
    assert (await domain.texts(room_id))[1] == (2, "in the end")


async def claim_of(domain: Domain, room: Room) -> object:
    return await domain.redis.hget(domain.live.keys.room(HOME, room.room_id), "claim")

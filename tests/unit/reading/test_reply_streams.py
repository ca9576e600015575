"""Subscriptions to one reply or one turn: from the start, resumed, or long after the end."""

from __future__ import annotations

import pytest

from parlor.errors import MessageNotFound
from parlor.model.requests import ReplyMode
from parlor.reading.streams import EventStreams
from tests.unit.domain import HOME, Domain, settle
from tests.unit.stream_readers import reading, refused, replied

pytestmark = pytest.mark.unit


@pytest.fixture
def streams(domain: Domain) -> EventStreams:
    return domain.streams()


# One reply


async def test_a_reply_is_read_from_its_start_to_its_end(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    receipt = await domain.send(room)
    await settle()
    domain.model.talks[0].say("one ")
    await settle()
    assert receipt.reply is not None
    reader = await reading(domain, streams.reply(room.room_id, domain.ada.account_id, receipt.reply.message_id, None))
    await domain.say(room, "something else")
    domain.model.talks[0].say("two")
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    kinds = await reader.until_end()
    assert kinds == ["message.created", "message.delta", "message.delta", "message.completed"]
    assert {event.message_id for event in reader.events} == {receipt.reply.message_id}
    assert "".join(data["text"] for data in reader.data if "text" in data) == "one two"


@pytest.mark.parametrize("log", ["there", "gone"])
async def test_a_reply_that_ended_long_ago_comes_whole(domain: Domain, streams: EventStreams, log: str) -> None:
    room = domain.room(await domain.new_room())
    reply = await replied(domain, room, "one ", "two")
    if log == "gone":
        await domain.redis.delete(domain.live.keys.events(HOME, room.room_id))
    reader = await reading(domain, streams.reply(room.room_id, domain.ada.account_id, reply.message_id, None))
    kinds = await reader.until_end()
    assert kinds[-1] == "message.completed"
    assert kinds == ["message.completed"] or log == "there"
    assert reader.data[-1]["message"]["content"] == "one two"


async def test_a_cursor_behind_the_end_gives_the_end_once_more(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    reply = await replied(domain, room, "text")
    cursor = (await domain.page(room.room_id)).cursor
    reader = await reading(domain, streams.reply(room.room_id, domain.ada.account_id, reply.message_id, cursor))
    assert await reader.until_end() == ["message.completed"]


async def test_a_reply_that_failed_long_ago_says_so(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    receipt = await domain.send(room)
    await settle()
    domain.model.talks[0].fail(ZeroDivisionError())
    await domain.clock.advance(1)
    await domain.redis.delete(domain.live.keys.events(HOME, room.room_id))
    assert receipt.reply is not None
    reader = await reading(domain, streams.reply(room.room_id, domain.ada.account_id, receipt.reply.message_id, None))
    assert await reader.until_end() == ["message.completed"]
    assert reader.data[0]["message"]["finish_reason"] == "error"
    assert reader.data[0]["message"]["error"]["code"] == "llm-error"


async def test_a_deleted_reply_ends_its_stream(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    receipt = await domain.send(room)
    await settle()
    assert receipt.reply is not None
    opened = streams.reply(room.room_id, domain.ada.account_id, receipt.reply.message_id, None)
    reader = await reading(domain, opened)
    await domain.delete_message(room, receipt.reply.message_id)
    await domain.clock.advance(1)
    assert (await reader.until_end())[-1] == "message.deleted"
    await domain.redis.delete(domain.live.keys.events(HOME, room.room_id))
    late = await reading(domain, streams.reply(room.room_id, domain.ada.account_id, receipt.reply.message_id, None))
    assert await late.until_end() == ["message.deleted"]


async def test_the_deletion_of_its_room_ends_a_replys_stream(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    receipt = await domain.send(room)
    assert receipt.reply is not None
    reader = await reading(domain, streams.reply(room.room_id, domain.ada.account_id, receipt.reply.message_id, None))
    await domain.delete_room(room)
    assert (await reader.until_end())[-1] == "room.deleted"


async def test_a_reply_that_is_none_is_not_found(domain: Domain, streams: EventStreams) -> None:
    room_id = await domain.new_room()
    opened = streams.reply(room_id, domain.ada.account_id, domain.mint.message_id(HOME), None)
    assert await refused(domain, opened) is MessageNotFound


# One turn


async def test_a_turn_has_the_events_of_its_own_messages_only(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    receipt = await domain.send(room, "mine")
    reader = await reading(domain, streams.turn(room.room_id, domain.ada.account_id, receipt))
    await domain.send(room, "another turn")
    await settle()
    domain.model.talks[0].say("answer")
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    kinds = await reader.until_end()
    assert kinds == ["message.created", "message.created", "message.delta", "message.completed"]
    assert reader.data[0]["message"]["content"] == "mine"


async def test_a_turn_without_a_reply_ends_with_its_message(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    receipt = await domain.send(room, reply=ReplyMode.NONE)
    reader = await reading(domain, streams.turn(room.room_id, domain.ada.account_id, receipt))
    assert await reader.until_end() == ["message.created"]


@pytest.mark.parametrize("log", ["there", "gone"])
async def test_a_replayed_turn_that_ended_comes_to_its_end(domain: Domain, streams: EventStreams, log: str) -> None:
    room = domain.room(await domain.new_room())
    await domain.send(room, key="k")
    await settle()
    domain.model.talks[0].say("answer")
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    if log == "gone":
        await domain.redis.delete(domain.live.keys.events(HOME, room.room_id))
    again = await domain.send(room, key="k")
    reader = await reading(domain, streams.turn(room.room_id, domain.ada.account_id, again))
    assert (await reader.until_end())[-1] == "message.completed"


async def test_a_replayed_turn_that_runs_is_joined(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    await domain.send(room, key="k")
    await settle()
    domain.model.talks[0].say("answer")
    await settle()
    again = await domain.send(room, key="k")
    reader = await reading(domain, streams.turn(room.room_id, domain.ada.account_id, again))
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    assert await reader.until_end() == ["message.created", "message.created", "message.delta", "message.completed"]


@pytest.mark.parametrize("log", ["there", "gone"])
async def test_a_replayed_turn_without_a_reply_ends(domain: Domain, streams: EventStreams, log: str) -> None:
    room = domain.room(await domain.new_room())
    await domain.send(room, key="k", reply=ReplyMode.NONE)
    if log == "gone":
        await domain.redis.delete(domain.live.keys.events(HOME, room.room_id))
    again = await domain.send(room, key="k", reply=ReplyMode.NONE)
    assert again.replayed
    reader = await reading(domain, streams.turn(room.room_id, domain.ada.account_id, again))
    assert (await reader.until_end()) == ["message.created"]

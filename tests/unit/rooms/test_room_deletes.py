"""Titles, and deletes of messages and rooms in each of their states."""

from __future__ import annotations

import asyncio

import pytest

from parlor.errors import (
    MessageNotFound,
    RoomNotFound,
)
from parlor.model.requests import DeleteOutcome
from parlor.model.states import MessageState, RoomState
from tests.unit.domain import HOME, Domain, settle

pytestmark = pytest.mark.unit


# Titles and deletes


async def test_a_new_title_is_seen_at_once_and_stored(domain: Domain) -> None:
    room = await domain.opened()
    assert (await domain.rename(room, "A title")).title == "A title"
    assert (await domain.rename(room, "Another")).title == "Another"
    await domain.write_all()
    row = await domain.store.room_get(domain.ada.shard_id, room.room_id)
    assert row is not None
    assert row.title == "Another"


async def test_deleting_a_message_that_is_queued_cancels_it(domain: Domain) -> None:
    room = await domain.opened()
    message = await domain.say(room, "secret")
    receipt = await domain.delete_message(room, message.message_id)
    assert (receipt.outcome, receipt.state) == (DeleteOutcome.CANCELLED, MessageState.DELETED)
    await domain.write_all()
    assert [(row.doc.content, row.deleted) for row in await domain.rows(room.room_id)] == [("", True)]


async def test_deleting_a_message_that_is_stored_goes_through_its_shard(domain: Domain) -> None:
    room = await domain.opened()
    message = await domain.say(room, "secret")
    await domain.write_all()
    receipt = await domain.delete_message(room, message.message_id)
    assert (receipt.outcome, receipt.state) == (DeleteOutcome.DELETING, MessageState.DELETING)
    assert (await domain.message(room.room_id, message.message_id)).content == ""
    await domain.write_all()
    assert (await domain.message(room.room_id, message.message_id)).state is MessageState.DELETED
    assert [(row.doc.content, row.deleted) for row in await domain.rows(room.room_id)] == [("", True)]


async def test_deleting_a_message_that_a_writer_has_taken_buries_it(domain: Domain) -> None:
    room = await domain.opened()
    message = await domain.say(room, "secret")
    domain.store.commit_gate = asyncio.Event()
    domain.spawn(domain.writer().run())
    await domain.clock.advance(3.1)
    assert (await domain.message(room.room_id, message.message_id)).state is MessageState.PROCESSING
    receipt = await domain.delete_message(room, message.message_id)
    assert (receipt.outcome, receipt.state) == (DeleteOutcome.DELETING, MessageState.DELETING)
    domain.store.commit_gate.set()
    await domain.clock.advance(3.1)
    assert [(row.doc.content, row.deleted) for row in await domain.rows(room.room_id)] == [("", True)]
    assert (await domain.message(room.room_id, message.message_id)).state is MessageState.DELETED


async def test_deleting_twice_is_harmless(domain: Domain) -> None:
    room = await domain.opened()
    message = await domain.say(room)
    await domain.delete_message(room, message.message_id)
    again = await domain.delete_message(room, message.message_id)
    assert again.outcome is DeleteOutcome.ALREADY_DELETED
    assert (await domain.directory.room(room.room_id, domain.ada.account_id)).message_count == 0


async def test_deleting_what_is_not_there_is_not_found(domain: Domain) -> None:
    room = await domain.opened()
    with pytest.raises(MessageNotFound):
        await domain.delete_message(room, domain.mint.message_id(HOME))


async def test_deleting_a_reply_that_is_written_stops_the_model(domain: Domain) -> None:
    room = await domain.opened()
    receipt = await domain.send(room)
    await domain.send(room, "next")
    await settle()
    domain.model.talks[0].say("half a")
    await domain.clock.advance(0.1)
    assert receipt.reply is not None
    deleted = await domain.delete_message(room, receipt.reply.message_id)
    assert (deleted.outcome, deleted.state) == (DeleteOutcome.STOPPED_AND_DELETED, MessageState.DELETED)
    await domain.clock.advance(0.1)
    assert domain.model.talks[0].closed
    await domain.answer(1, "on it goes")
    assert await domain.texts(room.room_id) == [(1, "Hello"), (2, ""), (3, "next"), (4, "on it goes")]
    kinds = [kind for kind, data in await domain.events(room.room_id) if data.get("message_id") or kind.endswith("ed")]
    assert kinds.count("message.deleted") == 1
    assert kinds.count("message.completed") == 1
    assert "message.stopped" not in kinds


async def test_a_deleted_reply_that_was_waiting_is_never_begun(domain: Domain) -> None:
    room = await domain.opened()
    await domain.send(room)
    waiting = await domain.send(room, "next")
    await settle()
    assert waiting.reply is not None
    await domain.delete_message(room, waiting.reply.message_id)
    await domain.answer(0, "only one")
    await domain.clock.advance(1)
    assert len(domain.model.talks) == 1
    assert not room.busy


async def test_tombstones_of_messages_that_were_never_stored_keep_author_and_time(domain: Domain) -> None:
    room = await domain.opened()
    sent = await domain.send(room)
    await settle()
    assert sent.reply is not None
    await domain.clock.advance(60)
    for message in (sent.reply, sent.message):
        await domain.delete_message(room, message.message_id)
    cached = [(m.sender_type, m.timestamp) for m in (await domain.page(room.room_id)).messages]
    assert cached == [(m.sender_type, m.timestamp) for m in (sent.message, sent.reply)]
    await domain.write_all()
    stored = [(row.doc.sender_type, row.doc.timestamp) for row in await domain.rows(room.room_id)]
    assert stored == cached


async def test_a_deleted_room_is_gone_for_every_command(domain: Domain) -> None:
    room = await domain.opened()
    await domain.say(room)
    assert (await domain.delete_room(room)).state is RoomState.DELETING
    successor = domain.room(room.room_id)
    assert (await domain.delete_room(successor)).state is RoomState.DELETING
    for work in (domain.say(domain.room(room.room_id)), domain.rename(domain.room(room.room_id), "x")):
        with pytest.raises(RoomNotFound):
            await work
    with pytest.raises(RoomNotFound):
        await domain.page(room.room_id)
    with pytest.raises(RoomNotFound):
        await domain.delete_room(domain.room(room.room_id), domain.session("eve"))
    await domain.write_all()
    assert await domain.store.room_get(domain.ada.shard_id, room.room_id) is None
    assert (await domain.delete_room(domain.room(room.room_id))).state is RoomState.DELETED


async def test_deleting_a_room_stops_its_reply_and_nothing_comes_back(domain: Domain) -> None:
    room = await domain.opened()
    receipt = await domain.send(room)
    await settle()
    domain.model.talks[0].say("half a")
    await settle()
    await domain.delete_room(room)
    domain.model.talks[0].say(" sentence")
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    assert domain.model.talks[0].closed
    assert (await domain.kinds(room.room_id))[-1] == "room.deleted"
    await domain.write_all()
    assert await domain.store.room_get(domain.ada.shard_id, room.room_id) is None
    assert receipt.reply is not None
    with pytest.raises(RoomNotFound):
        await domain.message(room.room_id, receipt.reply.message_id)
    assert await domain.reader.overdue_rooms(HOME, 10) == []

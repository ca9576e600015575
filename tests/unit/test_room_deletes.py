"""Titles, and deletes of messages and rooms in each of their states."""

from __future__ import annotations

import asyncio

import pytest

from parlor.errors import (
    MessageNotFound,
    RoomNotFound,
)
from parlor.model import DeleteOutcome
from parlor.states import MessageState, RoomState
from tests.unit.rig import HOME, Rig, settle

pytestmark = pytest.mark.unit


# Titles and deletes


async def test_a_new_title_is_seen_at_once_and_stored(rig: Rig) -> None:
    room = await rig.opened()
    assert (await rig.rename(room, "A title")).title == "A title"
    assert (await rig.rename(room, "Another")).title == "Another"
    await rig.write_all()
    row = await rig.store.room_get(rig.ada.shard_id, room.room_id)
    assert row is not None
    assert row.title == "Another"


async def test_deleting_a_message_that_is_queued_cancels_it(rig: Rig) -> None:
    room = await rig.opened()
    message = await rig.say(room, "secret")
    receipt = await rig.delete_message(room, message.message_id)
    assert (receipt.outcome, receipt.state) == (DeleteOutcome.CANCELLED, MessageState.DELETED)
    await rig.write_all()
    assert [(row.doc.content, row.deleted) for row in await rig.rows(room.room_id)] == [("", True)]


async def test_deleting_a_message_that_is_stored_goes_through_its_shard(rig: Rig) -> None:
    room = await rig.opened()
    message = await rig.say(room, "secret")
    await rig.write_all()
    receipt = await rig.delete_message(room, message.message_id)
    assert (receipt.outcome, receipt.state) == (DeleteOutcome.DELETING, MessageState.DELETING)
    assert (await rig.message(room.room_id, message.message_id)).content == ""
    await rig.write_all()
    assert (await rig.message(room.room_id, message.message_id)).state is MessageState.DELETED
    assert [(row.doc.content, row.deleted) for row in await rig.rows(room.room_id)] == [("", True)]


async def test_deleting_a_message_that_a_writer_has_taken_buries_it(rig: Rig) -> None:
    room = await rig.opened()
    message = await rig.say(room, "secret")
    rig.store.commit_gate = asyncio.Event()
    rig.spawn(rig.writer().run())
    await rig.clock.advance(3.1)
    assert (await rig.message(room.room_id, message.message_id)).state is MessageState.PROCESSING
    receipt = await rig.delete_message(room, message.message_id)
    assert (receipt.outcome, receipt.state) == (DeleteOutcome.DELETING, MessageState.DELETING)
    rig.store.commit_gate.set()
    await rig.clock.advance(3.1)
    assert [(row.doc.content, row.deleted) for row in await rig.rows(room.room_id)] == [("", True)]
    assert (await rig.message(room.room_id, message.message_id)).state is MessageState.DELETED


async def test_deleting_twice_is_harmless(rig: Rig) -> None:
    room = await rig.opened()
    message = await rig.say(room)
    await rig.delete_message(room, message.message_id)
    again = await rig.delete_message(room, message.message_id)
    assert again.outcome is DeleteOutcome.ALREADY_DELETED
    assert (await rig.directory.room(room.room_id, rig.ada.account_id)).message_count == 0


async def test_deleting_what_is_not_there_is_not_found(rig: Rig) -> None:
    room = await rig.opened()
    with pytest.raises(MessageNotFound):
        await rig.delete_message(room, rig.mint.message_id(HOME))


async def test_deleting_a_reply_that_is_written_stops_the_model(rig: Rig) -> None:
    room = await rig.opened()
    receipt = await rig.send(room)
    await rig.send(room, "next")
    await settle()
    rig.model.talks[0].say("half a")
    await rig.clock.advance(0.1)
    assert receipt.reply is not None
    deleted = await rig.delete_message(room, receipt.reply.message_id)
    assert (deleted.outcome, deleted.state) == (DeleteOutcome.STOPPED_AND_DELETED, MessageState.DELETED)
    await rig.clock.advance(0.1)
    assert rig.model.talks[0].closed
    await rig.answer(1, "on it goes")
    assert await rig.texts(room.room_id) == [(1, "Hello"), (2, ""), (3, "next"), (4, "on it goes")]
    kinds = [kind for kind, data in await rig.events(room.room_id) if data.get("message_id") or kind.endswith("ed")]
    assert kinds.count("message.deleted") == 1
    assert kinds.count("message.completed") == 1
    assert "message.stopped" not in kinds


async def test_a_deleted_reply_that_was_waiting_is_never_begun(rig: Rig) -> None:
    room = await rig.opened()
    await rig.send(room)
    waiting = await rig.send(room, "next")
    await settle()
    assert waiting.reply is not None
    await rig.delete_message(room, waiting.reply.message_id)
    await rig.answer(0, "only one")
    await rig.clock.advance(1)
    assert len(rig.model.talks) == 1
    assert not room.busy


async def test_tombstones_of_messages_that_were_never_stored_keep_author_and_time(rig: Rig) -> None:
    room = await rig.opened()
    sent = await rig.send(room)
    await settle()
    assert sent.reply is not None
    await rig.clock.advance(60)
    for message in (sent.reply, sent.message):
        await rig.delete_message(room, message.message_id)
    cached = [(m.sender_type, m.timestamp) for m in (await rig.page(room.room_id)).messages]
    assert cached == [(m.sender_type, m.timestamp) for m in (sent.message, sent.reply)]
    await rig.write_all()
    stored = [(row.doc.sender_type, row.doc.timestamp) for row in await rig.rows(room.room_id)]
    assert stored == cached


async def test_a_deleted_room_is_gone_for_every_command(rig: Rig) -> None:
    room = await rig.opened()
    await rig.say(room)
    assert (await rig.delete_room(room)).state is RoomState.DELETING
    successor = rig.room(room.room_id)
    assert (await rig.delete_room(successor)).state is RoomState.DELETING
    for work in (rig.say(rig.room(room.room_id)), rig.rename(rig.room(room.room_id), "x")):
        with pytest.raises(RoomNotFound):
            await work
    with pytest.raises(RoomNotFound):
        await rig.page(room.room_id)
    with pytest.raises(RoomNotFound):
        await rig.delete_room(rig.room(room.room_id), rig.session("eve"))
    await rig.write_all()
    assert await rig.store.room_get(rig.ada.shard_id, room.room_id) is None
    assert (await rig.delete_room(rig.room(room.room_id))).state is RoomState.DELETED


async def test_deleting_a_room_stops_its_reply_and_nothing_comes_back(rig: Rig) -> None:
    room = await rig.opened()
    receipt = await rig.send(room)
    await settle()
    rig.model.talks[0].say("half a")
    await settle()
    await rig.delete_room(room)
    rig.model.talks[0].say(" sentence")
    rig.model.talks[0].finish()
    await rig.clock.advance(1)
    assert rig.model.talks[0].closed
    assert (await rig.kinds(room.room_id))[-1] == "room.deleted"
    await rig.write_all()
    assert await rig.store.room_get(rig.ada.shard_id, room.room_id) is None
    assert receipt.reply is not None
    with pytest.raises(RoomNotFound):
        await rig.message(room.room_id, receipt.reply.message_id)
    assert await rig.reader.overdue_rooms(HOME, 10) == []

"""A room's owner: order, acknowledgement, claims, and what happens when Redis or another owner gets in the way."""

from __future__ import annotations

import asyncio

import pytest

from parlor.commands import DeleteMessage, DeleteRoom, Rename, Send
from parlor.errors import (
    CacheUnavailable,
    IdempotencyMismatch,
    InternalError,
    MessageNotFound,
    Overloaded,
    ParlorError,
    RoomBusy,
    RoomMoved,
    RoomNotFound,
    StoreUnavailable,
)
from parlor.model import DeleteOutcome, FinishReason, OnBusy, ReplyMode
from parlor.room import Room
from parlor.states import MessageState, RoomState
from tests.unit.rig import HOME, Rig, RigMaker, crash, gathered, settle

pytestmark = pytest.mark.unit


async def opened(rig: Rig) -> Room:
    """A room with an owner."""
    return rig.room(await rig.new_room())


# Order and acknowledgement


async def test_a_turn_gets_the_next_two_places(rig: Rig) -> None:
    room = await opened(rig)
    first, second = await rig.send(room, "one"), await rig.send(room, "two")
    assert first.reply is not None
    assert second.reply is not None
    assert [first.message.seq, first.reply.seq, second.message.seq, second.reply.seq] == [1, 2, 3, 4]
    assert first.message.state is MessageState.PENDING
    assert (first.reply.state, first.reply.is_streaming) == (MessageState.COMPOSING, True)
    assert first.reply.parent_message_id == first.message.message_id


async def test_a_message_without_a_reply_takes_one_place(rig: Rig) -> None:
    room = await opened(rig)
    receipt = await rig.send(room, reply=ReplyMode.NONE)
    assert receipt.reply is None
    assert (await rig.say(room)).seq == 2
    await settle()
    assert rig.model.talks == []


async def test_commands_are_served_one_at_a_time_in_the_order_of_arrival(rig: Rig) -> None:
    room = await opened(rig)
    gate = rig.pipeline.gates["append_turn"] = asyncio.Event()
    sends = [rig.spawn(rig.say(room, f"{n}")) for n in range(20)]
    await settle()
    renamed = rig.spawn(rig.rename(room, "after twenty"))
    await settle()
    assert not any(task.done() for task in [*sends, renamed])
    assert "rename_room" not in rig.pipeline.ran
    gate.set()
    assert [(await send).seq for send in sends] == list(range(1, 21))
    await renamed
    assert [script for script in rig.pipeline.ran if script in ("append_turn", "rename_room")] == [
        *["append_turn"] * 20,
        "rename_room",
    ]
    assert await rig.texts(room.room_id) == [(n + 1, f"{n}") for n in range(20)]


async def test_the_sender_hears_of_a_message_only_after_it_is_in_redis(rig: Rig) -> None:
    room = await opened(rig)
    gate = rig.pipeline.gates["append_turn"] = asyncio.Event()
    sending = rig.spawn(rig.send(room))
    await settle()
    assert not sending.done()
    assert await rig.texts(room.room_id) == []
    gate.set()
    receipt = await sending
    assert (await rig.message(room.room_id, receipt.message.message_id)).content == "Hello"
    assert await rig.queued() == 3  # the room, the message, the reply's place


async def test_a_command_is_served_although_its_caller_has_gone(rig: Rig) -> None:
    room = await opened(rig)
    gate = rig.pipeline.gates["append_turn"] = asyncio.Event()
    callers = [rig.spawn(rig.send(room, text)) for text in ("served now", "served later")]
    await settle()
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    gate.set()
    await settle()
    assert await rig.texts(room.room_id) == [(1, "served now"), (2, ""), (3, "served later"), (4, "")]
    assert len(rig.model.talks) == 1


async def test_a_full_mailbox_refuses(new_rig: RigMaker) -> None:
    rig = new_rig(rooms={"mailbox_limit": 3})
    room = await opened(rig)
    rig.pipeline.gates["claim_room"] = asyncio.Event()
    served = rig.spawn(rig.say(room))
    await settle()
    waiting = [rig.spawn(rig.say(room)) for _ in range(3)]
    await settle()
    with pytest.raises(Overloaded) as refused:
        await rig.say(room)
    assert refused.value.retry_after is not None
    rig.pipeline.gates["claim_room"].set()
    assert sorted([(await task).seq for task in [served, *waiting]]) == [1, 2, 3, 4]


async def test_a_fault_in_one_command_is_not_another_ones(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    room = await opened(rig)
    await rig.say(room)
    with monkeypatch.context() as broken:
        broken.setattr(rig.cache, "rename", None)
        with pytest.raises(InternalError):
            await rig.rename(room, "x")
    assert (await rig.say(room)).seq == 2


# Asking again


async def test_asking_again_with_the_same_ids_changes_nothing(rig: Rig) -> None:
    room = await opened(rig)
    command = rig.send_command(room.room_id)
    first = await rig.do_send(room, command)
    again = await rig.do_send(room, command)
    assert (again.message.message_id, again.message.seq) == (first.message.message_id, 1)
    assert again.reply is not None
    assert first.reply is not None
    assert again.reply.message_id == first.reply.message_id
    assert again.cursor == first.cursor
    assert not again.replayed
    assert (await rig.send(room)).message.seq == 3


async def test_a_send_whose_answer_was_lost_is_stored_once_and_answered_once(rig: Rig) -> None:
    room = await opened(rig)
    await rig.say(room)
    rig.pipeline.lose["append_turn"] = 1
    command = rig.send_command(room.room_id, "once")
    with pytest.raises(CacheUnavailable):
        await rig.do_send(room, command)
    receipt = await rig.do_send(room, command)
    assert receipt.reply is not None
    assert (receipt.message.seq, receipt.reply.seq) == (2, 3)
    await answer(rig, 0, "fine")
    assert await rig.texts(room.room_id) == [(1, "Hello"), (2, "once"), (3, "fine")]
    assert len(rig.model.talks) == 1
    assert (await rig.send(room)).message.seq == 4


async def test_a_reply_is_written_although_nobody_asks_again_after_a_lost_answer(rig: Rig) -> None:
    """The message is stored: its reply is owed (P3), and the sweeper's wake is all that comes."""
    room = await opened(rig)
    await rig.say(room)
    rig.pipeline.lose["append_turn"] = 1
    with pytest.raises(CacheUnavailable):
        await rig.send(room, "once")
    await rig.clock.advance(6)
    assert await rig.reader.overdue_rooms(HOME, 10) == [room.room_id]
    await rig.wake(room)
    await answer(rig, 0, "fine")
    assert await rig.texts(room.room_id) == [(1, "Hello"), (2, "once"), (3, "fine")]


async def test_the_next_command_takes_up_a_reply_whose_send_lost_its_answer(rig: Rig) -> None:
    room = await opened(rig)
    rig.pipeline.lose["append_turn"] = 1
    with pytest.raises(CacheUnavailable):
        await rig.send(room, "once")
    await rig.say(room, "next")
    await answer(rig, 0, "fine")
    assert await rig.texts(room.room_id) == [(1, "once"), (2, "fine"), (3, "next")]


async def test_the_same_idempotency_key_gives_the_same_turn(rig: Rig) -> None:
    room = await opened(rig)
    first = await rig.send(room, key="k")
    await answer(rig, 0, "fine")
    again = await rig.send(room, key="k")
    assert again.replayed
    assert again.message.message_id == first.message.message_id
    assert again.reply is not None
    assert again.reply.content == "fine"
    assert again.cursor == first.cursor
    assert (await rig.send(room, key="other")).message.seq == 3
    await settle()
    assert len(rig.model.talks) == 2


async def test_an_idempotency_key_with_another_body_is_refused(rig: Rig) -> None:
    room = await opened(rig)
    await rig.send(room, key="k")
    with pytest.raises(IdempotencyMismatch):
        await rig.send(room, key="k", fingerprint="another")
    assert (await rig.send(room)).message.seq == 3


async def test_a_replay_of_a_running_turn_does_not_begin_it_again(rig: Rig) -> None:
    room = await opened(rig)
    await rig.send(room, key="k")
    await settle()
    rig.model.talks[0].say("so far")
    await settle()
    again = await rig.send(room, key="k")
    assert again.reply is not None
    assert (again.reply.is_streaming, again.reply.content) == (True, "so far")
    await settle()
    assert len(rig.model.talks) == 1


# Whose room it is


async def test_another_accounts_room_is_not_found_by_any_command(rig: Rig) -> None:
    room = await opened(rig)
    receipt = await rig.send(room, "private")
    eve = rig.session("eve")
    attempts: list[Send | Rename | DeleteRoom | DeleteMessage] = [
        rig.send_command(room.room_id, session=eve),
        Rename(eve, room.room_id, "", "mine"),
        DeleteRoom(eve, room.room_id, ""),
        DeleteMessage(eve, room.room_id, "", receipt.message.message_id),
    ]
    for command in attempts:
        with pytest.raises(RoomNotFound):
            await room.execute(command)
    assert (await rig.directory.room(room.room_id, rig.ada.account_id)).title == ""
    assert await rig.texts(room.room_id) == [(1, "private"), (2, "")]


@pytest.mark.parametrize("knock", [1, 3])
async def test_a_stranger_at_the_door_does_not_stop_the_replies(rig: Rig, knock: int) -> None:
    room = await opened(rig)
    await rig.send(room, "one")
    await rig.send(room, "two")
    await settle()
    for _ in range(knock):
        with pytest.raises(RoomNotFound):
            await rig.send(room, session=rig.session("eve"))
    await answer(rig, 0, "first")
    await answer(rig, 1, "second")
    assert await rig.texts(room.room_id) == [(1, "one"), (2, "first"), (3, "two"), (4, "second")]


async def test_a_room_that_never_was_is_not_found_and_not_kept(rig: Rig) -> None:
    await rig.new_room()
    host = rig.host()
    never = rig.mint.room_id(HOME)
    (outcome,) = await host.execute([rig.send_command(never)], activate=True)
    assert ParlorError.from_wire(outcome.error).code == "room-not-found"  # type: ignore[union-attr]
    await rig.clock.advance(1)
    assert host.rooms == []


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
    await answer(rig, 1, "new words")
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
    room = await opened(rig)
    await rig.say(room)
    rig.server.connected = False
    await room.close()
    with pytest.raises(RoomMoved):
        await rig.say(room)


# Redis forgets


async def test_a_room_that_redis_lost_is_loaded_and_goes_on(rig: Rig) -> None:
    room = await opened(rig)
    for n in range(5):
        await rig.say(room, f"{n}")
    await rig.write_all()
    await rig.forget_room(room.room_id)
    assert (await rig.say(room, "5")).seq == 6
    assert await rig.texts(room.room_id) == [(n + 1, f"{n}") for n in range(6)]
    assert (await rig.directory.room(room.room_id, rig.ada.account_id)).state is RoomState.ACTIVE


async def test_seq_goes_on_behind_what_is_still_queued(rig: Rig) -> None:
    room = await opened(rig)
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
    room = await opened(rig)
    await rig.say(room, "before")
    await rig.write_all()
    await rig.redis.flushall()
    assert (await rig.say(room, "after")).seq == 2
    await rig.write_all()
    assert [row.doc.content for row in await rig.rows(room.room_id)] == ["before", "after"]
    assert await rig.texts(room.room_id) == [(1, "before"), (2, "after")]


async def test_the_replies_of_a_room_that_redis_lost_are_written(rig: Rig) -> None:
    room = await opened(rig)
    await rig.send(room, "one")
    await rig.send(room, "two")
    await settle()
    rig.model.talks[0].say("begun")
    await rig.clock.advance(0.1)
    await rig.write_all()
    await rig.forget_room(room.room_id)
    rig.model.talks[0].say(" and cut")
    await rig.clock.advance(1)
    await answer(rig, 1, "first")
    await answer(rig, 2, "second")
    assert await rig.texts(room.room_id) == [(1, "one"), (2, "first"), (3, "two"), (4, "second")]


async def test_a_lost_room_is_loaded_as_soon_as_its_shard_answers(rig: Rig) -> None:
    room = await opened(rig)
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
    await answer(rig, 1, "whole")
    assert await rig.texts(room.room_id) == [(1, "one"), (2, "whole")]


async def test_redis_down_is_said_at_once_and_forgotten_when_it_is_back(rig: Rig) -> None:
    room = await opened(rig)
    await rig.say(room)
    rig.server.connected = False
    with pytest.raises(CacheUnavailable) as down:
        await rig.say(room)
    assert down.value.retry_after is not None
    rig.server.connected = True
    assert (await rig.say(room)).seq == 2


async def test_a_room_that_only_its_shard_knows_waits_for_the_shard(rig: Rig) -> None:
    room = await opened(rig)
    await rig.say(room)
    await rig.write_all()
    await rig.forget_room(room.room_id)
    rig.store.down = True
    with pytest.raises(StoreUnavailable):
        await rig.say(room)
    rig.store.down = False
    assert (await rig.say(room)).seq == 2


# Busy


async def test_a_busy_room_refuses_when_it_is_asked_to(rig: Rig) -> None:
    room = await opened(rig)
    await rig.send(room)
    with pytest.raises(RoomBusy):
        await rig.send(room, on_busy=OnBusy.REJECT)
    await answer(rig, 0, "done")
    assert (await rig.send(room, on_busy=OnBusy.REJECT)).message.seq == 3


# Titles and deletes


async def test_a_new_title_is_seen_at_once_and_stored(rig: Rig) -> None:
    room = await opened(rig)
    assert (await rig.rename(room, "A title")).title == "A title"
    assert (await rig.rename(room, "Another")).title == "Another"
    await rig.write_all()
    row = await rig.store.room_get(rig.ada.shard_id, room.room_id)
    assert row is not None
    assert row.title == "Another"


async def test_deleting_a_message_that_is_queued_cancels_it(rig: Rig) -> None:
    room = await opened(rig)
    message = await rig.say(room, "secret")
    receipt = await rig.delete_message(room, message.message_id)
    assert (receipt.outcome, receipt.state) == (DeleteOutcome.CANCELLED, MessageState.DELETED)
    await rig.write_all()
    assert [(row.doc.content, row.deleted) for row in await rig.rows(room.room_id)] == [("", True)]


async def test_deleting_a_message_that_is_stored_goes_through_its_shard(rig: Rig) -> None:
    room = await opened(rig)
    message = await rig.say(room, "secret")
    await rig.write_all()
    receipt = await rig.delete_message(room, message.message_id)
    assert (receipt.outcome, receipt.state) == (DeleteOutcome.DELETING, MessageState.DELETING)
    assert (await rig.message(room.room_id, message.message_id)).content == ""
    await rig.write_all()
    assert (await rig.message(room.room_id, message.message_id)).state is MessageState.DELETED
    assert [(row.doc.content, row.deleted) for row in await rig.rows(room.room_id)] == [("", True)]


async def test_deleting_a_message_that_a_writer_has_taken_buries_it(rig: Rig) -> None:
    room = await opened(rig)
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
    room = await opened(rig)
    message = await rig.say(room)
    await rig.delete_message(room, message.message_id)
    again = await rig.delete_message(room, message.message_id)
    assert again.outcome is DeleteOutcome.ALREADY_DELETED
    assert (await rig.directory.room(room.room_id, rig.ada.account_id)).message_count == 0


async def test_deleting_what_is_not_there_is_not_found(rig: Rig) -> None:
    room = await opened(rig)
    with pytest.raises(MessageNotFound):
        await rig.delete_message(room, rig.mint.message_id(HOME))


async def test_deleting_a_reply_that_is_written_stops_the_model(rig: Rig) -> None:
    room = await opened(rig)
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
    await answer(rig, 1, "on it goes")
    assert await rig.texts(room.room_id) == [(1, "Hello"), (2, ""), (3, "next"), (4, "on it goes")]
    kinds = [kind for kind, data in await rig.events(room.room_id) if data.get("message_id") or kind.endswith("ed")]
    assert kinds.count("message.deleted") == 1
    assert kinds.count("message.completed") == 1
    assert "message.stopped" not in kinds


async def test_a_deleted_reply_that_was_waiting_is_never_begun(rig: Rig) -> None:
    room = await opened(rig)
    await rig.send(room)
    waiting = await rig.send(room, "next")
    await settle()
    assert waiting.reply is not None
    await rig.delete_message(room, waiting.reply.message_id)
    await answer(rig, 0, "only one")
    await rig.clock.advance(1)
    assert len(rig.model.talks) == 1
    assert not room.busy


async def test_a_deleted_room_is_gone_for_every_command(rig: Rig) -> None:
    room = await opened(rig)
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
    room = await opened(rig)
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
    await answer(rig, 1, "whole")
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
    await answer(rig, 1, "again")
    await answer(rig, 2, "first time")
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
    await answer(rig, 1, "in the end")
    assert (await rig.texts(room_id))[1] == (2, "in the end")


async def answer(rig: Rig, talk: int, text: str) -> None:
    """The model's answer number ``talk`` is this text."""
    await settle()
    rig.model.talks[talk].say(text)
    rig.model.talks[talk].finish()
    await rig.clock.advance(0.1)


async def claim_of(rig: Rig, room: Room) -> object:
    return await rig.redis.hget(rig.live.keys.room(HOME, room.room_id), "claim")

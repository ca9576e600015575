"""Poison: one operation is set aside, everything behind it flows on in order, and an operator has two ways out."""

from __future__ import annotations

import pytest

from parlor.cache.audit import AuditCache
from parlor.cache.letters import DeadLetter, LetterCache
from parlor.cache.states import StateCache
from parlor.dead_letters import DeadLetters, NotDropped
from parlor.errors import RoomNotFound
from parlor.model import Durability, ReplyMode
from parlor.room import Room
from parlor.states import MessageState
from parlor.store.ports import Batch
from tests.unit.rig import HOME, SHARD, Rig, crash, settle
from tests.unit.test_fsck import check, kinds

pytestmark = pytest.mark.unit

POISON = "poison"


def poisoned(batch: Batch) -> bool:
    return any(save.doc.content == POISON for save in batch.message_saves)


def dead_letters(rig: Rig) -> DeadLetters:
    audit = AuditCache(rig.live, rig.settings.redis.prefix)
    places = StateCache(rig.live)
    return DeadLetters(LetterCache(rig.live), audit, rig.cache, rig.states, places, rig.loader, rig.store)


async def only_letter(rig: Rig) -> DeadLetter:
    (letter,) = await dead_letters(rig).all()
    return letter


async def spoiled(rig: Rig) -> Room:
    """A room whose second of three messages the shard refuses."""
    room = await rig.opened()
    rig.store.poison = poisoned
    for content in ("before", POISON, "behind"):
        await rig.say(room, content)
    await rig.write_all()
    return room


async def stored(rig: Rig, room: Room) -> list[tuple[int, str, bool]]:
    return [(row.seq, row.doc.content, row.deleted) for row in await rig.rows(room.room_id)]


async def test_what_is_behind_a_parked_message_is_stored_in_its_place(rig: Rig) -> None:
    room = await spoiled(rig)
    await rig.say(room, "later")
    await rig.write_all()
    assert await stored(rig, room) == [(1, "before", False), (3, "behind", False), (4, "later", False)]
    page = await rig.page(room.room_id)
    assert [message.content for message in page.messages] == ["before", POISON, "behind", "later"]
    assert [message.durability for message in page.messages] == [
        Durability.PERSISTED,
        Durability.CACHED,
        Durability.PERSISTED,
        Durability.PERSISTED,
    ]
    assert page.persisted_seq == 1
    assert rig.metrics.parked_count == 1


async def test_a_letter_is_found_by_its_id(rig: Rig) -> None:
    room = await spoiled(rig)
    letter = await only_letter(rig)
    assert await dead_letters(rig).find(letter.letter_id) == letter
    assert (letter.entry.address.room_id, letter.entry.seq) == (room.room_id, 2)
    assert POISON not in letter.letter_id
    for unknown in ("", "x", "0:1-1", f"1:{letter.place}", letter.place):
        assert await dead_letters(rig).find(unknown) is None


async def test_a_replayed_message_is_stored_when_the_shard_takes_it(rig: Rig) -> None:
    room = await spoiled(rig)
    rig.store.poison = lambda _: False
    assert await dead_letters(rig).replay(await only_letter(rig))
    await rig.write_all()
    assert [content for _, content, _ in await stored(rig, room)] == ["before", POISON, "behind"]
    page = await rig.page(room.room_id)
    assert page.persisted_seq == 3
    assert {message.state for message in page.messages} == {MessageState.SENT}
    row = await rig.store.room_get(SHARD, room.room_id)
    assert row is not None
    assert (row.message_count, row.last_seq) == (3, 3)
    (use,) = await rig.store.daily_use(SHARD, rig.ada.account_db_key, "2000-01-01", "2100-01-01")
    assert use.messages == 3
    assert await dead_letters(rig).all() == []
    assert kinds(await check(rig)) == []


async def test_a_replayed_message_that_is_refused_again_is_parked_again(rig: Rig) -> None:
    room = await spoiled(rig)
    await dead_letters(rig).replay(await only_letter(rig))
    await rig.write_all()
    assert (await only_letter(rig)).entry.seq == 2
    assert (await rig.page(room.room_id)).persisted_seq == 1
    assert kinds(await check(rig)) == []


async def test_a_replay_does_not_bring_back_what_was_deleted_meanwhile(rig: Rig) -> None:
    room = await spoiled(rig)
    letter = await only_letter(rig)
    assert letter.entry.message_id is not None
    await rig.delete_message(room, letter.entry.message_id)
    await rig.write_all()
    rig.store.poison = lambda _: False
    await dead_letters(rig).replay(letter)
    await rig.write_all()
    assert await stored(rig, room) == [(1, "before", False), (2, "", True), (3, "behind", False)]
    assert kinds(await check(rig)) == []


async def test_a_dropped_message_becomes_a_tombstone(rig: Rig) -> None:
    room = await spoiled(rig)
    dropped = await dead_letters(rig).drop(await only_letter(rig))
    assert dropped.effect == "its message is deleted"
    assert await dead_letters(rig).all() == []
    assert "message.deleted" in await rig.kinds(room.room_id)
    await rig.write_all()
    assert await stored(rig, room) == [(1, "before", False), (2, "", True), (3, "behind", False)]
    page = await rig.page(room.room_id)
    assert [message.content for message in page.messages] == ["before", "", "behind"]
    assert page.persisted_seq == 3
    row = await rig.store.room_get(SHARD, room.room_id)
    assert row is not None
    assert row.message_count == 2
    assert kinds(await check(rig)) == []


async def test_a_drop_that_broke_off_is_done_again(rig: Rig) -> None:
    await spoiled(rig)
    letters, letter = dead_letters(rig), await only_letter(rig)
    await letters._let_go(letter)
    assert await only_letter(rig) == letter
    assert (await letters.drop(letter)).effect == "its message was deleted before"
    await rig.write_all()
    assert kinds(await check(rig)) == []


async def test_a_dropped_reply_becomes_a_tombstone(rig: Rig) -> None:
    room = await rig.opened()
    rig.store.poison = poisoned
    await rig.send(room, "Question")
    await rig.answer(0, POISON)
    await rig.write_all()
    letter = await only_letter(rig)
    assert (letter.entry.seq, letter.entry.final) == (2, True)
    await dead_letters(rig).drop(letter)
    await rig.write_all()
    assert await stored(rig, room) == [(1, "Question", False), (2, "", True)]
    assert kinds(await check(rig)) == []


async def test_a_parked_place_of_a_reply_is_only_forgotten(rig: Rig) -> None:
    room = await rig.opened()
    rig.store.poison = lambda batch: any(not save.doc.content for save in batch.message_saves)
    await rig.send(room, "Question")
    await settle()
    await rig.write_all()
    dropped = await dead_letters(rig).drop(await only_letter(rig))
    assert "reply's end" in dropped.effect
    await rig.answer(0, "Answer")
    await rig.write_all()
    assert await stored(rig, room) == [(1, "Question", False), (2, "Answer", False)]
    assert kinds(await check(rig)) == []


async def test_a_room_whose_create_is_parked_is_there_after_a_replay(rig: Rig) -> None:
    rig.store.poison = lambda batch: bool(batch.room_creates)
    room = await rig.opened()
    await rig.say(room, "one")
    await rig.send(room, "two", reply=ReplyMode.NONE)
    await rig.write_all()
    assert await rig.store.room_get(SHARD, room.room_id) is None
    assert [content for _, content, _ in await stored(rig, room)] == ["one", "two"]
    rig.store.poison = lambda _: False
    await dead_letters(rig).replay(await only_letter(rig))
    await rig.write_all()
    row = await rig.store.room_get(SHARD, room.room_id)
    assert row is not None
    assert (row.message_count, row.last_seq) == (2, 2)
    assert row.last_message_at is not None
    assert kinds(await check(rig)) == []


async def test_a_room_whose_create_is_dropped_is_deleted(rig: Rig) -> None:
    rig.store.poison = lambda batch: bool(batch.room_creates)
    room = await rig.opened()
    await rig.say(room)
    await rig.write_all()
    await dead_letters(rig).drop(await only_letter(rig))
    with pytest.raises(RoomNotFound):
        await rig.page(room.room_id)
    await rig.write_all()
    assert await rig.rows(room.room_id) == []
    assert kinds(await check(rig)) == []


async def test_a_dropped_title_goes_back_to_the_stored_one(rig: Rig) -> None:
    room = rig.room(await rig.new_room(title="Stored"))
    await rig.write_all()
    rig.store.poison = lambda batch: any(update.title == POISON for update in batch.room_updates)
    await rig.rename(room, POISON)
    await rig.write_all()
    await dead_letters(rig).drop(await only_letter(rig))
    assert (await rig.directory.room(room.room_id, rig.ada.account_id)).title == "Stored"
    await rig.write_all()
    assert kinds(await check(rig)) == []


async def test_a_dropped_title_leaves_a_later_one(rig: Rig) -> None:
    room = rig.room(await rig.new_room(title="Stored"))
    await rig.write_all()
    rig.store.poison = lambda batch: any(update.title == POISON for update in batch.room_updates)
    await rig.rename(room, POISON)
    await rig.write_all()
    await rig.rename(room, "Later")
    await rig.write_all()
    await dead_letters(rig).drop(await only_letter(rig))
    row = await rig.store.room_get(SHARD, room.room_id)
    assert row is not None
    assert row.title == "Later"
    assert kinds(await check(rig)) == []


async def test_a_parked_delete_is_not_dropped(rig: Rig) -> None:
    room = await rig.opened()
    message = await rig.say(room, "secret")
    await rig.write_all()
    rig.store.poison = lambda batch: bool(batch.message_deletes)
    await rig.delete_message(room, message.message_id)
    await rig.write_all()
    letter = await only_letter(rig)
    with pytest.raises(NotDropped):
        await dead_letters(rig).drop(letter)
    assert await only_letter(rig) == letter
    rig.store.poison = lambda _: False
    await dead_letters(rig).replay(letter)
    await rig.write_all()
    assert await stored(rig, room) == [(1, "", True)]
    assert kinds(await check(rig)) == []


async def test_a_dropped_message_of_a_room_that_redis_lost_becomes_a_tombstone(rig: Rig) -> None:
    room = await spoiled(rig)
    letter = await only_letter(rig)
    await crash(room)
    await rig.forget_room(room.room_id)
    dropped = await dead_letters(rig).drop(letter)
    assert dropped.effect == "its message is deleted"
    assert await dead_letters(rig).all() == []
    await rig.write_all()
    assert await stored(rig, room) == [(1, "before", False), (2, "", True), (3, "behind", False)]
    assert kinds(await check(rig)) == []


async def test_letters_of_every_partition_are_listed_oldest_first(rig: Rig) -> None:
    await spoiled(rig)
    await rig.clock.advance(1)
    bob = rig.session("bob")
    other = rig.room(await rig.new_room(bob))
    await rig.send(other, POISON, session=bob, reply=ReplyMode.NONE)
    await rig.write_all(HOME)
    letters = await dead_letters(rig).all()
    assert [letter.entry.address.account_id for letter in letters] == ["ada", "bob"]

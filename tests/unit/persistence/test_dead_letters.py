"""Poison: one operation is set aside, everything behind it flows on in order, and an operator has two ways out."""

from __future__ import annotations

import pytest

from parlor.cache.audit import AuditCache
from parlor.cache.dead_letters import DeadLetter, DeadLetterCache
from parlor.cache.operators import OperatorCache
from parlor.errors import RoomNotFound
from parlor.model.messages import Durability
from parlor.model.requests import ReplyMode
from parlor.model.states import MessageState
from parlor.persistence.dead_letters import DeadLetters, NotDropped
from parlor.rooms.room import Room
from parlor.store.ports import Batch
from tests.unit.account_use import used_by_day
from tests.unit.domain import HOME, SHARD, Domain, crash, settle
from tests.unit.fsck.chat import check, kinds

pytestmark = pytest.mark.unit

POISON = "poison"


def poisoned(batch: Batch) -> bool:
    return any(save.doc.content == POISON for save in batch.message_saves)


def dead_letters(domain: Domain) -> DeadLetters:
    audit = AuditCache(domain.live, domain.settings.redis.prefix)
    return DeadLetters(
        DeadLetterCache(domain.live), audit, OperatorCache(domain.live), domain.states, domain.loader, domain.store
    )


async def only_dead_letter(domain: Domain) -> DeadLetter:
    (dead_letter,) = await dead_letters(domain).all()
    return dead_letter


async def spoiled(domain: Domain) -> Room:
    """A room whose second of three messages the shard refuses."""
    room = await domain.opened()
    domain.store.poison = poisoned
    for content in ("before", POISON, "behind"):
        await domain.say(room, content)
    await domain.write_all()
    return room


async def stored(domain: Domain, room: Room) -> list[tuple[int, str, bool]]:
    return [(row.seq, row.doc.content, row.deleted) for row in await domain.rows(room.room_id)]


async def test_what_is_behind_a_parked_message_is_stored_in_its_place(domain: Domain) -> None:
    room = await spoiled(domain)
    await domain.say(room, "later")
    await domain.write_all()
    assert await stored(domain, room) == [(1, "before", False), (3, "behind", False), (4, "later", False)]
    page = await domain.page(room.room_id)
    assert [message.content for message in page.messages] == ["before", POISON, "behind", "later"]
    assert [message.durability for message in page.messages] == [
        Durability.PERSISTED,
        Durability.CACHED,
        Durability.PERSISTED,
        Durability.PERSISTED,
    ]
    assert page.persisted_seq == 1
    assert domain.metrics.parked_count == 1


async def test_a_dead_letter_is_found_by_its_id(domain: Domain) -> None:
    room = await spoiled(domain)
    dead_letter = await only_dead_letter(domain)
    assert await dead_letters(domain).find(dead_letter.id) == dead_letter
    assert (dead_letter.entry.address.room_id, dead_letter.entry.seq) == (room.room_id, 2)
    assert POISON not in dead_letter.id
    for unknown in ("", "x", "0:1-1", f"1:{dead_letter.stream_id}", dead_letter.stream_id):
        assert await dead_letters(domain).find(unknown) is None


async def test_a_replayed_message_is_stored_when_the_shard_takes_it(domain: Domain) -> None:
    room = await spoiled(domain)
    domain.store.poison = lambda _: False
    assert await dead_letters(domain).replay(await only_dead_letter(domain))
    await domain.write_all()
    assert [content for _, content, _ in await stored(domain, room)] == ["before", POISON, "behind"]
    page = await domain.page(room.room_id)
    assert page.persisted_seq == 3
    assert {message.state for message in page.messages} == {MessageState.SENT}
    row = await domain.store.room_get(SHARD, room.room_id)
    assert row is not None
    assert (row.message_count, row.last_seq) == (3, 3)
    (use,) = await used_by_day(domain)
    assert use.messages == 3
    assert await dead_letters(domain).all() == []
    assert kinds(await check(domain)) == []


async def test_a_replayed_message_that_is_refused_again_is_parked_again(domain: Domain) -> None:
    room = await spoiled(domain)
    await dead_letters(domain).replay(await only_dead_letter(domain))
    await domain.write_all()
    assert (await only_dead_letter(domain)).entry.seq == 2
    assert (await domain.page(room.room_id)).persisted_seq == 1
    assert kinds(await check(domain)) == []


async def test_a_replay_does_not_bring_back_what_was_deleted_meanwhile(domain: Domain) -> None:
    room = await spoiled(domain)
    dead_letter = await only_dead_letter(domain)
    assert dead_letter.entry.message_id is not None
    await domain.delete_message(room, dead_letter.entry.message_id)
    await domain.write_all()
    domain.store.poison = lambda _: False
    await dead_letters(domain).replay(dead_letter)
    await domain.write_all()
    assert await stored(domain, room) == [(1, "before", False), (2, "", True), (3, "behind", False)]
    assert kinds(await check(domain)) == []


async def test_a_dropped_message_becomes_a_tombstone(domain: Domain) -> None:
    room = await spoiled(domain)
    dropped = await dead_letters(domain).drop(await only_dead_letter(domain))
    assert dropped.effect == "its message is deleted"
    assert await dead_letters(domain).all() == []
    assert "message.deleted" in await domain.kinds(room.room_id)
    await domain.write_all()
    assert await stored(domain, room) == [(1, "before", False), (2, "", True), (3, "behind", False)]
    page = await domain.page(room.room_id)
    assert [message.content for message in page.messages] == ["before", "", "behind"]
    assert page.persisted_seq == 3
    row = await domain.store.room_get(SHARD, room.room_id)
    assert row is not None
    assert row.message_count == 2
    assert kinds(await check(domain)) == []


async def test_a_drop_that_broke_off_is_done_again(domain: Domain) -> None:
    await spoiled(domain)
    work, dead_letter = dead_letters(domain), await only_dead_letter(domain)
    await work._let_go(dead_letter)
    assert await only_dead_letter(domain) == dead_letter
    assert (await work.drop(dead_letter)).effect == "its message was deleted before"
    await domain.write_all()
    assert kinds(await check(domain)) == []


async def test_a_dropped_reply_becomes_a_tombstone(domain: Domain) -> None:
    room = await domain.opened()
    domain.store.poison = poisoned
    await domain.send(room, "Question")
    await domain.answer(0, POISON)
    await domain.write_all()
    dead_letter = await only_dead_letter(domain)
    assert (dead_letter.entry.seq, dead_letter.entry.final) == (2, True)
    await dead_letters(domain).drop(dead_letter)
    await domain.write_all()
    assert await stored(domain, room) == [(1, "Question", False), (2, "", True)]
    assert kinds(await check(domain)) == []


async def test_a_parked_save_that_reserves_a_reply_is_only_dropped(domain: Domain) -> None:
    room = await domain.opened()
    domain.store.poison = lambda batch: any(not save.doc.content for save in batch.message_saves)
    await domain.send(room, "Question")
    await settle()
    await domain.write_all()
    dropped = await dead_letters(domain).drop(await only_dead_letter(domain))
    assert "reply's end" in dropped.effect
    await domain.answer(0, "Answer")
    await domain.write_all()
    assert await stored(domain, room) == [(1, "Question", False), (2, "Answer", False)]
    assert kinds(await check(domain)) == []


async def test_a_room_whose_create_is_parked_is_there_after_a_replay(domain: Domain) -> None:
    domain.store.poison = lambda batch: bool(batch.room_creates)
    room = await domain.opened()
    await domain.say(room, "one")
    await domain.send(room, "two", reply=ReplyMode.NONE)
    await domain.write_all()
    assert await domain.store.room_get(SHARD, room.room_id) is None
    assert [content for _, content, _ in await stored(domain, room)] == ["one", "two"]
    domain.store.poison = lambda _: False
    await dead_letters(domain).replay(await only_dead_letter(domain))
    await domain.write_all()
    row = await domain.store.room_get(SHARD, room.room_id)
    assert row is not None
    assert (row.message_count, row.last_seq) == (2, 2)
    assert row.last_message_at is not None
    assert kinds(await check(domain)) == []


async def test_a_room_whose_create_is_dropped_is_deleted(domain: Domain) -> None:
    domain.store.poison = lambda batch: bool(batch.room_creates)
    room = await domain.opened()
    await domain.say(room)
    await domain.write_all()
    await dead_letters(domain).drop(await only_dead_letter(domain))
    with pytest.raises(RoomNotFound):
        await domain.page(room.room_id)
    await domain.write_all()
    assert await domain.rows(room.room_id) == []
    assert kinds(await check(domain)) == []


async def test_a_dropped_title_goes_back_to_the_stored_one(domain: Domain) -> None:
    room = domain.room(await domain.new_room(title="Stored"))
    await domain.write_all()
    domain.store.poison = lambda batch: any(update.title == POISON for update in batch.room_updates)
    await domain.rename(room, POISON)
    await domain.write_all()
    await dead_letters(domain).drop(await only_dead_letter(domain))
    assert (await domain.directory.room(room.room_id, domain.ada.account_id)).title == "Stored"
    await domain.write_all()
    assert kinds(await check(domain)) == []


async def test_a_dropped_title_leaves_a_later_one(domain: Domain) -> None:
    room = domain.room(await domain.new_room(title="Stored"))
    await domain.write_all()
    domain.store.poison = lambda batch: any(update.title == POISON for update in batch.room_updates)
    await domain.rename(room, POISON)
    await domain.write_all()
    await domain.rename(room, "Later")
    await domain.write_all()
    await dead_letters(domain).drop(await only_dead_letter(domain))
    row = await domain.store.room_get(SHARD, room.room_id)
    assert row is not None
    assert row.title == "Later"
    assert kinds(await check(domain)) == []


async def test_a_parked_delete_is_not_dropped(domain: Domain) -> None:
    room = await domain.opened()
    message = await domain.say(room, "secret")
    await domain.write_all()
    domain.store.poison = lambda batch: bool(batch.message_deletes)
    await domain.delete_message(room, message.message_id)
    await domain.write_all()
    dead_letter = await only_dead_letter(domain)
    with pytest.raises(NotDropped):
        await dead_letters(domain).drop(dead_letter)
    assert await only_dead_letter(domain) == dead_letter
    domain.store.poison = lambda _: False
    await dead_letters(domain).replay(dead_letter)
    await domain.write_all()
    assert await stored(domain, room) == [(1, "", True)]
    assert kinds(await check(domain)) == []


async def test_a_dropped_message_of_a_room_that_redis_lost_becomes_a_tombstone(domain: Domain) -> None:
    room = await spoiled(domain)
    dead_letter = await only_dead_letter(domain)
    await crash(room)
    await domain.forget_room(room.room_id)
    dropped = await dead_letters(domain).drop(dead_letter)
    assert dropped.effect == "its message is deleted"
    assert await dead_letters(domain).all() == []
    await domain.write_all()
    assert await stored(domain, room) == [(1, "before", False), (2, "", True), (3, "behind", False)]
    assert kinds(await check(domain)) == []


async def test_dead_letters_of_every_partition_are_listed_oldest_first(domain: Domain) -> None:
    await spoiled(domain)
    await domain.clock.advance(1)
    bob = domain.session("bob")
    other = domain.room(await domain.new_room(bob))
    await domain.send(other, POISON, session=bob, reply=ReplyMode.NONE)
    await domain.write_all(HOME)
    found = await dead_letters(domain).all()
    assert [one.entry.address.account_id for one in found] == ["ada", "bob"]

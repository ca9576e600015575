"""Rooms: listed in order, isolated by account, deleted for good."""

from __future__ import annotations

import msgspec
import pytest

from parlor.model.ids import RoomId
from parlor.model.rooms import RoomsBefore
from parlor.store.ports import Batch, RoomTouch, RoomUpdate, RowRefused
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract


async def listed(fixtures: StoreFixtures, limit: int = 1000) -> list[RoomId]:
    return [row.room_id for row in await fixtures.store.rooms_get(SHARD, fixtures.key, limit=limit)]


async def test_a_room_comes_back_as_it_was_created(fixtures: StoreFixtures) -> None:
    room_id = fixtures.room_id()
    create = fixtures.create(room_id, title="  Zimmer 😀 שלום  ", created_at=1234)
    await fixtures.write(creates=[create])
    room = await fixtures.room(room_id)
    assert room is not None
    assert (room.title, room.ai_persona, room.created_at, room.version) == (create.title, "GPT4O", 1234, 1)
    assert (room.account_id, room.account_db_key) == (fixtures.account, fixtures.key)
    assert (room.last_message_at, room.message_count, room.last_seq) == (None, 0, 0)


async def test_creating_a_room_again_changes_nothing(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    before = await fixtures.room(room_id)
    await fixtures.write(creates=[fixtures.create(room_id, title="Other", created_at=9)])
    assert await fixtures.room(room_id) == before


async def test_two_hundred_rooms_are_paged_without_gap_or_repeat(fixtures: StoreFixtures) -> None:
    rooms = [fixtures.create(fixtures.room_id(), created_at=1000 + number // 7) for number in range(200)]
    await fixtures.write(creates=rooms)
    touched = [RoomTouch(room.room_id, 1, 1, 1000 + number) for number, room in enumerate(rooms[::5])]
    await fixtures.write(touches=touched)
    activity = {room.room_id: room.created_at for room in rooms}
    activity |= {touch.room_id: touch.last_message_at or 0 for touch in touched}
    expected = sorted(activity, key=lambda room_id: (activity[room_id], room_id), reverse=True)
    seen: list[RoomId] = []
    before: RoomsBefore | None = None
    while page := await fixtures.store.rooms_get(SHARD, fixtures.key, limit=7, before=before):
        seen += [row.room_id for row in page]
        before = RoomsBefore(activity[page[-1].room_id], page[-1].room_id)
    assert seen == expected
    assert await fixtures.store.rooms_count(SHARD, fixtures.key) == 200


async def test_rooms_of_other_accounts_are_not_listed_or_counted(fixtures: StoreFixtures) -> None:
    mine = await fixtures.room_with()
    fixtures.key += 5000
    theirs = await fixtures.room_with()
    assert await listed(fixtures) == [theirs]
    fixtures.key -= 5000
    assert await listed(fixtures) == [mine]
    assert await fixtures.store.rooms_count(SHARD, fixtures.key) == 1
    assert await fixtures.store.rooms_count(SHARD, 999_999_999) == 0


async def test_a_touch_sets_activity_count_and_seq(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    await fixtures.write(touches=[RoomTouch(room_id, 4, 3, 7777)])
    room = await fixtures.room(room_id)
    assert room is not None
    assert (room.last_seq, room.message_count, room.last_message_at) == (4, 3, 7777)
    await fixtures.write(touches=[RoomTouch(room_id, 4, 2, None)])
    room = await fixtures.room(room_id)
    assert room is not None
    assert (room.last_seq, room.message_count, room.last_message_at) == (4, 2, None)


async def test_an_older_touch_changes_nothing(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    await fixtures.write(touches=[RoomTouch(room_id, 4, 3, 7777)])
    await fixtures.write(touches=[RoomTouch(room_id, 3, 9, 9999)])
    room = await fixtures.room(room_id)
    assert room is not None
    assert (room.last_seq, room.message_count, room.last_message_at) == (4, 3, 7777)


async def test_the_latest_touch_of_a_batch_wins(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    touches = [RoomTouch(room_id, 1, 1, 1), RoomTouch(room_id, 3, 3, 3), RoomTouch(room_id, 2, 2, 2)]
    await fixtures.write(touches=touches)
    room = await fixtures.room(room_id)
    assert room is not None
    assert room.last_seq == 3


async def test_a_rename_needs_a_higher_version(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    for title, version in (("two", 2), ("one", 1), ("two again", 2)):
        await fixtures.apply(Batch([fixtures.fence()], room_updates=[RoomUpdate(room_id, title, version)]))
    room = await fixtures.room(room_id)
    assert room is not None
    assert (room.title, room.version) == ("two", 2)
    updates = [RoomUpdate(room_id, "four", 4), RoomUpdate(room_id, "three", 3)]
    await fixtures.apply(Batch([fixtures.fence()], room_updates=updates))
    room = await fixtures.room(room_id)
    assert room is not None
    assert room.title == "four"


async def test_a_persona_is_kept_by_an_update_that_does_not_know_of_it(fixtures: StoreFixtures) -> None:
    """An older program queued it."""
    room_id = await fixtures.room_with()
    for update, persona in (
        (RoomUpdate(room_id, "two", 2, "BRIEF"), "BRIEF"),
        (RoomUpdate(room_id, "three", 3), "BRIEF"),
        (RoomUpdate(room_id, "late", 2, "PIRATE"), "BRIEF"),
    ):
        await fixtures.apply(Batch([fixtures.fence()], room_updates=[update]))
        room = await fixtures.room(room_id)
        assert room is not None
        assert room.ai_persona == persona
    updates = [RoomUpdate(room_id, "four", 4, "PIRATE"), RoomUpdate(room_id, "five", 5)]
    await fixtures.apply(Batch([fixtures.fence()], room_updates=updates))
    room = await fixtures.room(room_id)
    assert room is not None
    assert (room.title, room.ai_persona, room.version) == ("five", "PIRATE", 5)


async def test_metadata_has_the_version_of_the_title(fixtures: StoreFixtures) -> None:
    """An older update does not undo a newer one, and one that does not know of it leaves it."""
    room_id = await fixtures.room_with()
    for update, kept in (
        (RoomUpdate(room_id, "two", 2, None, '{"a":"\\u00e9 🫖"}'), '{"a":"\\u00e9 🫖"}'),
        (RoomUpdate(room_id, "three", 3), '{"a":"\\u00e9 🫖"}'),
        (RoomUpdate(room_id, "late", 2, None, '{"late":""}'), '{"a":"\\u00e9 🫖"}'),
        (RoomUpdate(room_id, "four", 4, None, "{}"), "{}"),
    ):
        await fixtures.apply(Batch([fixtures.fence()], room_updates=[update]))
        room = await fixtures.room(room_id)
        assert room is not None
        assert room.metadata == kept
    updates = [RoomUpdate(room_id, "five", 5, "PIRATE", '{"b":"2"}'), RoomUpdate(room_id, "six", 6)]
    await fixtures.apply(Batch([fixtures.fence()], room_updates=updates))
    room = await fixtures.room(room_id)
    assert room is not None
    assert (room.title, room.ai_persona, room.metadata) == ("six", "PIRATE", '{"b":"2"}')


async def test_a_room_is_created_with_its_metadata_or_without(fixtures: StoreFixtures) -> None:
    for metadata in (None, "{}", '{"a":"1"}', "{" + " " * 60_000 + "}"):
        room_id = fixtures.room_id()
        await fixtures.write(creates=[msgspec.structs.replace(fixtures.create(room_id), metadata=metadata)])
        room = await fixtures.room(room_id)
        assert room is not None
        assert room.metadata == metadata


async def test_a_deleted_room_is_gone_with_its_messages(fixtures: StoreFixtures) -> None:
    doc = fixtures.doc()
    room_id, other = await fixtures.room_with(doc), await fixtures.room_with(fixtures.doc())
    await fixtures.write(room_deletes=[fixtures.delete_room(room_id)])
    assert await fixtures.room(room_id) is None
    assert await fixtures.messages(room_id) == []
    assert await fixtures.store.messages_get(SHARD, room_id, limit=5, newest=True) == []
    assert await fixtures.store.message_find(SHARD, room_id, doc.message_id) is None
    assert await listed(fixtures) == [other]
    assert await fixtures.store.rooms_count(SHARD, fixtures.key) == 1
    assert len(await fixtures.messages(other)) == 1


async def test_nothing_brings_a_deleted_room_back(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with()
    await fixtures.write(room_deletes=[fixtures.delete_room(room_id)])
    batch = Batch(
        [fixtures.fence()],
        room_creates=[fixtures.create(room_id)],
        room_touches=[RoomTouch(room_id, 9, 9, 9)],
        room_updates=[RoomUpdate(room_id, "back", 99)],
        room_deletes=[fixtures.delete_room(room_id, deleted_at=9999)],
    )
    await fixtures.apply(batch)
    assert await fixtures.room(room_id) is None
    assert await listed(fixtures) == []


async def test_a_room_deleted_before_it_was_stored_stays_deleted(fixtures: StoreFixtures) -> None:
    room_id = fixtures.room_id()
    await fixtures.write(room_deletes=[fixtures.delete_room(room_id)])
    await fixtures.write(creates=[fixtures.create(room_id)])
    assert await fixtures.room(room_id) is None
    assert await listed(fixtures) == []


async def test_a_persona_that_is_too_long_is_refused(fixtures: StoreFixtures) -> None:
    room = msgspec.structs.replace(fixtures.create(fixtures.room_id()), ai_persona="x" * 256)
    with pytest.raises(RowRefused):
        await fixtures.write(creates=[room])

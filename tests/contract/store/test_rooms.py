"""Rooms: listed in order, isolated by account, deleted for good."""

from __future__ import annotations

import msgspec
import pytest

from parlor.ids import RoomId
from parlor.model import DailyUse
from parlor.store.ports import Batch, RoomsBefore, RoomTouch, RoomUpdate, RowRefused
from tests.contract.store.world import SHARD, World

pytestmark = pytest.mark.contract


async def listed(world: World, limit: int = 1000) -> list[RoomId]:
    return [row.room_id for row in await world.store.rooms_get(SHARD, world.key, limit=limit)]


async def test_a_room_comes_back_as_it_was_created(world: World) -> None:
    room_id = world.room_id()
    create = world.create(room_id, title="  Zimmer 😀 שלום  ", created_at=1234)
    await world.write(creates=[create])
    room = await world.room(room_id)
    assert room is not None
    assert (room.title, room.ai_persona, room.created_at, room.version) == (create.title, "GPT4O", 1234, 1)
    assert (room.account_id, room.account_db_key) == (world.account, world.key)
    assert (room.last_message_at, room.message_count, room.last_seq) == (None, 0, 0)


async def test_creating_a_room_again_changes_nothing(world: World) -> None:
    room_id = await world.room_with()
    before = await world.room(room_id)
    await world.write(creates=[world.create(room_id, title="Other", created_at=9)])
    assert await world.room(room_id) == before


async def test_two_hundred_rooms_are_paged_without_gap_or_repeat(world: World) -> None:
    rooms = [world.create(world.room_id(), created_at=1000 + number // 7) for number in range(200)]
    await world.write(creates=rooms)
    touched = [RoomTouch(room.room_id, 1, 1, 1000 + number) for number, room in enumerate(rooms[::5])]
    await world.write(touches=touched)
    activity = {room.room_id: room.created_at for room in rooms}
    activity |= {touch.room_id: touch.last_message_at or 0 for touch in touched}
    expected = sorted(activity, key=lambda room_id: (activity[room_id], room_id), reverse=True)
    seen: list[RoomId] = []
    before: RoomsBefore | None = None
    while page := await world.store.rooms_get(SHARD, world.key, limit=7, before=before):
        seen += [row.room_id for row in page]
        before = RoomsBefore(activity[page[-1].room_id], page[-1].room_id)
    assert seen == expected
    assert await world.store.rooms_count(SHARD, world.key) == 200


async def test_rooms_of_other_accounts_are_not_listed_or_counted(world: World) -> None:
    mine = await world.room_with()
    world.key += 5000
    theirs = await world.room_with()
    assert await listed(world) == [theirs]
    world.key -= 5000
    assert await listed(world) == [mine]
    assert await world.store.rooms_count(SHARD, world.key) == 1
    assert await world.store.rooms_count(SHARD, 999_999_999) == 0


async def test_a_touch_sets_activity_count_and_seq(world: World) -> None:
    room_id = await world.room_with()
    await world.write(touches=[RoomTouch(room_id, 4, 3, 7777)])
    room = await world.room(room_id)
    assert room is not None
    assert (room.last_seq, room.message_count, room.last_message_at) == (4, 3, 7777)
    await world.write(touches=[RoomTouch(room_id, 4, 2, None)])
    room = await world.room(room_id)
    assert room is not None
    assert (room.last_seq, room.message_count, room.last_message_at) == (4, 2, None)


async def test_an_older_touch_changes_nothing(world: World) -> None:
    room_id = await world.room_with()
    await world.write(touches=[RoomTouch(room_id, 4, 3, 7777)])
    await world.write(touches=[RoomTouch(room_id, 3, 9, 9999)])
    room = await world.room(room_id)
    assert room is not None
    assert (room.last_seq, room.message_count, room.last_message_at) == (4, 3, 7777)


async def test_the_latest_touch_of_a_batch_wins(world: World) -> None:
    room_id = await world.room_with()
    touches = [RoomTouch(room_id, 1, 1, 1), RoomTouch(room_id, 3, 3, 3), RoomTouch(room_id, 2, 2, 2)]
    await world.write(touches=touches)
    room = await world.room(room_id)
    assert room is not None
    assert room.last_seq == 3


async def test_a_rename_needs_a_higher_version(world: World) -> None:
    room_id = await world.room_with()
    for title, version in (("two", 2), ("one", 1), ("two again", 2)):
        await world.apply(Batch([world.fence()], room_updates=[RoomUpdate(room_id, title, version)]))
    room = await world.room(room_id)
    assert room is not None
    assert (room.title, room.version) == ("two", 2)
    updates = [RoomUpdate(room_id, "four", 4), RoomUpdate(room_id, "three", 3)]
    await world.apply(Batch([world.fence()], room_updates=updates))
    room = await world.room(room_id)
    assert room is not None
    assert room.title == "four"


async def test_a_deleted_room_is_gone_with_its_messages(world: World) -> None:
    doc = world.doc()
    room_id, other = await world.room_with(doc), await world.room_with(world.doc())
    await world.write(room_deletes=[world.delete_room(room_id)])
    assert await world.room(room_id) is None
    assert await world.messages(room_id) == []
    assert await world.store.messages_get(SHARD, room_id, limit=5, newest=True) == []
    assert await world.store.message_find(SHARD, room_id, doc.message_id) is None
    assert await listed(world) == [other]
    assert await world.store.rooms_count(SHARD, world.key) == 1
    assert len(await world.messages(other)) == 1


async def test_nothing_brings_a_deleted_room_back(world: World) -> None:
    room_id = await world.room_with()
    await world.write(room_deletes=[world.delete_room(room_id)])
    batch = Batch(
        [world.fence()],
        room_creates=[world.create(room_id)],
        room_touches=[RoomTouch(room_id, 9, 9, 9)],
        room_updates=[RoomUpdate(room_id, "back", 99)],
        room_deletes=[world.delete_room(room_id, deleted_at=9999)],
    )
    await world.apply(batch)
    assert await world.room(room_id) is None
    assert await listed(world) == []


async def test_a_room_deleted_before_it_was_stored_stays_deleted(world: World) -> None:
    room_id = world.room_id()
    await world.write(room_deletes=[world.delete_room(room_id)])
    await world.write(creates=[world.create(room_id)])
    assert await world.room(room_id) is None
    assert await listed(world) == []


async def test_a_persona_that_is_too_long_is_refused(world: World) -> None:
    room = msgspec.structs.replace(world.create(world.room_id()), ai_persona="x" * 256)
    with pytest.raises(RowRefused):
        await world.write(creates=[room])


async def test_daily_use_adds_up_and_commits_with_the_watermark(world: World) -> None:
    uses = [DailyUse(world.key, "2026-02-28", 1, 10, 100), DailyUse(world.key, "2026-03-01", 2, 20, 200)]
    batch = Batch([world.fence()], daily_uses=[*uses, uses[0]])
    assert await world.store.apply(SHARD, batch) == []
    assert await world.store.apply(SHARD, batch) == [world.partition]
    found = await world.store.daily_use(SHARD, world.key, "2026-02-28", "2026-03-01")
    assert found == [DailyUse(world.key, "2026-02-28", 2, 20, 200), uses[1]]
    assert await world.store.daily_use(SHARD, world.key, "2026-03-01", "2026-03-31") == [uses[1]]
    assert await world.store.daily_use(SHARD, world.key + 1, "2026-01-01", "2026-12-31") == []


async def test_tokens_of_a_further_attempt_add_up_without_a_message(world: World) -> None:
    first, further = DailyUse(world.key, "2026-02-28", 1, 10, 100), DailyUse(world.key, "2026-02-28", 0, 5, 50)
    for uses in ([further], [first], [further]):
        await world.apply(Batch([world.fence()], daily_uses=uses))
    assert await world.store.daily_use(SHARD, world.key, "2026-02-28", "2026-02-28") == [
        DailyUse(world.key, "2026-02-28", 1, 20, 200)
    ]


async def test_a_day_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(RowRefused):
        await world.store.apply(SHARD, Batch([world.fence()], daily_uses=[DailyUse(world.key, "2026-02-30", 1, 1, 1)]))

"""Fences: one writer at a time, each entry once, all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from parlor.ids import Partition
from parlor.settings import StoreSettings
from parlor.store.addresses import MySqlAddress, parse_address
from parlor.store.migrations import migrate, open_store
from parlor.store.mysql_pool import LOCK_WAIT, open_connection
from parlor.store.ports import (
    Batch,
    ChatStore,
    Fence,
    MessageDelete,
    MessageSave,
    QueuePosition,
    RoomTouch,
    RoomUpdate,
    SummarySave,
    VersionSave,
)
from parlor.store.rows import encode_fences
from tests.contract.store.world import SHARD, World

pytestmark = pytest.mark.contract


async def applied(world: World) -> QueuePosition:
    (found,) = [row.applied for row in await world.store.progress(SHARD) if row.partition == world.partition]
    return found


async def test_the_watermark_moves_with_the_rows(world: World) -> None:
    fence = world.fence(17)
    assert await world.store.apply(SHARD, Batch([fence])) == []
    assert await applied(world) == fence.applied


async def test_the_same_batch_again_is_refused(world: World) -> None:
    batch = Batch([world.fence()], room_creates=[world.create(world.room_id())])
    assert await world.store.apply(SHARD, batch) == []
    assert await world.store.apply(SHARD, batch) == [world.partition]


@pytest.mark.parametrize("number", [4, 5])
async def test_a_watermark_that_does_not_move_forward_is_refused(world: World, number: int) -> None:
    assert await world.store.apply(SHARD, Batch([world.fence(5)])) == []
    room_id = world.room_id()
    batch = Batch([world.fence(number)], room_creates=[world.create(room_id)])
    assert await world.store.apply(SHARD, batch) == [world.partition]
    assert await world.room(room_id) is None
    assert (await applied(world)).number == 5


async def test_a_stale_epoch_is_refused_and_nothing_is_applied(world: World) -> None:
    room_id = world.room_id()
    taken = await world.store.acquire_partition(SHARD, world.partition)
    assert taken.epoch == world.epoch + 1
    batch = Batch([world.fence()], room_creates=[world.create(room_id)])
    assert await world.store.apply(SHARD, batch) == [world.partition]
    assert await world.room(room_id) is None
    world.epoch = taken.epoch
    await world.write(creates=[world.create(room_id)])
    assert await world.room(room_id) is not None


async def test_an_incarnation_that_was_never_minted_is_refused(world: World) -> None:
    world.incarnation += 1
    assert await world.store.apply(SHARD, Batch([world.fence(100)])) == [world.partition]


async def test_what_still_waits_from_an_earlier_incarnation_comes_before_the_new_one(world: World) -> None:
    await world.apply(Batch([world.fence(1000)]))
    opened = await world.store.open_partition(SHARD, world.partition)
    assert opened.incarnation == world.incarnation + 1
    assert opened.applied == QueuePosition(world.incarnation, 1000)
    # What was read before may be of a queue that is lost; who still finds it in the queue has the next epoch.
    assert opened.epoch == world.epoch + 1
    assert await world.store.apply(SHARD, Batch([world.fence(2000)])) == [world.partition]
    world.epoch = opened.epoch
    assert await world.store.apply(SHARD, Batch([world.fence(2000)])) == []
    fence = Fence(world.partition, world.epoch, QueuePosition(opened.incarnation, 1))
    assert await world.store.apply(SHARD, Batch([fence])) == []
    assert await world.store.apply(SHARD, Batch([world.fence(3000)])) == [world.partition]
    assert await applied(world) == fence.applied


async def test_a_partition_without_a_row_is_refused(world: World) -> None:
    unknown = Partition(4000 + world.partition % 90)
    batch = Batch([Fence(unknown, 0, QueuePosition(0, 1))])
    assert await world.store.apply(SHARD, batch) == [unknown]


async def test_one_lost_partition_refuses_the_whole_batch(world: World) -> None:
    other = await World.make(world.store, 2000 + world.partition)
    stale = msgspec.structs.replace(other.fence(), epoch=other.epoch - 1)
    room_id = world.room_id()
    batch = Batch([stale, world.fence()], room_creates=[world.create(room_id)])
    assert await world.store.apply(SHARD, batch) == [other.partition]
    assert await world.room(room_id) is None
    assert (await applied(world)).number == 0
    batch = Batch([other.fence(), world.fence()], room_creates=[world.create(room_id)])
    assert await world.store.apply(SHARD, batch) == []
    assert (await applied(world), await applied(other)) == (world.fence().applied, other.fence().applied)


async def test_epochs_and_incarnations_are_minted_once_each(world: World) -> None:
    minted = await asyncio.gather(*(world.store.acquire_partition(SHARD, world.partition) for _ in range(12)))
    assert sorted(row.epoch for row in minted) == list(range(world.epoch + 1, world.epoch + 13))
    opened = await asyncio.gather(*(world.store.open_partition(SHARD, world.partition) for _ in range(12)))
    assert sorted(row.incarnation for row in opened) == list(range(world.incarnation + 1, world.incarnation + 13))


async def test_of_two_writers_that_fight_each_entry_is_applied_once(world: World, settings: StoreSettings) -> None:
    """Each takes the partition over again and again; every batch that was accepted is there, and no other."""
    room_id = await world.room_with()
    start = await applied(world)
    accepted: list[int] = []

    async def writer(store: ChatStore, name: int) -> None:
        while True:
            held = await store.acquire_partition(SHARD, world.partition)
            for _ in range(3):
                number = (await progress(store)).applied.number + 1
                if number > start.number + 30:
                    return
                doc = world.doc(content=f"writer {name}")
                fence = Fence(world.partition, held.epoch, QueuePosition(world.incarnation, number))
                batch = Batch([fence], message_saves=[MessageSave(room_id, number - start.number, doc)])
                if await store.apply(SHARD, batch):
                    break
                accepted.append(number)

    async def progress(store: ChatStore):  # type: ignore[no-untyped-def]
        (found,) = [row for row in await store.progress(SHARD) if row.partition == world.partition]
        return found

    second = await open_store(settings)
    try:
        await asyncio.gather(writer(world.store, 1), writer(second, 2))
    finally:
        await second.close()
    assert sorted(accepted) == list(range(start.number + 1, start.number + 31))
    assert [row.seq for row in await world.messages(room_id)] == list(range(1, 31))


async def test_batches_of_many_writers_at_once_all_arrive(world: World) -> None:
    """Writers of different partitions that write at the same time, a few hundred rows each."""
    worlds = [await World.make(world.store, 1000 + 10 * world.partition + number) for number in range(6)]
    rooms = [one.room_id() for one in worlds]

    async def write(one: World, room: int) -> None:
        for part in range(3):
            saves = [MessageSave(rooms[room], part * 40 + seq, one.doc()) for seq in range(1, 41)]
            await one.write(creates=[one.create(rooms[room])], saves=saves)

    await asyncio.gather(*(write(one, number) for number, one in enumerate(worlds)))
    for one, room_id in zip(worlds, rooms, strict=True):
        assert [row.seq for row in await one.messages(room_id)] == list(range(1, 121))


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
async def test_a_batch_does_not_wait_for_rows_of_another_partition(new_settings: Callable[..., StoreSettings]) -> None:
    """Tables of a few rows, which a server would rather scan than look up: a scan waits for each row's lock."""
    settings = new_settings(shards=1)
    await migrate(settings)
    store = await open_store(settings)
    address = parse_address(settings.urls[0].get_secret_value())
    assert isinstance(address, MySqlAddress)
    other_writer = await open_connection(address, connect_timeout=5)
    try:
        mine, theirs = await World.make(store, 1), await World.make(store, 2)
        doc, their_doc = mine.doc(version=2), theirs.doc(version=2)
        room_id, their_room = await mine.room_with(doc), await theirs.room_with(their_doc)
        past = VersionSave(their_room, 1, theirs.doc(their_doc.message_id))
        await theirs.write(versions=[past])
        async with other_writer.cursor() as cursor:
            await cursor.execute("BEGIN")
            for table, column in (("rooms", "title"), ("messages", "content"), ("message_versions", "content")):
                number = their_room.replace("-", "")
                await cursor.execute(
                    f"UPDATE {table} SET {column} = 'locked' WHERE room_id = UNHEX('{number}')"  # noqa: S608  # ours
                )
                assert cursor.rowcount == 1
        second = mine.doc(version=2)
        batch = Batch(
            [mine.fence()],
            message_saves=[MessageSave(room_id, 2, second)],
            version_saves=[VersionSave(room_id, 2, mine.doc(second.message_id))],
            room_touches=[RoomTouch(room_id, 2, 2, 5000)],
            room_updates=[RoomUpdate(room_id, "new", 2)],
            summary_saves=[SummarySave(room_id, "sum", 1, 1, 5000)],
            message_deletes=[MessageDelete(room_id, 1, doc.message_id, 6000)],
        )
        async with asyncio.timeout(LOCK_WAIT / 2):
            await mine.apply(batch)
    finally:
        other_writer.close()
        await store.close()


async def test_the_batch_of_a_program_that_knows_fewer_parts_is_applied(world: World) -> None:
    room_id = world.room_id()
    parts = msgspec.json.encode({"room_creates": [world.create(room_id)], "message_saves": []}).decode()
    refused = await world.store.call_shard_procedure(SHARD, "fp_writer_apply", (encode_fences([world.fence()]), parts))
    assert refused == [("[]",)]
    assert await world.room(room_id) is not None

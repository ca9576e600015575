"""Fences: one writer at a time, each entry once, all or nothing."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from parlor.ids import Partition
from parlor.settings import StoreSettings
from parlor.store.migrations import open_store
from parlor.store.ports import Batch, ChatStore, Fence, MessageSave, QueuePosition
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
    assert opened.epoch == world.epoch
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

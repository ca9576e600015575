"""Fences: one writer at a time, each entry once, all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from parlor.model.ids import Partition
from parlor.model.messages import QueuePosition
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
    RoomTouch,
    RoomUpdate,
    SummarySave,
    VersionSave,
)
from parlor.store.rows import encode_fences
from parlor.store.sql_files import newest_procedures
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract


async def applied(fixtures: StoreFixtures) -> QueuePosition:
    (found,) = [row.applied for row in await fixtures.store.progress(SHARD) if row.partition == fixtures.partition]
    return found


async def test_the_watermark_moves_with_the_rows(fixtures: StoreFixtures) -> None:
    fence = fixtures.fence(17)
    assert await fixtures.store.apply(SHARD, Batch([fence])) == []
    assert await applied(fixtures) == fence.applied


async def test_the_same_batch_again_is_refused(fixtures: StoreFixtures) -> None:
    batch = Batch([fixtures.fence()], room_creates=[fixtures.create(fixtures.room_id())])
    assert await fixtures.store.apply(SHARD, batch) == []
    assert await fixtures.store.apply(SHARD, batch) == [fixtures.partition]


@pytest.mark.parametrize("number", [4, 5])
async def test_a_watermark_that_does_not_move_forward_is_refused(fixtures: StoreFixtures, number: int) -> None:
    assert await fixtures.store.apply(SHARD, Batch([fixtures.fence(5)])) == []
    room_id = fixtures.room_id()
    batch = Batch([fixtures.fence(number)], room_creates=[fixtures.create(room_id)])
    assert await fixtures.store.apply(SHARD, batch) == [fixtures.partition]
    assert await fixtures.room(room_id) is None
    assert (await applied(fixtures)).number == 5


async def test_a_stale_epoch_is_refused_and_nothing_is_applied(fixtures: StoreFixtures) -> None:
    room_id = fixtures.room_id()
    taken = await fixtures.store.acquire_partition(SHARD, fixtures.partition)
    assert taken.epoch == fixtures.epoch + 1
    batch = Batch([fixtures.fence()], room_creates=[fixtures.create(room_id)])
    assert await fixtures.store.apply(SHARD, batch) == [fixtures.partition]
    assert await fixtures.room(room_id) is None
    fixtures.epoch = taken.epoch
    await fixtures.write(creates=[fixtures.create(room_id)])
    assert await fixtures.room(room_id) is not None


async def test_an_incarnation_that_was_never_minted_is_refused(fixtures: StoreFixtures) -> None:
    fixtures.incarnation += 1
    assert await fixtures.store.apply(SHARD, Batch([fixtures.fence(100)])) == [fixtures.partition]


async def test_what_still_waits_from_an_earlier_incarnation_comes_before_the_new_one(fixtures: StoreFixtures) -> None:
    await fixtures.apply(Batch([fixtures.fence(1000)]))
    opened = await fixtures.store.open_partition(SHARD, fixtures.partition)
    assert opened.incarnation == fixtures.incarnation + 1
    assert opened.applied == QueuePosition(fixtures.incarnation, 1000)
    # What was read before may be of a queue that is lost; who still finds it in the queue has the next epoch.
    assert opened.epoch == fixtures.epoch + 1
    assert await fixtures.store.apply(SHARD, Batch([fixtures.fence(2000)])) == [fixtures.partition]
    fixtures.epoch = opened.epoch
    assert await fixtures.store.apply(SHARD, Batch([fixtures.fence(2000)])) == []
    fence = Fence(fixtures.partition, fixtures.epoch, QueuePosition(opened.incarnation, 1))
    assert await fixtures.store.apply(SHARD, Batch([fence])) == []
    assert await fixtures.store.apply(SHARD, Batch([fixtures.fence(3000)])) == [fixtures.partition]
    assert await applied(fixtures) == fence.applied


async def test_a_partition_without_a_row_is_refused(fixtures: StoreFixtures) -> None:
    unknown = Partition(4000 + fixtures.partition % 90)
    batch = Batch([Fence(unknown, 0, QueuePosition(0, 1))])
    assert await fixtures.store.apply(SHARD, batch) == [unknown]


async def test_one_lost_partition_refuses_the_whole_batch(fixtures: StoreFixtures) -> None:
    other = await StoreFixtures.make(fixtures.store, 2000 + fixtures.partition)
    stale = msgspec.structs.replace(other.fence(), epoch=other.epoch - 1)
    room_id = fixtures.room_id()
    batch = Batch([stale, fixtures.fence()], room_creates=[fixtures.create(room_id)])
    assert await fixtures.store.apply(SHARD, batch) == [other.partition]
    assert await fixtures.room(room_id) is None
    assert (await applied(fixtures)).number == 0
    batch = Batch([other.fence(), fixtures.fence()], room_creates=[fixtures.create(room_id)])
    assert await fixtures.store.apply(SHARD, batch) == []
    assert (await applied(fixtures), await applied(other)) == (fixtures.fence().applied, other.fence().applied)


async def test_epochs_and_incarnations_are_minted_once_each(fixtures: StoreFixtures) -> None:
    minted = await asyncio.gather(*(fixtures.store.acquire_partition(SHARD, fixtures.partition) for _ in range(12)))
    assert sorted(row.epoch for row in minted) == list(range(fixtures.epoch + 1, fixtures.epoch + 13))
    opened = await asyncio.gather(*(fixtures.store.open_partition(SHARD, fixtures.partition) for _ in range(12)))
    assert sorted(row.incarnation for row in opened) == list(range(fixtures.incarnation + 1, fixtures.incarnation + 13))


async def test_of_two_writers_that_fight_each_entry_is_applied_once(
    fixtures: StoreFixtures, settings: StoreSettings
) -> None:
    """Each takes the partition over again and again; every batch that was accepted is there, and no other."""
    room_id = await fixtures.room_with()
    start = await applied(fixtures)
    accepted: list[int] = []

    async def writer(store: ChatStore, name: int) -> None:
        while True:
            held = await store.acquire_partition(SHARD, fixtures.partition)
            for _ in range(3):
                number = (await progress(store)).applied.number + 1
                if number > start.number + 30:
                    return
                doc = fixtures.doc(content=f"writer {name}")
                fence = Fence(fixtures.partition, held.epoch, QueuePosition(fixtures.incarnation, number))
                batch = Batch([fence], message_saves=[MessageSave(room_id, number - start.number, doc)])
                if await store.apply(SHARD, batch):
                    break
                accepted.append(number)

    async def progress(store: ChatStore):  # type: ignore[no-untyped-def]
        (found,) = [row for row in await store.progress(SHARD) if row.partition == fixtures.partition]
        return found

    second = await open_store(settings)
    try:
        await asyncio.gather(writer(fixtures.store, 1), writer(second, 2))
    finally:
        await second.close()
    assert sorted(accepted) == list(range(start.number + 1, start.number + 31))
    assert [row.seq for row in await fixtures.messages(room_id)] == list(range(1, 31))


async def test_batches_of_many_writers_at_once_all_arrive(fixtures: StoreFixtures) -> None:
    """Writers of different partitions that write at the same time, a few hundred rows each."""
    both_fixtures = [
        await StoreFixtures.make(fixtures.store, 1000 + 10 * fixtures.partition + number) for number in range(6)
    ]
    rooms = [one.room_id() for one in both_fixtures]

    async def write(one: StoreFixtures, room: int) -> None:
        for part in range(3):
            saves = [MessageSave(rooms[room], part * 40 + seq, one.doc()) for seq in range(1, 41)]
            await one.write(creates=[one.create(rooms[room])], saves=saves)

    await asyncio.gather(*(write(one, number) for number, one in enumerate(both_fixtures)))
    for one, room_id in zip(both_fixtures, rooms, strict=True):
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
        mine, theirs = await StoreFixtures.make(store, 1), await StoreFixtures.make(store, 2)
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


async def test_the_batch_of_a_program_that_knows_fewer_parts_is_applied(fixtures: StoreFixtures) -> None:
    room_id = fixtures.room_id()
    parts = msgspec.json.encode({"room_creates": [fixtures.create(room_id)]}).decode()
    refused = await fixtures.store.call_shard_procedure(
        SHARD, newest_procedures()["fp_writer_apply"], (encode_fences([fixtures.fence()]), parts, "[]")
    )
    assert refused == [("[]",)]
    assert await fixtures.room(room_id) is not None

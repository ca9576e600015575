"""Bringing back into Redis what it does not have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parlor.errors import PartitionUnknown, RoomNotFound, StoreUnavailable
from parlor.ids import RoomId
from parlor.states import MessageState, RoomState
from tests.unit.rig import HOME, SHARD, Rig, RigMaker, settle

pytestmark = pytest.mark.unit


async def stored_room(rig: Rig, messages: int) -> RoomId:
    room = rig.room(await rig.new_room(title="A title"))
    for n in range(messages):
        await rig.say(room, f"{n}")
    await rig.write_all()
    return room.room_id


async def incarnation(rig: Rig) -> int:
    return int(await rig.redis.hget(rig.live.keys.partition(HOME), "incarnation") or 0)


async def test_opening_a_partition_is_done_once(rig: Rig) -> None:
    await rig.loader.open_partition(HOME)
    first = await incarnation(rig)
    await rig.loader.open_partition(HOME)
    assert await incarnation(rig) == first
    assert rig.store.calls.count("fp_partition_open") == 1


async def test_a_partition_that_redis_forgot_gets_a_higher_incarnation(rig: Rig) -> None:
    await rig.loader.open_partition(HOME)
    first = await incarnation(rig)
    await rig.redis.flushall()
    await rig.loader.open_partition(HOME)
    assert await incarnation(rig) > first


async def test_two_who_open_a_partition_at_once_agree(rig: Rig) -> None:
    await asyncio.gather(rig.loader.open_partition(HOME), rig.loader.open_partition(HOME))
    (progress,) = [found for found in await rig.store.progress(SHARD) if found.partition == HOME]
    assert await incarnation(rig) == progress.incarnation


async def test_a_loaded_room_is_as_it_was(rig: Rig) -> None:
    room_id = await stored_room(rig, 3)
    before = await rig.reader.room(room_id)
    await rig.forget_room(room_id)
    await rig.loader.load_room(room_id)
    assert await rig.reader.room(room_id) == before
    assert [message.state for message in (await rig.page(room_id)).messages] == [MessageState.SENT] * 3


async def test_only_the_newest_messages_are_loaded(new_rig: RigMaker) -> None:
    rig = new_rig(cache={"messages_per_room": 50})
    room_id = await stored_room(rig, 60)
    await rig.forget_room(room_id)
    await rig.loader.load_room(room_id)
    assert await rig.redis.hlen(rig.live.keys.messages(HOME, room_id)) == 50
    assert len((await rig.page(room_id)).messages) == 60


async def test_a_room_that_is_there_is_not_overwritten(rig: Rig) -> None:
    room_id = await stored_room(rig, 1)
    owner = rig.room(room_id)
    await rig.say(owner, "newer")
    await rig.rename(owner, "Newer")
    await rig.loader.load_room(room_id)
    assert [text for _, text in await rig.texts(room_id)] == ["0", "newer"]
    assert (await rig.directory.room(room_id, rig.ada.account_id)).title == "Newer"


async def test_a_room_that_is_loaded_counts_what_is_queued(rig: Rig) -> None:
    room_id = await stored_room(rig, 2)
    owner = rig.room(room_id)
    said = await rig.say(owner, "queued")
    await rig.say(owner, "too")
    await rig.delete_message(owner, said.message_id)
    before = await rig.directory.room(room_id, rig.ada.account_id)
    await rig.forget_room(room_id)
    await rig.loader.load_room(room_id)
    assert (await rig.directory.room(room_id, rig.ada.account_id)).message_count == before.message_count == 3
    await rig.write_all()
    await rig.forget_room(room_id)
    await rig.loader.load_room(room_id)
    assert (await rig.directory.room(room_id, rig.ada.account_id)).message_count == 3


async def test_a_room_that_was_read_before_redis_was_lost_again_is_read_anew(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is lost between the reading of the shard and the loading, and others have gone on meanwhile."""
    room_id = await stored_room(rig, 1)
    await rig.redis.flushall()
    load = rig.loader._rooms.load

    async def late(*arguments: Any) -> None:
        monkeypatch.setattr(rig.loader._rooms, "load", load)
        await rig.say(rig.room(room_id), "meanwhile")
        await rig.write_all()
        await rig.redis.flushall()
        await rig.loader.open_partition(HOME)
        await load(*arguments)

    monkeypatch.setattr(rig.loader._rooms, "load", late)
    await rig.loader.load_room(room_id)
    assert (await rig.say(rig.room(room_id), "next")).seq == 3


async def test_loading_opens_the_partition_first(rig: Rig) -> None:
    room_id = await stored_room(rig, 2)
    await rig.redis.flushall()
    await rig.loader.load_room(room_id)
    found = await rig.reader.room(room_id)
    assert found is not None
    assert (found.last_seq, found.room.state) == (2, RoomState.ACTIVE)


async def test_a_room_that_is_nowhere_is_not_found(rig: Rig) -> None:
    await rig.loader.open_partition(HOME)
    with pytest.raises(RoomNotFound):
        await rig.loader.load_room(rig.mint.room_id(HOME))


async def test_a_room_that_was_deleted_does_not_come_back(rig: Rig) -> None:
    room_id = await stored_room(rig, 1)
    await rig.delete_room(rig.room(room_id))
    await rig.write_all()
    await rig.forget_room(room_id)
    with pytest.raises(RoomNotFound):
        await rig.loader.load_room(room_id)


async def test_a_shard_that_is_down_is_said(rig: Rig) -> None:
    room_id = await stored_room(rig, 1)
    await rig.forget_room(room_id)
    rig.store.down = True
    with pytest.raises(StoreUnavailable):
        await rig.loader.load_room(room_id)


async def test_a_partition_that_is_lost_again_and_again_is_not_loaded_for_ever(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await stored_room(rig, 1)
    await rig.redis.flushall()

    async def nothing(_: object) -> None:
        return

    monkeypatch.setattr(rig.loader, "open_partition", nothing)
    with pytest.raises(PartitionUnknown):
        await rig.loader.load_room(room_id)


async def test_a_reply_whose_end_never_was_stored_is_open_again(rig: Rig) -> None:
    room = rig.room(await rig.new_room())
    await rig.send(room)
    await settle()
    await rig.write_all()
    await rig.forget_room(room.room_id)
    await rig.loader.load_room(room.room_id)
    claimed = await rig.cache.claim(room.room_id, "token")
    assert claimed is not None
    assert [first for _, first in claimed.open_replies] == [1]

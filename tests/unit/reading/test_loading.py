"""Loading into Redis what it does not have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parlor.errors import PartitionUnknown, RoomNotFound, StoreUnavailable
from parlor.model.ids import Claim, RoomId
from parlor.model.states import MessageState, RoomState
from tests.unit.domain import HOME, SHARD, Domain, DomainMaker, settle

pytestmark = pytest.mark.unit


async def stored_room(domain: Domain, messages: int) -> RoomId:
    room = domain.room(await domain.new_room(title="A title"))
    for n in range(messages):
        await domain.say(room, f"{n}")
    await domain.write_all()
    return room.room_id


async def incarnation(domain: Domain) -> int:
    return int(await domain.redis.hget(domain.live.keys.partition(HOME), "incarnation") or 0)


async def test_opening_a_partition_is_done_once(domain: Domain) -> None:
    await domain.loader.open_partition(HOME)
    first = await incarnation(domain)
    await domain.loader.open_partition(HOME)
    assert await incarnation(domain) == first
    assert domain.store.calls.count("fp_partition_open") == 1


async def test_a_partition_that_redis_forgot_gets_a_higher_incarnation(domain: Domain) -> None:
    await domain.loader.open_partition(HOME)
    first = await incarnation(domain)
    await domain.redis.flushall()
    await domain.loader.open_partition(HOME)
    assert await incarnation(domain) > first


async def test_two_who_open_a_partition_at_once_agree(domain: Domain) -> None:
    await asyncio.gather(domain.loader.open_partition(HOME), domain.loader.open_partition(HOME))
    (progress,) = [found for found in await domain.store.progress(SHARD) if found.partition == HOME]
    assert await incarnation(domain) == progress.incarnation


async def test_a_loaded_room_is_as_it_was(domain: Domain) -> None:
    room_id = await stored_room(domain, 3)
    before = await domain.reader.room(room_id)
    await domain.forget_room(room_id)
    await domain.loader.load_room(room_id)
    assert await domain.reader.room(room_id) == before
    assert [message.state for message in (await domain.page(room_id)).messages] == [MessageState.SENT] * 3


async def test_only_the_newest_messages_are_loaded(new_domain: DomainMaker) -> None:
    domain = new_domain(cache={"messages_per_room": 50})
    room_id = await stored_room(domain, 60)
    await domain.forget_room(room_id)
    await domain.loader.load_room(room_id)
    assert await domain.redis.hlen(domain.live.keys.messages(HOME, room_id)) == 50
    assert len((await domain.page(room_id)).messages) == 60


async def test_a_room_that_is_there_is_not_overwritten(domain: Domain) -> None:
    room_id = await stored_room(domain, 1)
    owner = domain.room(room_id)
    await domain.say(owner, "newer")
    await domain.rename(owner, "Newer")
    await domain.loader.load_room(room_id)
    assert [text for _, text in await domain.texts(room_id)] == ["0", "newer"]
    assert (await domain.directory.room(room_id, domain.ada.account_id)).title == "Newer"


async def test_a_room_that_is_loaded_counts_what_is_queued(domain: Domain) -> None:
    room_id = await stored_room(domain, 2)
    owner = domain.room(room_id)
    said = await domain.say(owner, "queued")
    await domain.say(owner, "too")
    await domain.delete_message(owner, said.message_id)
    before = await domain.directory.room(room_id, domain.ada.account_id)
    await domain.forget_room(room_id)
    await domain.loader.load_room(room_id)
    assert (await domain.directory.room(room_id, domain.ada.account_id)).message_count == before.message_count == 3
    await domain.write_all()
    await domain.forget_room(room_id)
    await domain.loader.load_room(room_id)
    assert (await domain.directory.room(room_id, domain.ada.account_id)).message_count == 3


async def test_a_room_that_was_read_before_redis_was_lost_again_is_read_anew(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis loses its data after the shard was read and before the room is loaded, while others write."""
    room_id = await stored_room(domain, 1)
    await domain.redis.flushall()
    load = domain.loader._rooms.load

    async def late(*arguments: Any) -> None:
        monkeypatch.setattr(domain.loader._rooms, "load", load)
        await domain.say(domain.room(room_id), "meanwhile")
        await domain.write_all()
        await domain.redis.flushall()
        await domain.loader.open_partition(HOME)
        await load(*arguments)

    monkeypatch.setattr(domain.loader._rooms, "load", late)
    await domain.loader.load_room(room_id)
    assert (await domain.say(domain.room(room_id), "next")).seq == 3


async def test_loading_opens_the_partition_first(domain: Domain) -> None:
    room_id = await stored_room(domain, 2)
    await domain.redis.flushall()
    await domain.loader.load_room(room_id)
    found = await domain.reader.room(room_id)
    assert found is not None
    assert (found.last_seq, found.room.state) == (2, RoomState.ACTIVE)


async def test_a_room_that_is_nowhere_is_not_found(domain: Domain) -> None:
    await domain.loader.open_partition(HOME)
    with pytest.raises(RoomNotFound):
        await domain.loader.load_room(domain.mint.room_id(HOME))


async def test_a_room_that_was_deleted_does_not_come_back(domain: Domain) -> None:
    room_id = await stored_room(domain, 1)
    await domain.delete_room(domain.room(room_id))
    await domain.write_all()
    await domain.forget_room(room_id)
    with pytest.raises(RoomNotFound):
        await domain.loader.load_room(room_id)


async def test_a_shard_that_is_down_is_said(domain: Domain) -> None:
    room_id = await stored_room(domain, 1)
    await domain.forget_room(room_id)
    domain.store.down = True
    with pytest.raises(StoreUnavailable):
        await domain.loader.load_room(room_id)


async def test_a_partition_that_is_lost_again_and_again_is_not_loaded_for_ever(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await stored_room(domain, 1)
    await domain.redis.flushall()

    async def nothing(_: object) -> None:
        return

    monkeypatch.setattr(domain.loader, "open_partition", nothing)
    with pytest.raises(PartitionUnknown):
        await domain.loader.load_room(room_id)


async def test_a_reply_whose_end_never_was_stored_is_open_again(domain: Domain) -> None:
    room = domain.room(await domain.new_room())
    await domain.send(room)
    await settle()
    await domain.write_all()
    await domain.forget_room(room.room_id)
    await domain.loader.load_room(room.room_id)
    claimed = await domain.cache.claim(room.room_id, Claim("claim-2"), await domain.reader.claims(room.room_id))
    assert claimed is not None
    assert len(claimed.open_replies) == 1

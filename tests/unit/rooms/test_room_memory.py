"""A room's summary, as its readers and the prompt get it, from Redis or the shard."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.cache.summaries import SummaryCache
from parlor.errors import RoomNotFound, StoreUnavailable
from parlor.model.ids import Claim, RoomId
from parlor.model.rooms import RoomMemory
from tests.unit.domain import Domain

pytestmark = pytest.mark.unit

CLAIM = Claim("claim-1")


async def remembering(domain: Domain) -> RoomAddress:
    """Returns a room with a summary of its first message."""
    room_id = await domain.new_room(title="Tea")
    address = RoomAddress(room_id, domain.ada.account_id, domain.ada.account_db_key)
    await domain.say(domain.room(room_id))
    await domain.cache.claim(room_id, CLAIM, 1)
    assert await SummaryCache(domain.live).set(address, CLAIM, 0, "Ada likes tea. 茶", 1)
    return address


def expected(domain: Domain) -> RoomMemory:
    return RoomMemory("Ada likes tea. 茶", 1, domain.clock.ms, 1)


async def test_the_owner_and_the_program_read_a_rooms_memory(domain: Domain) -> None:
    address = await remembering(domain)
    assert await domain.directory.memory(address.room_id, domain.ada.account_id) == expected(domain)
    assert await domain.memories.memory(address.room_id) == expected(domain)


async def test_a_room_without_a_summary_has_an_empty_memory(domain: Domain) -> None:
    assert await domain.directory.memory(await domain.new_room(), domain.ada.account_id) == RoomMemory("", 0, None, 0)


async def test_anothers_memory_is_not_found_wherever_it_is(domain: Domain) -> None:
    address, other = await remembering(domain), domain.session("eve")
    with pytest.raises(RoomNotFound):
        await domain.directory.memory(address.room_id, other.account_id)
    wanted = expected(domain)
    await domain.write_all()
    domain.server.connected = False
    with pytest.raises(RoomNotFound):
        await domain.directory.memory(address.room_id, other.account_id)
    assert await domain.directory.memory(address.room_id, domain.ada.account_id) == wanted


async def test_an_id_that_is_none_is_not_found(domain: Domain) -> None:
    with pytest.raises(RoomNotFound):
        await domain.memories.memory(RoomId("nonsense"))
    with pytest.raises(RoomNotFound):
        await domain.memories.memory(domain.mint.room_id(domain.ada.partition))


async def test_a_deleted_rooms_memory_is_not_found(domain: Domain) -> None:
    address = await remembering(domain)
    await domain.cache.delete(address, CLAIM, "account")
    with pytest.raises(RoomNotFound):
        await domain.memories.memory(address.room_id)


async def test_a_memory_that_is_stored_comes_back_with_its_room(domain: Domain) -> None:
    address = await remembering(domain)
    wanted = expected(domain)
    await domain.write_all()
    await domain.redis.flushall()
    assert await domain.memories.memory(address.room_id) == wanted
    # It goes on from there.
    await domain.cache.claim(address.room_id, CLAIM, 0)
    assert await SummaryCache(domain.live).set(address, CLAIM, 1, "Ada likes green tea.", 1)


async def test_a_reset_is_stored_too(domain: Domain) -> None:
    address = await remembering(domain)
    await SummaryCache(domain.live).reset(address, CLAIM)
    await domain.write_all()
    await domain.redis.flushall()
    assert (await domain.memories.memory(address.room_id)).summary == ""


async def test_without_both_stores_it_is_an_error_not_an_empty_memory(domain: Domain) -> None:
    address = await remembering(domain)
    domain.server.connected = False
    domain.store.down = True
    with pytest.raises(StoreUnavailable):
        await domain.memories.memory(address.room_id)

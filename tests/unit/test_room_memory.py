"""What a reader, and the prompt, get to know of a room's summary, wherever it is."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.cache.summaries import SummaryCache
from parlor.errors import RoomNotFound, StoreUnavailable
from parlor.ids import RoomId
from parlor.model import RoomMemory
from tests.unit.rig import Rig

pytestmark = pytest.mark.unit

CLAIM = "claim-1"


async def remembering(rig: Rig) -> RoomAddress:
    """A room with a summary of its first message."""
    room_id = await rig.new_room(title="Tea")
    address = RoomAddress(room_id, rig.ada.account_id, rig.ada.account_db_key)
    await rig.say(rig.room(room_id))
    await rig.cache.claim(room_id, CLAIM)
    assert await SummaryCache(rig.live).set(address, CLAIM, 0, "Ada likes tea. 茶", 1)
    return address


def expected(rig: Rig) -> RoomMemory:
    return RoomMemory("Ada likes tea. 茶", 1, rig.clock.ms, 1)


async def test_the_owner_and_the_program_read_a_rooms_memory(rig: Rig) -> None:
    address = await remembering(rig)
    assert await rig.directory.memory(address.room_id, rig.ada.account_id) == expected(rig)
    assert await rig.directory.memory(address.room_id, None) == expected(rig)


async def test_a_room_without_a_summary_has_an_empty_memory(rig: Rig) -> None:
    assert await rig.directory.memory(await rig.new_room(), rig.ada.account_id) == RoomMemory("", 0, None, 0)


async def test_anothers_memory_is_not_found_wherever_it_is(rig: Rig) -> None:
    address, other = await remembering(rig), rig.session("eve")
    with pytest.raises(RoomNotFound):
        await rig.directory.memory(address.room_id, other.account_id)
    wanted = expected(rig)
    await rig.write_all()
    rig.server.connected = False
    with pytest.raises(RoomNotFound):
        await rig.directory.memory(address.room_id, other.account_id)
    assert await rig.directory.memory(address.room_id, rig.ada.account_id) == wanted


async def test_an_id_that_is_none_is_not_found(rig: Rig) -> None:
    with pytest.raises(RoomNotFound):
        await rig.directory.memory(RoomId("nonsense"), None)
    with pytest.raises(RoomNotFound):
        await rig.directory.memory(rig.mint.room_id(rig.ada.partition), None)


async def test_a_deleted_rooms_memory_is_not_found(rig: Rig) -> None:
    address = await remembering(rig)
    await rig.cache.delete(address, CLAIM, "account")
    with pytest.raises(RoomNotFound):
        await rig.directory.memory(address.room_id, None)


async def test_a_memory_that_is_stored_comes_back_with_its_room(rig: Rig) -> None:
    address = await remembering(rig)
    wanted = expected(rig)
    await rig.write_all()
    await rig.redis.flushall()
    assert await rig.directory.memory(address.room_id, None) == wanted
    # It goes on from there.
    await rig.cache.claim(address.room_id, CLAIM)
    assert await SummaryCache(rig.live).set(address, CLAIM, 1, "Ada likes green tea.", 1)


async def test_a_reset_is_stored_too(rig: Rig) -> None:
    address = await remembering(rig)
    await SummaryCache(rig.live).reset(address, CLAIM)
    await rig.write_all()
    await rig.redis.flushall()
    assert (await rig.directory.memory(address.room_id, None)).summary == ""


async def test_without_both_stores_it_is_an_error_not_an_empty_memory(rig: Rig) -> None:
    address = await remembering(rig)
    rig.server.connected = False
    rig.store.down = True
    with pytest.raises(StoreUnavailable):
        await rig.directory.memory(address.room_id, None)

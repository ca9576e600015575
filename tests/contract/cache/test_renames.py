"""rename_room: titles have versions."""

from __future__ import annotations

import pytest

from tests.contract.cache.world import World

pytestmark = pytest.mark.contract


async def test_a_new_title_is_here_queued_and_told(world: World) -> None:
    address = await world.claimed()
    await world.rooms.rename(address, "claim-1", "Näme 🎉")
    assert (await world.room(address)).room.title == "Näme 🎉"
    entry = (await world.queued())[-1]
    assert (entry.op, entry.title, entry.version) == ("CHAT_ROOM_UPDATE", "Näme 🎉", 2)
    assert await world.event_types(address) == ["room.updated"]
    assert (await world.account_events(address))[-1] == ("room.updated", address.room_id)


async def test_each_title_has_a_higher_version(world: World) -> None:
    address = await world.claimed()
    for title in ("B", "C", "B"):
        await world.rooms.rename(address, "claim-1", title)
    assert [(entry.title, entry.version) for entry in (await world.queued())[1:]] == [("B", 2), ("C", 3), ("B", 4)]


async def test_the_title_that_the_room_has_changes_nothing(world: World) -> None:
    address = await world.claimed()
    before = await world.dump()
    await world.rooms.rename(address, "claim-1", "A room")
    assert await world.dump() == before


async def test_a_rename_is_no_activity(world: World) -> None:
    address = await world.claimed()
    world.clock.now += 1000
    await world.rooms.rename(address, "claim-1", "B")
    assert (await world.room(address)).room.last_message_at is None

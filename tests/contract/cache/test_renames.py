"""rename_room: titles have versions."""

from __future__ import annotations

import pytest

from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures

pytestmark = pytest.mark.contract


async def test_a_new_title_is_here_queued_and_told(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.rename(address, CLAIM_1, "Näme 🎉")
    assert (await fixtures.room(address)).room.title == "Näme 🎉"
    entry = (await fixtures.queued())[-1]
    assert (entry.op, entry.title, entry.version) == ("CHAT_ROOM_UPDATE", "Näme 🎉", 2)
    assert await fixtures.event_types(address) == ["room.updated"]
    assert (await fixtures.account_events(address))[-1] == ("room.updated", address.room_id)


async def test_each_title_has_a_higher_version(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    for title in ("B", "C", "B"):
        await fixtures.rooms.rename(address, CLAIM_1, title)
    assert [(entry.title, entry.version) for entry in (await fixtures.queued())[1:]] == [("B", 2), ("C", 3), ("B", 4)]


async def test_the_title_that_the_room_has_changes_nothing(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    before = await fixtures.dump()
    await fixtures.rooms.rename(address, CLAIM_1, "A room")
    assert await fixtures.dump() == before


async def test_a_rename_is_no_activity(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    fixtures.clock.now += 1000
    await fixtures.rooms.rename(address, CLAIM_1, "B")
    assert (await fixtures.room(address)).room.last_message_at is None

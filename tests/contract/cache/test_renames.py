"""update_room: title, persona and metadata have versions, which they share."""

from __future__ import annotations

import pytest

from tests.contract.cache.fixtures import CLAIM_1, CLAIM_2, CacheFixtures

pytestmark = pytest.mark.contract


async def test_a_new_title_is_here_queued_and_told(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.update(address, CLAIM_1, "Näme 🎉", None)
    assert (await fixtures.room(address)).room.title == "Näme 🎉"
    entry = (await fixtures.queued())[-1]
    assert (entry.op, entry.title, entry.version) == ("CHAT_ROOM_UPDATE", "Näme 🎉", 2)
    assert await fixtures.event_types(address) == ["room.updated"]
    assert (await fixtures.account_events(address))[-1] == ("room.updated", address.room_id)


async def test_each_title_has_a_higher_version(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    for title in ("B", "C", "B"):
        await fixtures.rooms.update(address, CLAIM_1, title, None)
    assert [(entry.title, entry.version) for entry in (await fixtures.queued())[1:]] == [("B", 2), ("C", 3), ("B", 4)]


async def test_the_title_that_the_room_has_changes_nothing(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    before = await fixtures.dump()
    await fixtures.rooms.update(address, CLAIM_1, "A room", None)
    assert await fixtures.dump() == before


async def test_a_persona_is_an_update_too_and_leaves_the_title(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.update(address, CLAIM_1, None, "BRIEF")
    await fixtures.rooms.update(address, CLAIM_1, "Both", "PIRATE")
    found = (await fixtures.room(address)).room
    assert (found.title, found.ai_persona) == ("Both", "PIRATE")
    assert [(entry.title, entry.persona, entry.version) for entry in (await fixtures.queued())[1:]] == [
        ("A room", "BRIEF", 2),
        ("Both", "PIRATE", 3),
    ]
    assert await fixtures.event_types(address) == ["room.updated"] * 2
    claimed = await fixtures.claim(address.room_id, CLAIM_2)
    assert claimed is not None
    assert claimed.persona == "PIRATE"


async def test_metadata_goes_along_with_every_update(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.rooms.update(address, CLAIM_1, None, None, '{"a":"1"}')
    assert (await fixtures.room(address)).room.metadata == '{"a":"1"}'
    await fixtures.rooms.update(address, CLAIM_1, "B", None)
    await fixtures.operators.update_room(address, "C", "BRIEF")
    await fixtures.rooms.update(address, CLAIM_1, None, None, "{}")
    found = (await fixtures.room(address)).room
    assert (found.title, found.ai_persona, found.metadata) == ("C", "BRIEF", "{}")
    assert [(entry.title, entry.metadata, entry.version) for entry in (await fixtures.queued())[1:]] == [
        ("A room", '{"a":"1"}', 2),
        ("B", '{"a":"1"}', 3),
        ("C", '{"a":"1"}', 4),
        ("C", "{}", 5),
    ]
    before = await fixtures.dump()
    await fixtures.rooms.update(address, CLAIM_1, "C", None, "{}")
    assert await fixtures.dump() == before


async def test_none_is_no_change_of_a_room_without(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    before = await fixtures.dump()
    await fixtures.rooms.update(address, CLAIM_1, None, None, "{}")
    assert await fixtures.dump() == before


async def test_a_room_that_an_older_program_loaded_may_have_metadata_in_its_shard(fixtures: CacheFixtures) -> None:
    """An update without any leaves it, one that takes it away says so."""
    address = await fixtures.claimed()
    await fixtures.redis.hdel(fixtures.keys.room(fixtures.partition, address.room_id), "metadata")
    await fixtures.rooms.update(address, CLAIM_1, "B", None)
    await fixtures.rooms.update(address, CLAIM_1, None, None, "{}")
    assert [entry.metadata for entry in (await fixtures.queued())[1:]] == [None, "{}"]


@pytest.mark.parametrize(("title", "persona"), [(None, "GPT4O"), ("A room", "GPT4O"), (None, None)])
async def test_what_the_room_has_changes_nothing(
    fixtures: CacheFixtures, title: str | None, persona: str | None
) -> None:
    address = await fixtures.claimed()
    before = await fixtures.dump()
    await fixtures.rooms.update(address, CLAIM_1, title, persona)
    assert await fixtures.dump() == before


async def test_a_rename_is_no_activity(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    fixtures.clock.ms += 1000
    await fixtures.rooms.update(address, CLAIM_1, "B", None)
    assert (await fixtures.room(address)).room.last_message_at is None

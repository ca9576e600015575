"""create_room with an external id: one room of the account has it, whoever asks and whatever Redis has forgotten."""

from __future__ import annotations

import pytest

from parlor.cache.creations import Stored
from parlor.cache.live import RoomAddress
from parlor.errors import LimitReached, OutOfStep
from parlor.model.ids import RoomId
from parlor.model.requests import Idempotency
from parlor.model.rooms import NewRoom
from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures

pytestmark = pytest.mark.contract

ROOM = NewRoom("A room", "GPT4O", "chat 1: 채팅")
ASKED = Stored(incarnation=1)


async def create(
    fixtures: CacheFixtures,
    address: RoomAddress,
    stored: Stored | None = ASKED,
    new: NewRoom = ROOM,
    key: Idempotency | None = None,
) -> RoomId | None:
    return await fixtures.creations.create(address, new, "account", key, stored=stored)


async def known(fixtures: CacheFixtures, address: RoomAddress, external_id: str = ROOM.external_id) -> RoomId | None:
    return await fixtures.reader.external_room(fixtures.partition, address.account_id, external_id)


async def test_a_new_external_id_has_the_shard_asked_first(fixtures: CacheFixtures) -> None:
    address = fixtures.address()
    before = await fixtures.dump()
    assert await create(fixtures, address, stored=None) is None
    assert await fixtures.dump() == before
    assert await create(fixtures, address) == address.room_id
    assert await known(fixtures, address) == address.room_id
    assert (await fixtures.room(address)).room.external_id == ROOM.external_id
    (entry,) = await fixtures.queued()
    assert entry.external_id == ROOM.external_id


async def test_the_room_that_has_the_id_is_found_without_the_shard_and_unchanged(fixtures: CacheFixtures) -> None:
    first = fixtures.address()
    await create(fixtures, first)
    before = await fixtures.dump()
    other = NewRoom("Another title", "OTHER", ROOM.external_id)
    for stored in (None, ASKED, Stored(room_id=first.room_id, incarnation=1)):
        assert await create(fixtures, fixtures.address(), stored, other) == first.room_id
    assert await fixtures.dump() == before


async def test_ids_of_other_accounts_are_other_ids(fixtures: CacheFixtures) -> None:
    ada, bob = fixtures.address("ada"), fixtures.address("bob")
    await create(fixtures, ada)
    assert await create(fixtures, bob) == bob.room_id
    assert await known(fixtures, ada) == ada.room_id


@pytest.mark.parametrize("external_id", ["a", "a ", " a", "A", "á", "x:a", "complete"])
async def test_ids_that_differ_are_different_ids(fixtures: CacheFixtures, external_id: str) -> None:
    first, second = fixtures.address(), fixtures.address()
    await create(fixtures, first, new=NewRoom("", "GPT4O", "a:"))
    assert await create(fixtures, second, new=NewRoom("", "GPT4O", external_id)) == second.room_id
    assert await known(fixtures, second, external_id) == second.room_id


async def test_what_the_shard_has_is_the_answer(fixtures: CacheFixtures) -> None:
    stored = fixtures.address()
    before = await fixtures.dump()
    assert await create(fixtures, fixtures.address(), Stored(1, stored.room_id, 1)) == stored.room_id
    assert await fixtures.dump() == before


async def test_what_the_shard_said_does_not_count_after_redis_was_lost(fixtures: CacheFixtures) -> None:
    before = await fixtures.dump()
    with pytest.raises(OutOfStep):
        await create(fixtures, fixtures.address(), Stored(incarnation=7))
    assert await fixtures.dump() == before


async def test_a_deleted_room_gives_its_external_id_free(fixtures: CacheFixtures) -> None:
    first, second = fixtures.address(), fixtures.address()
    await create(fixtures, first)
    await fixtures.claim(first.room_id, CLAIM_1)
    await fixtures.rooms.delete(first, CLAIM_1, "account")
    assert await known(fixtures, first) is None
    assert await create(fixtures, second) == second.room_id
    await fixtures.stored(first)
    await fixtures.stored(second)
    assert await known(fixtures, second) == second.room_id


async def test_deleting_a_room_does_not_free_the_id_that_another_has_by_now(fixtures: CacheFixtures) -> None:
    """As after a delete by an older program, which does not know of external ids."""
    first, second = fixtures.address(), fixtures.address()
    await create(fixtures, first)
    gone = NewRoom("", "GPT4O", ROOM.external_id, instead_of=first.room_id)
    assert await create(fixtures, second, new=gone) == second.room_id
    await fixtures.claim(first.room_id, CLAIM_1)
    await fixtures.rooms.delete(first, CLAIM_1, "account")
    assert await known(fixtures, first) == second.room_id


async def test_a_room_that_was_loaded_frees_its_id_too(fixtures: CacheFixtures) -> None:
    address = fixtures.address()
    await create(fixtures, address)
    await fixtures.stored(address)
    await fixtures.forget(address.room_id)
    row = fixtures.room_row(address, external_id=ROOM.external_id)
    await fixtures.rooms.load(address, row, [], 0, 1)
    assert (await fixtures.room(address)).room.external_id == ROOM.external_id
    await fixtures.claim(address.room_id, CLAIM_1)
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    assert await known(fixtures, address) is None


async def test_the_id_is_kept_until_its_room_is_stored(fixtures: CacheFixtures) -> None:
    address = fixtures.address()
    await create(fixtures, address)
    assert await fixtures.redis.pttl(fixtures.key("account", address)) == -1
    await fixtures.stored(address)
    assert await fixtures.redis.pttl(fixtures.key("account", address)) > 0


async def test_a_room_that_is_there_is_found_at_the_limit_of_rooms(fixtures: CacheFixtures) -> None:
    fixtures.live.limits.set("ada", {"rooms": 1})
    first = fixtures.address()
    await create(fixtures, first)
    assert await create(fixtures, fixtures.address(), None) == first.room_id
    with pytest.raises(LimitReached):
        await create(fixtures, fixtures.address(), Stored(1, incarnation=1), NewRoom("", "GPT4O", "another"))


async def test_the_key_of_a_repeat_answers_with_the_room_that_had_the_id(fixtures: CacheFixtures) -> None:
    first, key = fixtures.address(), Idempotency("k", "f")
    await create(fixtures, first)
    assert await create(fixtures, fixtures.address(), None, key=key) == first.room_id
    await fixtures.claim(first.room_id, CLAIM_1)
    await fixtures.rooms.delete(first, CLAIM_1, "account")
    assert await create(fixtures, fixtures.address(), None, key=key) == first.room_id

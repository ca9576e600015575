"""External ids in a shard: stored with the room, found by the account, free after a delete."""

from __future__ import annotations

import msgspec
import pytest

from parlor.model.ids import RoomId
from parlor.store.ports import RoomDelete
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract


async def room_with(fixtures: StoreFixtures, external_id: str | None) -> RoomId:
    room_id = fixtures.room_id()
    await fixtures.write(creates=[msgspec.structs.replace(fixtures.create(room_id), external_id=external_id)])
    return room_id


async def found(fixtures: StoreFixtures, external_id: str) -> RoomId | None:
    return await fixtures.store.room_find(SHARD, fixtures.key, external_id)


@pytest.mark.parametrize("external_id", ["chat-1", "a b ", "채팅 🫖", "%", "x" * 128, "🫖" * 128])
async def test_a_room_is_found_by_its_external_id(fixtures: StoreFixtures, external_id: str) -> None:
    await room_with(fixtures, None)
    room_id = await room_with(fixtures, external_id)
    assert await found(fixtures, external_id) == room_id
    row = await fixtures.room(room_id)
    assert row is not None
    assert row.external_id == external_id
    assert [each.external_id for each in await fixtures.store.rooms_get(SHARD, fixtures.key, limit=10)] == [
        external_id,
        None,
    ]


@pytest.mark.parametrize("other", ["a ", " a", "A", "á", "b", "", "%", "_"])
async def test_another_id_is_not_found(fixtures: StoreFixtures, other: str) -> None:
    await room_with(fixtures, "a")
    assert await found(fixtures, other) is None


async def test_a_trailing_blank_belongs_to_the_id(fixtures: StoreFixtures) -> None:
    with_blank, without = await room_with(fixtures, "a "), await room_with(fixtures, "a")
    assert (await found(fixtures, "a "), await found(fixtures, "a")) == (with_blank, without)


async def test_the_id_of_another_account_is_not_found(fixtures: StoreFixtures) -> None:
    await room_with(fixtures, "mine")
    fixtures.key += 5000
    assert await found(fixtures, "mine") is None


async def test_a_deleted_room_is_not_found_and_the_next_one_is(fixtures: StoreFixtures) -> None:
    first = await room_with(fixtures, "again")
    second = fixtures.room_id()
    create = msgspec.structs.replace(fixtures.create(second), external_id="again")
    await fixtures.write(
        creates=[create], room_deletes=[RoomDelete(first, fixtures.partition, fixtures.account, fixtures.key, 5)]
    )
    assert await found(fixtures, "again") == second

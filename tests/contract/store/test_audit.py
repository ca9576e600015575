"""Every room of a shard, for checks."""

from __future__ import annotations

import pytest

from parlor.store import audit
from parlor.store.audit import StoreAudit
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract


async def test_a_room_is_told_as_it_is_also_when_it_is_deleted(fixtures: StoreFixtures) -> None:
    room_id = await fixtures.room_with(fixtures.doc(), fixtures.doc())
    found = await StoreAudit(fixtures.store).room(SHARD, room_id)
    assert found is not None
    assert (found.room_id, found.partition) == (room_id, fixtures.partition)
    assert (found.account_id, found.account_db_key) == (fixtures.account, fixtures.key)
    assert (found.title, found.version, found.deleted) == ("A room", 1, False)
    row = await fixtures.room(room_id)
    assert row is not None
    assert (found.message_count, found.last_seq) == (row.message_count, row.last_seq)
    await fixtures.write(room_deletes=[fixtures.delete_room(room_id)])
    gone = await StoreAudit(fixtures.store).room(SHARD, room_id)
    assert gone is not None
    assert gone.deleted


async def test_a_room_that_is_not_there_is_not_told(fixtures: StoreFixtures) -> None:
    assert await StoreAudit(fixtures.store).room(SHARD, fixtures.room_id()) is None


async def test_every_room_is_told_once_in_pages(fixtures: StoreFixtures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PAGE", 3)
    rooms = [fixtures.create(fixtures.room_id(), created_at=number) for number in range(10)]
    await fixtures.write(creates=rooms)
    found = [room.room_id async for room in StoreAudit(fixtures.store).rooms(SHARD)]
    assert found == sorted(set(found))
    assert {room.room_id for room in rooms} <= set(found)

"""External ids through the gateway: one room has an id, whoever asks for it and whatever Redis has forgotten."""

from __future__ import annotations

import asyncio

import pytest

from parlor.errors import CacheUnavailable, StoreUnavailable
from parlor.model.requests import RoomReceipt
from tests.unit.actors.cluster import Cluster
from tests.unit.domain import HOME, Domain

pytestmark = pytest.mark.unit


@pytest.fixture
def cluster(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(domain, monkeypatch)


async def test_an_external_id_has_one_room_until_it_is_deleted(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()

    async def create() -> RoomReceipt:
        return await gateway.create_room(domain.ada, None, None, external_id="chat-1")

    made = await asyncio.gather(*(create() for _ in range(5)))
    assert len({each.room.room_id for each in made}) == 1
    assert sorted(each.replayed for each in made) == [False, True, True, True, True]
    first = made[0].room
    assert [room.external_id for room in (await gateway.find_rooms(domain.ada, "chat-1")).rooms] == ["chat-1"]
    assert (await gateway.find_rooms(domain.session("eve"), "chat-1")).rooms == []
    await gateway.delete_room(domain.ada, first.room_id)
    assert (await gateway.find_rooms(domain.ada, "chat-1")).total_count == 0
    second = await create()
    assert (second.replayed, second.room.external_id) == (False, "chat-1")
    assert second.room.room_id != first.room_id


async def test_an_external_id_is_found_after_redis_came_back_empty(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()
    first = (await gateway.create_room(domain.ada, None, None, external_id="chat-1")).room
    await domain.write_all()
    await domain.redis.flushall()
    assert (await gateway.find_rooms(domain.ada, "chat-1")).rooms[0].room_id == first.room_id
    again = await gateway.create_room(domain.ada, None, None, external_id="chat-1")
    assert (again.replayed, again.room.room_id) == (True, first.room_id)
    await gateway.delete_room(domain.ada, first.room_id)
    second = await gateway.create_room(domain.ada, None, None, external_id="chat-1")
    assert second.room.room_id != first.room_id
    await domain.write_all()
    stored = await domain.store.room_find(domain.ada.shard_id, domain.ada.account_db_key, "chat-1")
    assert stored == second.room.room_id


async def test_an_external_id_whose_room_is_gone_is_free(cluster: Cluster) -> None:
    """As when an older program deleted it, which leaves the id with the account."""
    domain, gateway = cluster.domain, cluster.gateway()
    first = (await gateway.create_room(domain.ada, None, None, external_id="chat-1")).room
    await gateway.delete_room(domain.ada, first.room_id)
    account = domain.live.keys.account(domain.ada.partition, domain.ada.account_id)
    await domain.redis.hset(account, "x:chat-1", first.room_id)
    assert (await gateway.find_rooms(domain.ada, "chat-1")).rooms == []
    second = await gateway.create_room(domain.ada, None, None, external_id="chat-1")
    assert (second.replayed, second.room.external_id) == (False, "chat-1")


async def test_a_shard_that_does_not_answer_creates_no_second_room(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()
    await domain.loader.open_partition(HOME)
    domain.store.down = True
    with pytest.raises(StoreUnavailable):
        await gateway.create_room(domain.ada, None, None, external_id="chat-1")
    with pytest.raises(StoreUnavailable):
        await gateway.find_rooms(domain.ada, "chat-1")


async def test_while_redis_is_away_an_external_id_that_is_not_stored_may_still_have_a_room(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()
    stored = (await gateway.create_room(domain.ada, None, None, external_id="stored")).room
    await domain.write_all()
    await gateway.create_room(domain.ada, None, None, external_id="queued")
    domain.server.connected = False
    assert (await gateway.find_rooms(domain.ada, "stored")).rooms[0].room_id == stored.room_id
    for name in ("queued", "never was"):
        with pytest.raises(CacheUnavailable):
            await gateway.find_rooms(domain.ada, name)

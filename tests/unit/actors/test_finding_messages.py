"""A message is found by its id alone, wherever it is kept by now, and by its own account only."""

from __future__ import annotations

import pytest

from parlor.cache import reads
from parlor.errors import CacheUnavailable, MessageNotFound, StoreUnavailable
from parlor.model.messages import Message
from parlor.model.requests import ReplyMode, SendRequest
from tests.unit.actors.cluster import Cluster
from tests.unit.domain import HOME, NEIGHBOUR, Domain

pytestmark = pytest.mark.unit


@pytest.fixture
def cluster(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(reads, "ROOMS_AT_ONCE", 2)
    return Cluster(domain, monkeypatch)


async def said(cluster: Cluster, text: str = "Hello") -> Message:
    """A message in a room of its own."""
    domain = cluster.domain
    room = await domain.new_room()
    request = SendRequest(text, reply=ReplyMode.NONE)
    return (await cluster.gateway().send_message(domain.ada, room, request)).message


@pytest.mark.parametrize("later", range(5))
async def test_a_message_that_is_not_stored_is_found_among_rooms_that_were_active_since(
    cluster: Cluster, later: int
) -> None:
    message = await said(cluster)
    for _ in range(later):
        await cluster.domain.clock.advance(20)
        await said(cluster, "Later")
    found = await cluster.gateway().find_message(cluster.domain.ada, message.message_id)
    assert (found.message_id, found.room_id, found.content) == (message.message_id, message.room_id, "Hello")


async def test_a_message_that_only_its_shard_has_is_found(cluster: Cluster) -> None:
    message = await said(cluster)
    await cluster.domain.write_all()
    await cluster.domain.redis.flushall()
    found = await cluster.gateway().find_message(cluster.domain.ada, message.message_id)
    assert (found.room_id, found.content) == (message.room_id, "Hello")


@pytest.mark.parametrize("stored", [False, True])
async def test_another_accounts_message_is_not_found(cluster: Cluster, stored: bool) -> None:
    message, gateway = await said(cluster), cluster.gateway()
    if stored:
        await cluster.domain.write_all()
    for session in (cluster.domain.session("eve"), cluster.domain.session("ada", NEIGHBOUR)):
        with pytest.raises(MessageNotFound):
            await gateway.find_message(session, message.message_id)
    with pytest.raises(MessageNotFound):
        await gateway.find_message(cluster.domain.ada, cluster.domain.mint.message_id(HOME))


@pytest.mark.parametrize("stored", [False, True])
async def test_a_message_of_a_deleted_room_is_not_found(cluster: Cluster, stored: bool) -> None:
    message, gateway = await said(cluster), cluster.gateway()
    if stored:
        await cluster.domain.write_all()
    await gateway.delete_room(cluster.domain.ada, message.room_id)
    with pytest.raises(MessageNotFound):
        await gateway.find_message(cluster.domain.ada, message.message_id)


async def test_while_the_shard_is_away_what_redis_has_is_found(cluster: Cluster) -> None:
    message, gateway = await said(cluster), cluster.gateway()
    cluster.domain.store.down = True
    assert (await gateway.find_message(cluster.domain.ada, message.message_id)).content == "Hello"
    with pytest.raises(StoreUnavailable):
        await gateway.find_message(cluster.domain.ada, cluster.domain.mint.message_id(HOME))


async def test_while_redis_is_away_what_is_stored_is_found(cluster: Cluster) -> None:
    message, gateway = await said(cluster), cluster.gateway()
    await cluster.domain.write_all()
    cluster.domain.server.connected = False
    assert (await gateway.find_message(cluster.domain.ada, message.message_id)).content == "Hello"
    with pytest.raises(CacheUnavailable):
        await gateway.find_message(cluster.domain.ada, cluster.domain.mint.message_id(HOME))

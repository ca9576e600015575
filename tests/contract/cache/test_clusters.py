"""Clusters on one Redis: signs of life, and commands that one leaves for another."""

from __future__ import annotations

import pytest

from parlor.cache.clusters import ALIVE_MS, CALL_MS, TAKEN_AT_ONCE, ClusterCache
from parlor.cache.reads import Holder
from parlor.model.ids import NO_CLUSTER, Claim, ClusterId
from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures

pytestmark = pytest.mark.contract


@pytest.fixture
def clusters(fixtures: CacheFixtures) -> ClusterCache:
    return ClusterCache(fixtures.live)


@pytest.fixture
def blue(fixtures: CacheFixtures) -> ClusterId:
    """Another one for each test: nothing of a cluster is in its partition."""
    return ClusterId(fixtures.mint.token()[:12])


async def test_a_call_is_taken_once_and_answered(
    fixtures: CacheFixtures, clusters: ClusterCache, blue: ClusterId
) -> None:
    assert await clusters.take(blue) == []
    nonce = fixtures.mint.token()
    assert await clusters.call(blue, nonce, b"\x00command")
    assert await clusters.answer_to(blue, nonce) == b""
    fixtures.live.twice = False
    assert await clusters.take(blue) == [(nonce, b"\x00command")]
    assert await clusters.take(blue) == []
    await clusters.answer(blue, nonce, b"\x00outcome")
    assert await clusters.answer_to(blue, nonce) == b"\x00outcome"


async def test_calls_are_taken_in_their_order_and_not_all_at_once(
    fixtures: CacheFixtures, clusters: ClusterCache, blue: ClusterId
) -> None:
    await clusters.take(blue)
    fixtures.live.twice = False
    for number in range(TAKEN_AT_ONCE + 3):
        assert await clusters.call(blue, fixtures.mint.token(), b"%d" % number)
    taken = [call for _, call in await clusters.take(blue)]
    assert len(taken) == TAKEN_AT_ONCE
    assert [*taken, *(call for _, call in await clusters.take(blue))] == [
        b"%d" % number for number in range(TAKEN_AT_ONCE + 3)
    ]


async def test_a_cluster_that_gives_no_sign_of_life_is_not_called(
    fixtures: CacheFixtures, clusters: ClusterCache, blue: ClusterId
) -> None:
    nonce = fixtures.mint.token()
    assert not await clusters.lives(blue)
    assert not await clusters.call(blue, nonce, b"command")
    await clusters.take(blue)
    assert await clusters.lives(blue)
    assert await clusters.call(blue, nonce, b"command")
    await clusters.answer(blue, nonce, b"outcome")
    later = fixtures.mint.token()
    assert await clusters.call(blue, later, b"command")
    await clusters.leave(blue)
    assert await clusters.answer_to(blue, nonce) == b"outcome", "it had answered"
    assert await clusters.answer_to(blue, later) is None


async def test_signs_of_life_calls_and_answers_end_by_themselves(
    fixtures: CacheFixtures, clusters: ClusterCache, blue: ClusterId
) -> None:
    await clusters.take(blue)
    nonce = fixtures.mint.token()
    await clusters.call(blue, nonce, b"command")
    keys = fixtures.keys
    names = keys.alive(blue), keys.calls(blue), keys.answer(blue, nonce)
    times = [await fixtures.redis.pttl(name) for name in names]
    for found, limit in zip(times, (ALIVE_MS, CALL_MS, CALL_MS), strict=True):
        assert 0 < found <= limit
    await fixtures.redis.delete(names[2])
    await clusters.answer(blue, nonce, b"outcome")
    assert not await fixtures.redis.exists(names[2]), "nobody waits for it any more"


async def test_which_clusters_there_are(clusters: ClusterCache, blue: ClusterId, fixtures: CacheFixtures) -> None:
    green = ClusterId(fixtures.mint.token()[:12])
    for cluster in (blue, green):
        await clusters.enlist(cluster)
        await clusters.take(cluster)
    assert await clusters.others(blue) == [green]
    await clusters.leave(green)
    assert await clusters.others(blue) == []


async def test_the_holder_of_a_room_is_the_cluster_that_its_claim_names(fixtures: CacheFixtures) -> None:
    address = await fixtures.created()
    assert await fixtures.reader.holder(address.room_id) == Holder(0, NO_CLUSTER)
    await fixtures.claim(address.room_id, CLAIM_1)
    assert await fixtures.reader.holder(address.room_id) == Holder(1, NO_CLUSTER), "of an earlier version"
    claim = Claim("00ff@0b1")
    await fixtures.claim(address.room_id, claim)
    assert await fixtures.reader.holder(address.room_id) == Holder(2, ClusterId("0b1"))
    await fixtures.rooms.release(address, claim)
    assert await fixtures.reader.holder(address.room_id) == Holder(2, NO_CLUSTER)
    assert await fixtures.reader.holder(fixtures.address().room_id) == Holder(0, NO_CLUSTER)

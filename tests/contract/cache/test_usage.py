"""count_usage: tokens that no message's end counts."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.cache.usage import UsageCache
from parlor.errors import OutOfStep, PartitionUnknown
from parlor.model.ids import Partition
from parlor.model.messages import Usage
from tests.contract.cache.fixtures import CLAIM_1, NOW, CacheFixtures

pytestmark = pytest.mark.contract


@pytest.fixture
def usage(fixtures: CacheFixtures) -> UsageCache:
    return UsageCache(fixtures.live)


async def counted(fixtures: CacheFixtures) -> list[Usage | None]:
    return [entry.usage for entry in await fixtures.queued() if entry.op == "CHAT_USAGE_ADD"]


async def test_tokens_are_queued_for_the_accounts_day(fixtures: CacheFixtures, usage: UsageCache) -> None:
    address = await fixtures.claimed()
    await usage.add(address, "follow_up", "call-1", Usage(300, 5))
    *_, entry = await fixtures.queued()
    assert (entry.op, entry.at, entry.usage, entry.address) == ("CHAT_USAGE_ADD", NOW, Usage(300, 5), address)


async def test_each_call_is_counted_once(fixtures: CacheFixtures, usage: UsageCache) -> None:
    address = await fixtures.claimed()
    for purpose, call, tokens in (("reply", "1", 1), ("follow_up", "1", 2), ("reply", "1", 1), ("reply", "2", 3)):
        await usage.add(address, purpose, call, Usage(tokens, 0))
    assert await counted(fixtures) == [Usage(1, 0), Usage(2, 0), Usage(3, 0)]


async def test_a_room_that_nobody_owns_or_that_was_deleted_has_used_them_all_the_same(
    fixtures: CacheFixtures, usage: UsageCache
) -> None:
    unowned, deleted = await fixtures.claimed(), await fixtures.claimed()
    await fixtures.rooms.release(unowned, CLAIM_1)
    await fixtures.rooms.delete(deleted, CLAIM_1, "account")
    for address in (unowned, deleted):
        await usage.add(address, "reply", "call-1", Usage(1, 2))
    assert await counted(fixtures) == [Usage(1, 2), Usage(1, 2)]
    await fixtures.stored(unowned)
    await fixtures.stored(deleted)
    assert await fixtures.queued() == []


async def test_a_room_does_not_expire_before_they_are_stored(fixtures: CacheFixtures, usage: UsageCache) -> None:
    address = await fixtures.claimed()
    await fixtures.stored(address)
    assert await fixtures.redis.pttl(fixtures.keys.room(address.partition, address.room_id)) > 0
    await usage.add(address, "reply", "call-1", Usage(1, 2))
    assert await fixtures.redis.pttl(fixtures.keys.room(address.partition, address.room_id)) == -1
    await fixtures.stored(address)
    assert await fixtures.redis.pttl(fixtures.keys.room(address.partition, address.room_id)) > 0


async def test_where_redis_knows_nothing_nothing_is_counted(fixtures: CacheFixtures, usage: UsageCache) -> None:
    with pytest.raises(OutOfStep):
        await usage.add(fixtures.address(), "reply", "call-1", Usage(1, 2))
    unknown = RoomAddress(fixtures.mint.room_id(Partition(4095)), fixtures.address().account_id, 7)
    with pytest.raises(PartitionUnknown):
        await usage.add(unknown, "reply", "call-1", Usage(1, 2))

"""A writer's reads: in order, its own unfinished entries first, blocking without losing any.

Real servers only: a fake's XREADGROUP with BLOCK does not behave.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from parlor.cache.queue import WriterQueue
from parlor.errors import CacheUnavailable
from parlor.model.ids import Partition
from tests.contract.cache.fixtures import LEASE, CacheFixtures

pytestmark = pytest.mark.contract


@pytest.fixture
async def queue(server_fixtures: CacheFixtures) -> AsyncIterator[WriterQueue]:
    """With its own connection, as in production."""
    made = WriterQueue(server_fixtures.live, server_fixtures.settings.redis)
    yield made
    await made.close()


async def test_new_entries_come_once_and_in_order(server_fixtures: CacheFixtures, queue: WriterQueue) -> None:
    fixtures = server_fixtures
    address = await fixtures.claimed()
    await fixtures.sent(address, 5)
    first = await queue.new([fixtures.partition], 4, 10)
    second = await queue.new([fixtures.partition], 4, 10)
    assert [entry.position.number for entry in first + second] == [1, 2, 3, 4, 5, 6]
    assert await queue.new([fixtures.partition], 4, 1) == []
    assert first + second == await fixtures.queued()


async def test_what_was_read_and_not_finished_comes_again(server_fixtures: CacheFixtures, queue: WriterQueue) -> None:
    fixtures = server_fixtures
    address = await fixtures.claimed()
    await fixtures.sent(address, 3)
    taken = await queue.new([fixtures.partition], 10, 10)
    await fixtures.begin(address, taken[:2])
    await queue.finish(LEASE, address, taken[:2])
    assert await queue.unfinished(fixtures.partition, None, 10) == taken[2:]
    assert await queue.unfinished(fixtures.partition, None, 1) == taken[2:3]
    assert await queue.unfinished(fixtures.partition, taken[2].position, 10) == taken[3:]
    assert await queue.unfinished(fixtures.partition, taken[3].position, 10) == []


async def test_what_was_never_read_is_not_unfinished(server_fixtures: CacheFixtures, queue: WriterQueue) -> None:
    await server_fixtures.created()
    assert await queue.unfinished(server_fixtures.partition, None, 10) == []


async def test_a_finished_or_parked_entry_is_not_pending_any_more(
    server_fixtures: CacheFixtures, queue: WriterQueue
) -> None:
    fixtures = server_fixtures
    address = await fixtures.claimed()
    await fixtures.sent(address, 1)
    create, save = await queue.new([fixtures.partition], 10, 10)
    await fixtures.begin(address, [create])
    await queue.finish(LEASE, address, [create])
    await queue.park(LEASE, save, "reason")
    assert (await fixtures.redis.xpending(fixtures.keys.queue(fixtures.partition), "writer"))["pending"] == 0
    assert await queue.depth(fixtures.partition) == (0, 0, 1)


async def test_a_waiting_reader_gets_the_entry_that_comes(server_fixtures: CacheFixtures, queue: WriterQueue) -> None:
    fixtures = server_fixtures
    waiting = asyncio.create_task(queue.new([fixtures.partition], 10, 5_000))
    await until_blocked(fixtures)
    address = await fixtures.created()
    async with asyncio.timeout(3):
        (entry,) = await waiting
    assert (entry.op, entry.address) == ("CHAT_ROOM_CREATE", address)


async def test_a_wait_ends_without_entries(server_fixtures: CacheFixtures, queue: WriterQueue) -> None:
    assert await queue.new([server_fixtures.partition], 10, 1) == []
    assert await queue.new([], 10, 1) == []


async def test_the_limit_is_each_partitions_own(server_fixtures: CacheFixtures, queue: WriterQueue) -> None:
    fixtures = server_fixtures
    other = Partition(fixtures.partition + 2000)
    await fixtures.live.init_partition(other, 1)
    await fixtures.sent(await fixtures.claimed(), 3)
    for _ in range(3):
        await fixtures.redis.xadd(
            fixtures.keys.queue(other), {"op": "CHAT_ROOM_DELETE", "room": "r", "owner": "bob", "db_key": 1}
        )
    found = await queue.new([fixtures.partition, other], 2, 10)
    assert [entry.partition for entry in found] == [fixtures.partition] * 2 + [other] * 2


async def test_a_partition_that_redis_forgot_is_an_outage(server_fixtures: CacheFixtures, queue: WriterQueue) -> None:
    fixtures = server_fixtures
    await fixtures.redis.delete(fixtures.keys.queue(fixtures.partition), fixtures.keys.partition(fixtures.partition))
    with pytest.raises(CacheUnavailable):
        await queue.new([fixtures.partition], 10, 1)
    with pytest.raises(CacheUnavailable):
        await queue.unfinished(fixtures.partition, None, 10)


async def test_a_server_that_cannot_write_is_an_outage(server_fixtures: CacheFixtures, queue: WriterQueue) -> None:
    fixtures = server_fixtures
    await fixtures.created()
    await fixtures.redis.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(CacheUnavailable):
            await queue.new([fixtures.partition], 10, 1)
    finally:
        await fixtures.redis.replicaof("NO", "ONE")


async def until_blocked(fixtures: CacheFixtures) -> None:
    """The server says who waits; nothing tells when one begins to."""
    async with asyncio.timeout(3):
        while int((await fixtures.redis.info("clients"))["blocked_clients"]) == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

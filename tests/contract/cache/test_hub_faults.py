"""EventHub when something is wrong: lost wake-ups, logs that are gone, outages, cut connections."""

from __future__ import annotations

import asyncio

import pytest

from parlor.cache.live import RoomAddress
from parlor.errors import InternalError, InvalidRequest, StreamExpired
from parlor.model.cursors import EPOCH
from tests.contract.cache.fixtures import CacheFixtures
from tests.contract.cache.hub_readers import RING, SOON, Reading, ids, live_reply, silently, take, write

pytestmark = pytest.mark.contract


async def test_a_wake_up_that_was_lost_costs_time_and_no_event(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures, recheck_every=0.02)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await silently(fixtures, address, reply)
        assert (await take(tail, 1))[0].type == "message.delta"


async def test_a_busy_process_looks_at_quiet_logs_too(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures, recheck_every=0.05)
    quiet, reply = await live_reply(fixtures)
    busy, noise = await live_reply(fixtures)
    async with readers.tail(quiet) as tail, readers.tail(busy):
        await readers.subscribed(quiet)
        await readers.subscribed(busy)
        await silently(fixtures, quiet, reply)
        found = asyncio.create_task(take(tail, 1))
        number = 0
        async with asyncio.timeout(SOON):
            while not found.done():
                await write(fixtures, busy, noise, 1, number)
                number += 1
        assert (await found)[0].type == "message.delta"


@pytest.mark.parametrize("cursor", ["", "1", "x-1", "1-2-3", "-1-0", "1-", "9" * 16 + "-0", "1-0\n"])
async def test_a_cursor_that_is_none_is_refused(fixtures: CacheFixtures, reading: Reading, cursor: str) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    with pytest.raises(InvalidRequest):
        async with readers.tail(address, cursor):
            pytest.fail("entered")
    assert readers.hub.watched == 0


async def test_a_cursor_that_the_log_does_not_reach_back_to_is_refused(
    fixtures: CacheFixtures, reading: Reading
) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    first, second = await ids(fixtures, address)
    await fixtures.redis.delete(fixtures.key("events", address))
    with pytest.raises(StreamExpired) as expired:
        async with readers.tail(address, first):
            pytest.fail("entered")
    assert expired.value.extra == {"oldest_cursor": second}
    async with readers.tail(address, second) as tail:
        await fixtures.send(address, 2, reply=False)
        assert len(await take(tail, 1)) == 1
    assert readers.hub.watched == 0


async def test_a_cursor_ahead_of_the_log_is_refused(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    with pytest.raises(StreamExpired):
        async with readers.tail(address, "999999999999999-0"):
            pytest.fail("entered")


async def test_a_slow_reader_that_the_logs_end_overtook_is_told(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as slow, readers.tail(address) as quick:
        await write(fixtures, address, reply, RING + 10)
        await take(quick, RING + 10)
        await fixtures.redis.delete(fixtures.key("events", address))
        with pytest.raises(StreamExpired):
            await slow.next(SOON)


async def test_what_was_lost_while_redis_was_out_of_reach_is_told(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures, recheck_every=0.01)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        readers.log.out_of_reach = True
        for _ in range(3):
            await silently(fixtures, address, reply)
        await fixtures.redis.delete(fixtures.key("events", address))
        await write(fixtures, address, reply, 1)
        await asyncio.sleep(0.05)  # longer than the hub trusts what it knew
        readers.log.out_of_reach = False
        with pytest.raises(StreamExpired):
            await take(tail, 1)


async def test_an_empty_redis_whose_new_ids_are_older_is_told(fixtures: CacheFixtures, reading: Reading) -> None:
    """The clock that made the ids before was ahead by an hour."""
    readers = reading(fixtures, recheck_every=0.01)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await write(fixtures, address, reply, 1)
        await take(tail, 1)
        readers.log.out_of_reach = True
        await fixtures.redis.delete(fixtures.key("events", address))
        await fixtures.redis.hdel(fixtures.key("room", address), "event", "log_start")
        fixtures.clock.ms -= 3_600_000
        await write(fixtures, address, reply, 1, 1)
        await asyncio.sleep(0.05)  # longer than the hub trusts what it knew
        readers.log.out_of_reach = False
        with pytest.raises(StreamExpired):
            await tail.next(SOON)
        # The reader of before has not left yet.
        async with readers.tail(address) as another:
            await write(fixtures, address, reply, 1, 2)
            assert len(await take(another, 1)) == 1
    assert readers.hub.watched == 0


async def test_a_short_outage_loses_nothing(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures, recheck_every=0.01)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        readers.log.out_of_reach = True
        await write(fixtures, address, reply, 3)
        await asyncio.sleep(0.05)  # longer than the hub trusts what it knew
        readers.log.out_of_reach = False
        assert len(await take(tail, 3)) == 3


async def test_an_entry_that_cannot_be_read_is_an_error_and_no_silence(
    fixtures: CacheFixtures, reading: Reading
) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await fixtures.redis.xadd(
            fixtures.key("events", address), {"type": "message.created"}, id=f"1750000000000-{EPOCH + 9}"
        )
        await fixtures.redis.publish(fixtures.key("events", address), "")
        with pytest.raises(InternalError):
            await tail.next(SOON)
        with pytest.raises(InternalError):
            await tail.next(SOON)


async def test_readers_that_are_cancelled_leave_nothing_watched(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    addresses = [await fixtures.claimed() for _ in range(5)]

    async def read(address: RoomAddress) -> None:
        async with readers.tail(address) as tail:
            await tail.next(SOON)

    for turns in range(12):
        tasks = [asyncio.create_task(read(address)) for address in addresses]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert readers.hub.watched == 0


async def test_closing_with_readers_inside_ends_quietly(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await readers.hub.close()
        assert await tail.next(0.001) == []


# Connections: real servers only


async def connections(fixtures: CacheFixtures, kind: str) -> int:
    return len(await fixtures.redis.client_list(_type=kind))


async def test_200_readers_of_200_rooms_take_one_listening_connection(
    server_fixtures: CacheFixtures, reading: Reading
) -> None:
    fixtures = server_fixtures
    readers = reading(fixtures)
    addresses = [await fixtures.claimed() for _ in range(200)]
    before = await connections(fixtures, "normal")
    entered = 0
    everybody = asyncio.Event()

    async def read(address: RoomAddress) -> int:
        nonlocal entered
        async with readers.tail(address) as tail:
            entered += 1
            if entered == len(addresses):
                everybody.set()
            return len(await take(tail, 1))

    tasks = [asyncio.create_task(read(address)) for address in addresses]
    await asyncio.wait_for(everybody.wait(), SOON)
    await asyncio.gather(*(readers.subscribed(address) for address in addresses))
    assert await connections(fixtures, "pubsub") == 1
    assert await connections(fixtures, "normal") <= before + fixtures.settings.redis.pipelines_in_flight
    for address in addresses:
        await fixtures.send(address, 0, reply=False)
    assert await asyncio.gather(*tasks) == [1] * 200


async def test_a_listener_that_was_cut_off_comes_back(server_fixtures: CacheFixtures, reading: Reading) -> None:
    fixtures = server_fixtures
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as tail:
        for number in range(3):
            await write(fixtures, address, reply, 1, number)
            assert len(await take(tail, 1)) == 1
            await fixtures.redis.client_kill_filter(_type="pubsub")


async def test_a_redis_that_came_back_empty_behind_a_short_cut_is_told_at_once(
    server_fixtures: CacheFixtures, reading: Reading
) -> None:
    """The cut is shorter than the hub trusts what it knew, and the new log has not caught up with the old one's ids."""
    fixtures = server_fixtures
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await write(fixtures, address, reply, 1)
        await take(tail, 1)
        await fixtures.redis.delete(fixtures.key("events", address))
        await fixtures.redis.hdel(fixtures.key("room", address), "event", "log_start")
        fixtures.clock.ms -= 3_600_000
        await write(fixtures, address, reply, 1, 1)
        await fixtures.redis.client_kill_filter(_type="pubsub")
        with pytest.raises(StreamExpired):
            await tail.next(SOON)


async def test_nothing_stays_subscribed_that_nobody_reads(server_fixtures: CacheFixtures, reading: Reading) -> None:
    fixtures = server_fixtures
    readers = reading(fixtures, recheck_every=0.02, linger=0.0)
    addresses = [await fixtures.claimed() for _ in range(5)]
    stays = await fixtures.claimed()
    async with readers.tail(stays) as tail:
        for address in addresses:
            async with readers.tail(address):
                await readers.subscribed(address)
        await fixtures.send(stays, 0, reply=False)
        await take(tail, 1)
        async with asyncio.timeout(SOON):
            while len(await fixtures.redis.pubsub_channels(f"{fixtures.prefix}:*")) > 1:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.001)
        assert await fixtures.redis.pubsub_channels(f"{fixtures.prefix}:*") == [fixtures.key("events", stays).encode()]

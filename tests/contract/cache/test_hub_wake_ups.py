"""EventHub: what a wake-up carries is not read again; a log stays watched for a while after its last reader."""

from __future__ import annotations

import asyncio

import pytest

from parlor.cache import hub as hub_module
from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures, plain
from tests.contract.cache.hub_readers import SOON, Reading, ids, live_reply, silently, take, write

pytestmark = pytest.mark.contract


async def test_a_reader_in_step_reads_nothing(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await tail.stirred(SOON)
        before = readers.log.reads
        for number in range(20):
            await write(fixtures, address, reply, 1, number)
            (event,) = await take(tail, 1)
            assert event.cursor == (await ids(fixtures, address))[-1]
        assert readers.log.reads == before


async def test_nobody_is_woken_when_nobody_listens(server_fixtures: CacheFixtures, reading: Reading) -> None:
    """A server counts what it publishes. The room's log has a reader in the end, its account's never."""
    fixtures = server_fixtures

    async def published() -> int:
        counts = await fixtures.redis.info("commandstats")
        return int(counts.get("cmdstat_publish", {"calls": 0})["calls"])

    address = await fixtures.claimed()
    before = await published()
    await fixtures.send(address, 0, reply=False)
    assert await published() == before
    readers = reading(fixtures)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await fixtures.send(address, 1, reply=False)
        (event,) = await take(tail, 1)
        assert event.cursor == (await ids(fixtures, address))[-1]
    assert await published() == before + 1


async def test_what_is_heard_is_what_is_read(fixtures: CacheFixtures, reading: Reading) -> None:
    """Every kind of event that a turn has, text of every length of UTF-8 among it."""
    readers = reading(fixtures)
    address = await fixtures.claimed()
    begin = (await fixtures.page(address)).cursor
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        turn = await fixtures.send(address, 0)
        reply = await fixtures.start(address, turn)
        for number, piece in enumerate(("a", "é", "한", "🦜", ":", "1:2", "\n", "\u2028")):
            await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(number, piece))
        every = await ids(fixtures, address, begin)
        heard = await take(tail, len(every))
    async with reading(fixtures).tail(address, begin) as another:
        assert await take(another, len(every)) == heard


async def test_what_is_behind_a_gap_is_read(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await tail.stirred(SOON)
        await silently(fixtures, address, reply)
        await write(fixtures, address, reply, 1)
        found = await take(tail, 2)
    assert [event.cursor for event in found] == (await ids(fixtures, address))[-2:]


async def test_a_large_entry_is_announced_and_read(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await tail.stirred(SOON)
        before = readers.log.reads
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "x" * 5000))
        (event,) = await take(tail, 1)
    assert len(event.data) > 5000
    assert readers.log.reads > before


@pytest.mark.parametrize("said", [b"7", b"x:1", b"3:1-0", b"3:1-01:2", b"-1:x", b"9:too short"])
async def test_a_wake_up_that_is_not_understood_only_wakes(
    fixtures: CacheFixtures, reading: Reading, said: bytes
) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await silently(fixtures, address, reply)
        await fixtures.redis.publish(fixtures.key("events", address), said)
        assert (await take(tail, 1))[0].type == "message.delta"


async def test_the_next_turns_reader_finds_the_log_subscribed(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address):
        await readers.subscribed(address)
    watched = readers.hub._watched[fixtures.key("events", address)]
    await write(fixtures, address, reply, 3)
    async with readers.tail(address) as tail:
        assert readers.hub._watched[fixtures.key("events", address)] is watched
        await write(fixtures, address, reply, 1, 3)
        assert [event.cursor for event in await take(tail, 1)] == (await ids(fixtures, address))[-1:]


async def test_a_wake_up_that_was_lost_while_nobody_read_is_made_up_for(
    fixtures: CacheFixtures, reading: Reading
) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    cursor = (await ids(fixtures, address))[-1]
    async with readers.tail(address):
        await readers.subscribed(address)
    await silently(fixtures, address, reply)
    async with readers.tail(address, cursor) as tail:
        await write(fixtures, address, reply, 1)
        found = await take(tail, 2)
    assert [event.cursor for event in found] == await ids(fixtures, address, cursor)


async def test_no_more_than_some_logs_stay_watched(
    fixtures: CacheFixtures, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "LINGERING", 3)
    readers = reading(fixtures)
    addresses = [await fixtures.claimed() for _ in range(6)]
    for address in addresses:
        async with readers.tail(address):
            pass
    async with readers.tail(addresses[3]):
        pass
    expected = [fixtures.key("events", addresses[place]) for place in (4, 5, 3)]
    assert list(readers.hub._watched) == expected


async def test_a_log_is_forgotten_some_time_after_its_last_reader(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures, recheck_every=0.01, linger=0.05)
    left, stays = await fixtures.claimed(), await fixtures.claimed()
    async with readers.tail(stays):
        async with readers.tail(left):
            await readers.subscribed(left)
        async with asyncio.timeout(SOON):
            while len(readers.hub._watched) > 1:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.001)
        assert list(readers.hub._watched) == [fixtures.key("events", stays)]

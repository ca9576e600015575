"""EventHub: many readers of many logs; nothing is missed and nothing comes twice (P4)."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from functools import partial

import pytest

from parlor.cache.hub import Tail
from parlor.cache.reads import LogPosition
from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures, plain
from tests.contract.cache.hub_readers import RING, SOON, Reading, ids, live_reply, take, write

pytestmark = pytest.mark.contract


async def test_an_event_reaches_a_reader_as_it_comes(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    async with readers.tail(address) as tail:
        turn = await fixtures.send(address, 0)
        events = await take(tail, 2)
    assert [event.type for event in events] == ["message.created", "message.created"]
    assert [event.message_id for event in events] == [turn.message_id, turn.reply_id]
    assert [event.cursor for event in events] == await ids(fixtures, address)
    assert tail.cursor == events[-1].cursor


async def test_a_reader_from_now_gets_nothing_from_before(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    await fixtures.send(address, 0)
    async with readers.tail(address) as tail:
        assert await tail.next(0.005) == []
        await fixtures.send(address, 2, reply=False)
        (event,) = await take(tail, 1)
    assert event.cursor == (await ids(fixtures, address))[-1]


async def test_a_reader_resumes_behind_its_cursor(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    await write(fixtures, address, reply, 10)
    every = await ids(fixtures, address)
    for place in (0, 3, len(every) - 1):
        async with readers.tail(address, every[place]) as tail:
            rest = every[place + 1 :]
            assert [event.cursor for event in await take(tail, len(rest))] == rest


async def test_a_reader_who_comes_just_as_the_last_one_leaves_is_served(
    fixtures: CacheFixtures, reading: Reading
) -> None:
    """Before the hub has noticed: the channel is subscribed still, so nothing new confirms it."""
    readers = reading(fixtures, recheck_every=60.0)
    address = await fixtures.claimed()
    async with AsyncExitStack() as first:
        await first.enter_async_context(readers.tail(address))
        await readers.subscribed(address)
        leaving: list[asyncio.Task[None]] = []

        async def position() -> LogPosition | None:
            found = await fixtures.reader.room_log(address.room_id)
            leaving.append(asyncio.create_task(first.aclose()))
            await asyncio.sleep(0)
            return found

        read = readers.log.of_room(address.room_id)
        async with readers.hub.tail(fixtures.key("events", address), None, position, read) as tail:
            await fixtures.send(address, 0)
            assert len(await take(tail, 2)) == 2
            await asyncio.gather(*leaving)


@pytest.mark.parametrize("seed", range(6))
async def test_no_reader_misses_or_repeats_anything_while_others_write(
    fixtures: CacheFixtures, reading: Reading, seed: int
) -> None:
    """Readers come at any cursor and any moment, leave, and come back, while a reply is being written."""
    dice = random.Random(seed)
    readers = reading(fixtures, recheck_every=0.05)
    address, reply = await live_reply(fixtures)
    total = 120
    begin = (await fixtures.page(address)).cursor
    done = asyncio.Event()

    async def writer() -> None:
        for number in range(total):
            await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(number, "x"))
            if dice.random() < 0.3:
                await asyncio.sleep(0)
        done.set()

    async def reader() -> list[str]:
        seen: list[str] = []
        cursor = begin
        while len(seen) < total:
            stay = dice.randrange(1, 40)
            async with readers.tail(address, cursor) as tail:
                while stay > 0 and len(seen) < total:
                    events = await tail.next(SOON)
                    seen += [event.cursor for event in events]
                    stay -= len(events)
                cursor = tail.cursor
            await asyncio.sleep(0.001 * dice.random())
        return seen

    async with asyncio.timeout(4 * SOON):
        *seen, _ = await asyncio.gather(*(reader() for _ in range(8)), writer())
    expected = await ids(fixtures, address, begin)
    assert len(expected) == total
    for found in seen:
        assert found == expected
    assert readers.hub.watched == 0


async def test_many_readers_share_one_read(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    tails: list[Tail] = []

    async def read_all(place: int) -> int:
        async with readers.tail(address) as tail:
            tails.append(tail)
            if len(tails) == 50:
                entered.set()
            return len(await take(tail, 20))

    entered = asyncio.Event()
    tasks = [asyncio.create_task(read_all(place)) for place in range(50)]
    await asyncio.wait_for(entered.wait(), SOON)
    assert readers.hub.watched == 1
    await readers.subscribed(address)
    before = readers.log.reads
    await write(fixtures, address, reply, 20)
    assert await asyncio.gather(*tasks) == [20] * 50
    assert readers.log.reads - before <= 25


async def test_a_reader_behind_the_ring_reads_for_itself(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as slow, readers.tail(address) as quick:
        begin = slow.cursor
        await write(fixtures, address, reply, 2 * RING + 50)
        await take(quick, 2 * RING + 50)
        watched = readers.hub._watched[fixtures.key("events", address)]
        assert len(watched.ring) == RING
        found = await take(slow, 2 * RING + 50)
    assert [event.cursor for event in found] == await ids(fixtures, address, begin)


async def test_a_log_that_was_left_can_be_watched_again_at_once(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    for number in range(10):
        async with readers.tail(address) as tail:
            await fixtures.send(address, number, reply=False)
            assert len(await take(tail, 1)) == 1
        assert readers.hub.watched == 0


async def test_a_reader_that_stays_is_not_disturbed_by_one_that_leaves(
    fixtures: CacheFixtures, reading: Reading
) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    async with readers.tail(address) as stays:
        async with readers.tail(address):
            pass
        assert readers.hub.watched == 1
        await fixtures.send(address, 0, reply=False)
        assert len(await take(stays, 1)) == 1


async def test_a_stir_between_two_waits_is_not_lost(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    async with readers.tail(address) as tail, readers.tail(address) as witness:
        await readers.subscribed(address)
        await fixtures.send(address, 1, reply=False)
        await take(witness, 1)
        async with asyncio.timeout(SOON):
            await tail.stirred(10 * SOON)


async def test_a_commit_stirs_although_it_is_no_event(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await tail.stirred(SOON)
        waiting = asyncio.create_task(tail.stirred(10 * SOON))
        await fixtures.stored(address)
        await asyncio.wait_for(waiting, SOON)
        assert await tail.next(0.001) == []


async def test_an_account_has_events_of_its_own(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address = await fixtures.claimed()
    stream = fixtures.key("account_events", address)
    position = partial(fixtures.reader.account_log, fixtures.partition, address.account_id)
    async with readers.hub.tail(stream, None, position, readers.log.of_account(stream)) as tail:
        await fixtures.rooms.update(address, CLAIM_1, "Another", None)
        (updated,) = await take(tail, 1)
        await fixtures.rooms.delete(address, CLAIM_1, "account")
        (deleted,) = await take(tail, 1)
    assert (updated.type, b'"title":"Another"' in updated.data) == ("room.updated", True)
    assert (deleted.type, deleted.data) == ("room.deleted", f'{{"room_id":"{address.room_id}"}}'.encode())

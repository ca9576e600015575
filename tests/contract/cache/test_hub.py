"""EventHub: many readers of many logs over two connections; nothing is missed and nothing comes twice (P4)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from parlor.cache import hub as hub_module
from parlor.cache import watched as watched_module
from parlor.cache.connection import Answer
from parlor.cache.events import Entry, EventLog
from parlor.cache.hub import EventHub, Tail
from parlor.cache.live import RoomAddress
from parlor.errors import CacheUnavailable, InternalError, InvalidRequest, StreamExpired
from parlor.ids import MessageId
from parlor.model import Event
from tests.contract.cache.world import World

pytestmark = pytest.mark.contract
RING = 32
"""Smaller than in production, so that it is overrun with few events."""
SOON = 20.0
"""Seconds within which everything here has to happen; nothing waits for so long unless it fails."""


class CountingLog(EventLog):
    """Knows how often it was read, and can be out of reach."""

    def __init__(self, world: World) -> None:
        super().__init__(world.live)
        self.reads = 0
        self.out_of_reach = False

    async def entries(self, stream: str, after: str) -> list[Entry]:
        self.reads += 1
        if self.out_of_reach:
            raise CacheUnavailable
        return await super().entries(stream, after)


class Readers:
    """A hub and short ways to read with it."""

    def __init__(self, world: World, recheck_every: float) -> None:
        self.world = world
        self.log = CountingLog(world)
        self.hub = EventHub(self.log, world.new_client(), recheck_every)

    def tail(self, address: RoomAddress, after: str | None = None) -> AbstractAsyncContextManager[Tail]:
        return self.hub.tail(
            self.world.key("events", address),
            after,
            partial(self.world.reader.room_log, address.room_id),
            partial(self.log.room_event, address.room_id),
        )

    async def subscribed(self, address: RoomAddress) -> None:
        """Returns when the hub hears of the room."""
        await asyncio.wait_for(self.hub._watched[self.world.key("events", address)].subscribed.wait(), SOON)


Reading = Callable[..., Readers]


@pytest.fixture
async def reading(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reading]:
    """Makes hubs, and sees that they leave nothing behind."""
    monkeypatch.setattr(hub_module, "RECONNECT_AFTER", 0.01)
    monkeypatch.setattr(watched_module, "RING", RING)
    made: list[Readers] = []
    before = asyncio.all_tasks()

    def make(world: World, recheck_every: float = 60.0) -> Readers:
        world.live.twice = False
        made.append(Readers(world, recheck_every))
        return made[-1]

    yield make
    for readers in made:
        await readers.hub.close()
    assert {task for task in asyncio.all_tasks() - before if "Hub" in repr(task.get_coro())} == set()


async def take(tail: Tail, count: int) -> list[Event]:
    """The next events, so many and no more."""
    found: list[Event] = []
    async with asyncio.timeout(SOON):
        while len(found) < count:
            found += await tail.next(SOON)
    assert len(found) == count
    return found


async def ids(world: World, address: RoomAddress, after: str = "0-0") -> list[str]:
    entries = await world.entries(world.key("events", address), f"({after}")
    return [entry_id.decode() for entry_id, _ in entries]


async def live_reply(world: World) -> tuple[RoomAddress, MessageId]:
    address = await world.claimed()
    return address, await world.start(address, await world.send(address, 0))


async def write(world: World, address: RoomAddress, reply: MessageId, count: int, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        await world.rooms.append_delta(address, "claim-1", reply, 1, number, "x")


async def test_an_event_reaches_a_reader_as_it_comes(world: World, reading: Reading) -> None:
    readers = reading(world)
    address = await world.claimed()
    async with readers.tail(address) as tail:
        turn = await world.send(address, 0)
        events = await take(tail, 2)
    assert [event.type for event in events] == ["message.created", "message.created"]
    assert [event.message_id for event in events] == [turn.message_id, turn.reply_id]
    assert [event.cursor for event in events] == await ids(world, address)
    assert tail.cursor == events[-1].cursor


async def test_a_reader_from_now_gets_nothing_from_before(world: World, reading: Reading) -> None:
    readers = reading(world)
    address = await world.claimed()
    await world.send(address, 0)
    async with readers.tail(address) as tail:
        assert await tail.next(0.005) == []
        await world.send(address, 2, reply=False)
        (event,) = await take(tail, 1)
    assert event.cursor == (await ids(world, address))[-1]


async def test_a_reader_resumes_behind_its_cursor(world: World, reading: Reading) -> None:
    readers = reading(world)
    address, reply = await live_reply(world)
    await write(world, address, reply, 10)
    every = await ids(world, address)
    for place in (0, 3, len(every) - 1):
        async with readers.tail(address, every[place]) as tail:
            rest = every[place + 1 :]
            assert [event.cursor for event in await take(tail, len(rest))] == rest


@pytest.mark.parametrize("seed", range(6))
async def test_no_reader_misses_or_repeats_anything_while_others_write(
    world: World, reading: Reading, seed: int
) -> None:
    """Readers come at any cursor and any moment, leave, and come back, while a reply is being written."""
    dice = random.Random(seed)
    readers = reading(world, recheck_every=0.05)
    address, reply = await live_reply(world)
    total = 120
    begin = (await world.page(address)).cursor
    done = asyncio.Event()

    async def writer() -> None:
        for number in range(total):
            await world.rooms.append_delta(address, "claim-1", reply, 1, number, "x")
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
    expected = await ids(world, address, begin)
    assert len(expected) == total
    for found in seen:
        assert found == expected
    assert readers.hub.watched == 0


async def test_many_readers_share_one_read(world: World, reading: Reading) -> None:
    readers = reading(world)
    address, reply = await live_reply(world)
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
    await write(world, address, reply, 20)
    assert await asyncio.gather(*tasks) == [20] * 50
    assert readers.log.reads - before <= 25


async def test_a_reader_behind_the_ring_reads_for_itself(world: World, reading: Reading) -> None:
    readers = reading(world)
    address, reply = await live_reply(world)
    async with readers.tail(address) as slow, readers.tail(address) as quick:
        begin = slow.cursor
        await write(world, address, reply, 2 * RING + 50)
        await take(quick, 2 * RING + 50)
        watched = readers.hub._watched[world.key("events", address)]
        assert len(watched.ring) == RING
        found = await take(slow, 2 * RING + 50)
    assert [event.cursor for event in found] == await ids(world, address, begin)


async def test_a_wake_up_that_was_lost_costs_time_and_no_event(world: World, reading: Reading) -> None:
    readers = reading(world, recheck_every=0.02)
    address, reply = await live_reply(world)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await silently(world, address, reply)
        assert (await take(tail, 1))[0].type == "message.delta"


async def test_a_busy_process_looks_at_quiet_logs_too(world: World, reading: Reading) -> None:
    readers = reading(world, recheck_every=0.05)
    quiet, reply = await live_reply(world)
    busy, noise = await live_reply(world)
    async with readers.tail(quiet) as tail, readers.tail(busy):
        await readers.subscribed(quiet)
        await readers.subscribed(busy)
        await silently(world, quiet, reply)
        found = asyncio.create_task(take(tail, 1))
        number = 0
        async with asyncio.timeout(SOON):
            while not found.done():
                await write(world, busy, noise, 1, number)
                number += 1
        assert (await found)[0].type == "message.delta"


async def silently(world: World, address: RoomAddress, reply: MessageId) -> None:
    """An event whose wake-up never comes."""
    stream, room = world.key("events", address), world.key("room", address)
    last = (await world.hash("room", address))[b"event"].decode()
    ms, _, number = last.partition("-")
    entry = f"{ms}-{int(number) + 1}"
    fields: Answer = {"type": "message.delta", "message": reply, "attempt": "1", "offset": "0", "text": "x"}
    async with world.redis.pipeline(transaction=True) as pipe:
        pipe.xadd(stream, fields, id=entry)
        pipe.hset(room, "event", entry)
        await pipe.execute()


@pytest.mark.parametrize("cursor", ["", "1", "x-1", "1-2-3", "-1-0", "1-", "9" * 16 + "-0", "1-0\n"])
async def test_a_cursor_that_is_none_is_refused(world: World, reading: Reading, cursor: str) -> None:
    readers = reading(world)
    address = await world.claimed()
    with pytest.raises(InvalidRequest):
        async with readers.tail(address, cursor):
            pytest.fail("entered")
    assert readers.hub.watched == 0


async def test_a_cursor_that_the_log_does_not_reach_back_to_is_refused(world: World, reading: Reading) -> None:
    readers = reading(world)
    address = await world.claimed()
    await world.send(address, 0)
    first, second = await ids(world, address)
    await world.redis.delete(world.key("events", address))
    with pytest.raises(StreamExpired) as expired:
        async with readers.tail(address, first):
            pytest.fail("entered")
    assert expired.value.extra == {"oldest_cursor": second}
    async with readers.tail(address, second) as tail:
        await world.send(address, 2, reply=False)
        assert len(await take(tail, 1)) == 1
    assert readers.hub.watched == 0


async def test_a_cursor_ahead_of_the_log_is_refused(world: World, reading: Reading) -> None:
    readers = reading(world)
    address = await world.claimed()
    with pytest.raises(StreamExpired):
        async with readers.tail(address, "999999999999999-0"):
            pytest.fail("entered")


async def test_a_slow_reader_that_the_logs_end_overtook_is_told(world: World, reading: Reading) -> None:
    readers = reading(world)
    address, reply = await live_reply(world)
    async with readers.tail(address) as slow, readers.tail(address) as quick:
        await write(world, address, reply, RING + 10)
        await take(quick, RING + 10)
        await world.redis.delete(world.key("events", address))
        with pytest.raises(StreamExpired):
            await slow.next(SOON)


async def test_what_was_lost_while_redis_was_out_of_reach_is_told(world: World, reading: Reading) -> None:
    readers = reading(world, recheck_every=0.01)
    address, reply = await live_reply(world)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        readers.log.out_of_reach = True
        await write(world, address, reply, 3)
        await world.redis.delete(world.key("events", address))
        await write(world, address, reply, 1, 3)
        await asyncio.sleep(0.05)  # longer than the hub trusts what it knew
        readers.log.out_of_reach = False
        with pytest.raises(StreamExpired):
            await take(tail, 1)


async def test_a_short_outage_loses_nothing(world: World, reading: Reading) -> None:
    readers = reading(world, recheck_every=0.01)
    address, reply = await live_reply(world)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        readers.log.out_of_reach = True
        await write(world, address, reply, 3)
        await asyncio.sleep(0.05)  # longer than the hub trusts what it knew
        readers.log.out_of_reach = False
        assert len(await take(tail, 3)) == 3


async def test_an_entry_that_cannot_be_read_is_an_error_and_no_silence(world: World, reading: Reading) -> None:
    readers = reading(world)
    address = await world.claimed()
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await world.redis.xadd(world.key("events", address), {"type": "message.created"}, id="1750000000000-9")
        await world.redis.publish(world.key("events", address), "")
        with pytest.raises(InternalError):
            await tail.next(SOON)
        with pytest.raises(InternalError):
            await tail.next(SOON)


async def test_a_log_that_was_left_can_be_watched_again_at_once(world: World, reading: Reading) -> None:
    readers = reading(world)
    address = await world.claimed()
    for number in range(10):
        async with readers.tail(address) as tail:
            await world.send(address, number, reply=False)
            assert len(await take(tail, 1)) == 1
        assert readers.hub.watched == 0


async def test_a_reader_that_stays_is_not_disturbed_by_one_that_leaves(world: World, reading: Reading) -> None:
    readers = reading(world)
    address = await world.claimed()
    async with readers.tail(address) as stays:
        async with readers.tail(address):
            pass
        assert readers.hub.watched == 1
        await world.send(address, 0, reply=False)
        assert len(await take(stays, 1)) == 1


async def test_readers_that_are_cancelled_leave_nothing_watched(world: World, reading: Reading) -> None:
    readers = reading(world)
    addresses = [await world.claimed() for _ in range(5)]

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


async def test_a_stir_between_two_waits_is_not_lost(world: World, reading: Reading) -> None:
    readers = reading(world)
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    async with readers.tail(address) as tail, readers.tail(address) as witness:
        await readers.subscribed(address)
        await world.send(address, 1, reply=False)
        await take(witness, 1)
        async with asyncio.timeout(SOON):
            await tail.stirred(10 * SOON)


async def test_a_commit_stirs_although_it_is_no_event(world: World, reading: Reading) -> None:
    readers = reading(world)
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await tail.stirred(SOON)
        waiting = asyncio.create_task(tail.stirred(10 * SOON))
        await world.stored(address)
        await asyncio.wait_for(waiting, SOON)
        assert await tail.next(0.001) == []


async def test_closing_with_readers_inside_ends_quietly(world: World, reading: Reading) -> None:
    readers = reading(world)
    address = await world.claimed()
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        await readers.hub.close()
        assert await tail.next(0.001) == []


async def test_an_account_has_events_of_its_own(world: World, reading: Reading) -> None:
    readers = reading(world)
    address = await world.claimed()
    stream = world.key("account_events", address)
    position = partial(world.reader.account_log, world.partition, address.account_id)
    async with readers.hub.tail(stream, None, position, readers.log.account_event) as tail:
        await world.rooms.rename(address, "claim-1", "Another")
        (updated,) = await take(tail, 1)
        await world.rooms.delete(address, "claim-1", "account")
        (deleted,) = await take(tail, 1)
    assert (updated.type, b'"title":"Another"' in updated.data) == ("room.updated", True)
    assert (deleted.type, deleted.data) == ("room.deleted", f'{{"room_id":"{address.room_id}"}}'.encode())


# Connections: real servers only


async def connections(world: World, kind: str) -> int:
    return len(await world.redis.client_list(_type=kind))


async def test_200_readers_of_200_rooms_take_one_listening_connection(server_world: World, reading: Reading) -> None:
    world = server_world
    readers = reading(world)
    addresses = [await world.claimed() for _ in range(200)]
    before = await connections(world, "normal")
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
    assert await connections(world, "pubsub") == 1
    assert await connections(world, "normal") <= before + world.settings.redis.pipelines_in_flight
    for address in addresses:
        await world.send(address, 0, reply=False)
    assert await asyncio.gather(*tasks) == [1] * 200


async def test_a_listener_that_was_cut_off_comes_back(server_world: World, reading: Reading) -> None:
    world = server_world
    readers = reading(world)
    address, reply = await live_reply(world)
    async with readers.tail(address) as tail:
        for number in range(3):
            await write(world, address, reply, 1, number)
            assert len(await take(tail, 1)) == 1
            await world.redis.client_kill_filter(_type="pubsub")


async def test_nothing_stays_subscribed_that_nobody_reads(server_world: World, reading: Reading) -> None:
    world = server_world
    readers = reading(world)
    addresses = [await world.claimed() for _ in range(5)]
    stays = await world.claimed()
    async with readers.tail(stays) as tail:
        for address in addresses:
            async with readers.tail(address):
                await readers.subscribed(address)
        await world.send(stays, 0, reply=False)
        await take(tail, 1)
        async with asyncio.timeout(SOON):
            while len(await world.redis.pubsub_channels(f"{world.prefix}:*")) > 1:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.001)
        assert await world.redis.pubsub_channels(f"{world.prefix}:*") == [world.key("events", stays).encode()]

"""Event logs and deleted messages: readers are not shown what was said, and live readers pay nothing for it (I20)."""

from __future__ import annotations

import pytest

from parlor.cache import events
from parlor.cache.connection import Answer
from parlor.cache.events import EventLog
from parlor.cache.live import RoomAddress
from parlor.model.ids import MessageId
from parlor.model.states import MessageState
from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures
from tests.contract.cache.hub_readers import RING, SOON, Reading, ids, live_reply, take, write

pytestmark = pytest.mark.contract

CHUNK = 4


async def deleted(fixtures: CacheFixtures, address: RoomAddress, seq: int) -> None:
    """Deletes the message at this seq."""
    states = await fixtures.hash("states", address)
    doc = fixtures.doc(message_id=MessageId(states[f"m:{seq}".encode()].decode()))
    await fixtures.states.delete_message(address, CLAIM_1, seq, doc, stored=False, by="account")


async def shown(fixtures: CacheFixtures, address: RoomAddress) -> list[tuple[str, str]]:
    """Everything that a reader from the log's beginning gets: each event's type, and the message that it is about."""
    found: list[tuple[str, str]] = []
    cursor = "0-0"
    while read := await EventLog(fixtures.live).of_room(address.room_id).read(cursor):
        cursor = read[-1][0]
        found += [(event.type, event.message_id or "") for _, event in read if event is not None]
    return found


async def said(fixtures: CacheFixtures, count: int) -> tuple[RoomAddress, list[MessageId]]:
    address = await fixtures.claimed()
    return address, await fixtures.sent(address, count)


@pytest.mark.parametrize("chunk", [CHUNK, 500])
async def test_a_deleted_message_is_not_shown_to_who_reads_from_the_start(
    fixtures: CacheFixtures, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(events, "CHUNK", chunk)
    address, messages = await said(fixtures, 9)
    for seq in (2, 9):
        await deleted(fixtures, address, seq)
    gone = {messages[1], messages[8]}
    assert await shown(fixtures, address) == [
        *(("message.created", message) for message in messages if message not in gone),
        ("message.deleted", messages[1]),
        ("message.deleted", messages[8]),
    ]


async def test_states_that_redis_has_forgotten_are_found_in_the_log(
    fixtures: CacheFixtures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "CHUNK", CHUNK)
    fixtures.live.twice = False
    kept = fixtures.settings.cache.states_per_room
    address, messages = await said(fixtures, 2)
    await deleted(fixtures, address, 1)
    messages += [(await fixtures.send(address, after, reply=False)).message_id for after in range(2, kept + 10)]
    await fixtures.stored(address)
    assert await fixtures.state(address, 1) is None, "the state was not forgotten"
    found = await shown(fixtures, address)
    assert ("message.created", messages[0]) not in found
    assert found == [
        ("message.created", messages[1]),
        ("message.deleted", messages[0]),
        *(("message.created", message) for message in messages[2:]),
    ]


async def test_a_deleted_room_shows_nothing_but_that(fixtures: CacheFixtures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "CHUNK", CHUNK)
    address, _ = await said(fixtures, 9)
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    assert await shown(fixtures, address) == [("room.deleted", "")]


async def test_the_states_of_messages_are_told_together(fixtures: CacheFixtures) -> None:
    address, messages = await said(fixtures, 3)
    await deleted(fixtures, address, 2)
    unknown = fixtures.message_id()
    assert await fixtures.reader.message_states(address.room_id, [*messages, unknown]) == {
        messages[0]: MessageState.PENDING,
        messages[1]: MessageState.DELETED,
        messages[2]: MessageState.PENDING,
    }
    assert await fixtures.reader.message_states(address.room_id, []) == {}


async def test_a_reader_who_keeps_up_asks_redis_for_nothing(
    fixtures: CacheFixtures, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = reading(fixtures, recheck_every=60.0)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as tail:
        await readers.subscribed(address)
        asked: list[str] = []
        read = fixtures.pipeline.read

        async def counted(*command: str | int) -> Answer:
            asked.append(str(command[0]))
            return await read(*command)

        monkeypatch.setattr(fixtures.pipeline, "read", counted)
        await write(fixtures, address, reply, 20)
        await take(tail, 20)
    assert asked == []


async def test_a_delete_reaches_the_reader_in_its_place_and_takes_the_rest_from_slow_ones(
    fixtures: CacheFixtures, reading: Reading
) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as slow, readers.tail(address) as quick:
        await write(fixtures, address, reply, 10)
        await take(quick, 10)
        await deleted(fixtures, address, 2)
        await fixtures.send(address, 2, reply=False)
        assert [event.type for event in await take(quick, 2)] == ["message.deleted", "message.created"]
        assert [event.type for event in await take(slow, 2)] == ["message.deleted", "message.created"]


async def test_a_delete_takes_the_rest_from_a_reader_behind_the_ring(fixtures: CacheFixtures, reading: Reading) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    async with readers.tail(address) as slow, readers.tail(address) as quick:
        await write(fixtures, address, reply, 2 * RING)
        await take(quick, 2 * RING)
        await deleted(fixtures, address, 2)
        assert [event.type for event in await take(slow, 1)] == ["message.deleted"]


async def test_a_reader_who_comes_behind_a_delete_is_not_given_what_the_hub_read_before(
    fixtures: CacheFixtures, reading: Reading
) -> None:
    readers = reading(fixtures)
    address, reply = await live_reply(fixtures)
    begin = (await ids(fixtures, address))[-1]
    async with readers.tail(address) as first:
        await readers.subscribed(address)
        await write(fixtures, address, reply, 3)
        await take(first, 3)
        pump = readers.hub._watched[fixtures.key("events", address)].pump
        assert pump is not None
        pump.cancel()  # The hub hears of nothing more.
        await deleted(fixtures, address, 2)
        async with readers.tail(address, begin) as late:
            assert [event.type for event in await late.next(SOON)] == ["message.deleted"]

"""Subscriptions to rooms and accounts, and waiting for replies and commits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from parlor.errors import RoomNotFound, StoreUnavailable, StreamExpired
from parlor.model.cursors import InvalidCursor
from parlor.model.messages import Durability, FinishReason
from parlor.model.requests import ReplyMode
from parlor.reading.streams import EventStreams
from tests.unit.domain import HOME, Domain, DomainMaker, settle
from tests.unit.stream_readers import SECONDS, of_room, reading, refused, replied

pytestmark = pytest.mark.unit


@pytest.fixture
def streams(domain: Domain) -> EventStreams:
    return domain.streams()


# A room


async def test_a_reader_of_a_room_gets_what_comes_from_now_on(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    await domain.say(room, "before")
    reader = await reading(domain, of_room(domain, streams, room))
    await domain.say(room, "after")
    await domain.rename(room, "Renamed")
    await reader.until(lambda: len(reader.events) >= 2)
    assert reader.kinds == ["message.created", "room.updated"]
    assert reader.data[0]["message"]["content"] == "after"
    assert reader.data[1]["room"]["title"] == "Renamed"


async def test_resuming_at_any_cursor_misses_nothing_and_repeats_nothing(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    page = await domain.page(room.room_id)
    await replied(domain, room, "a", "b", "c")
    await domain.say(room, "end")
    whole = await reading(domain, of_room(domain, streams, room, page.cursor))
    await whole.until(lambda: len(whole.events) == 7)
    cursors = [page.cursor, *(event.cursor for event in whole.events)]
    for index, cursor in enumerate(cursors):
        reader = await reading(domain, of_room(domain, streams, room, cursor))
        await reader.until(lambda reader=reader, index=index: len(reader.events) == 7 - index)  # type: ignore[misc]
        assert reader.events == whole.events[index:]


async def test_a_reader_that_has_everything_hears_a_heartbeat(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    reader = await reading(domain, of_room(domain, streams, room))
    await reader.until(lambda: reader.heartbeats >= 2)
    assert reader.events == []


async def test_many_readers_get_the_same(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    readers = [await reading(domain, of_room(domain, streams, room)) for _ in range(20)]
    for n in range(10):
        await domain.say(room, f"{n}")
    for reader in readers:
        await reader.until(lambda reader=reader: len(reader.events) == 10)  # type: ignore[misc]
    assert all(reader.events == readers[0].events for reader in readers)


async def test_the_deletion_of_a_room_is_its_last_event(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    reader = await reading(domain, of_room(domain, streams, room))
    await domain.delete_room(room)
    assert await reader.until_end() == ["room.deleted"]
    assert await refused(domain, of_room(domain, streams, room)) is RoomNotFound


async def test_a_cursor_that_the_log_does_not_reach_is_expired(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    await domain.say(room)
    assert await refused(domain, of_room(domain, streams, room, "1-0")) is StreamExpired
    ahead = f"{domain.clock.now_ms() + 10**9}-0"
    assert await refused(domain, of_room(domain, streams, room, ahead)) is StreamExpired
    assert await refused(domain, of_room(domain, streams, room, "nonsense")) is InvalidCursor


async def test_a_log_that_expired_tells_where_it_begins(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    old = (await domain.page(room.room_id)).cursor
    await domain.say(room)
    now = (await domain.page(room.room_id)).cursor
    await domain.redis.delete(domain.live.keys.events(HOME, room.room_id))
    assert await refused(domain, of_room(domain, streams, room, old)) is StreamExpired
    reader = await reading(domain, of_room(domain, streams, room, now))
    await domain.say(room, "next")
    await reader.until(lambda: reader.kinds == ["message.created"])


async def test_nobody_reads_another_accounts_events(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    reply = await replied(domain, room, "private")
    eve = domain.session("eve")
    receipt = await domain.send(room, key="k")
    again = await domain.send(room, key="k")
    assert await refused(domain, streams.room(room.room_id, eve.account_id, None)) is RoomNotFound
    assert await refused(domain, streams.room(room.room_id, eve.account_id, receipt.cursor)) is RoomNotFound
    assert await refused(domain, streams.reply(room.room_id, eve.account_id, reply.message_id, None)) is RoomNotFound
    assert await refused(domain, streams.turn(room.room_id, eve.account_id, again)) is RoomNotFound
    with pytest.raises(RoomNotFound):
        await streams.wait_for_reply(room.room_id, eve.account_id, reply.message_id, 0.1)


async def test_a_room_that_is_not_cached_has_readers_too(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    await domain.say(room)
    await domain.write_all()
    await domain.forget_room(room.room_id)
    reader = await reading(domain, of_room(domain, streams, room))
    await domain.say(domain.room(room.room_id), "new")
    await reader.until(lambda: reader.kinds == ["message.created"])


async def test_the_room_that_is_read_is_the_one_that_was_asked_for(domain: Domain, streams: EventStreams) -> None:
    room, other = domain.room(await domain.new_room()), domain.room(await domain.new_room())
    reader = await reading(domain, of_room(domain, streams, room))
    await domain.say(other, "not for you")
    await domain.say(room, "for you")
    await reader.until(lambda: len(reader.events) == 1)
    assert reader.data[0]["message"]["content"] == "for you"


# An account


async def test_an_account_hears_of_its_rooms(domain: Domain, streams: EventStreams) -> None:
    reader = await reading(domain, streams.account(HOME, domain.ada.account_id, None))
    room = domain.room(await domain.new_room(title="One"))
    await domain.new_room(domain.session("eve"), title="Hers")
    await reader.until(lambda: reader.kinds == ["room.created"])
    await domain.rename(room, "Two")
    await reader.until(lambda: len(reader.events) == 2)
    assert reader.data[1]["room"]["title"] == "Two"
    await domain.delete_room(room)
    await reader.until(lambda: len(reader.events) == 3)
    assert reader.kinds == ["room.created", "room.updated", "room.deleted"]
    assert reader.data[2] == {"room_id": room.room_id}


async def test_an_accounts_events_go_on_after_its_lists_cursor(domain: Domain, streams: EventStreams) -> None:
    await domain.new_room()
    cursor = (await domain.directory.page(domain.ada, 10, None)).events_cursor
    new = await domain.new_room(title="new")
    reader = await reading(domain, streams.account(HOME, domain.ada.account_id, cursor))
    await reader.until(lambda: len(reader.events) == 1)
    assert reader.data[0]["room"]["room_id"] == new


# Waiting


async def test_waiting_for_a_reply_ends_with_it(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    receipt = await domain.send(room)
    await settle()
    assert receipt.reply is not None
    waiting = domain.spawn(
        streams.wait_for_reply(room.room_id, domain.ada.account_id, receipt.reply.message_id, SECONDS)
    )
    await settle()
    assert not waiting.done()
    domain.model.talks[0].say("here")
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    reply = await waiting
    assert (reply.content, reply.finish_reason) == ("here", FinishReason.STOP)


async def test_waiting_in_vain_gives_the_reply_as_it_is(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    receipt = await domain.send(room)
    await settle()
    domain.model.talks[0].say("so far")
    await settle()
    assert receipt.reply is not None
    reply = await streams.wait_for_reply(room.room_id, domain.ada.account_id, receipt.reply.message_id, 0.05)
    assert (reply.content, reply.is_streaming) == ("so far", True)


async def test_waiting_for_a_commit_ends_with_it(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    domain.spawn(domain.writer().run())
    await settle()
    receipt = await domain.send(room, reply=ReplyMode.NONE)
    waiting = domain.spawn(
        streams.wait_for_commit(room.room_id, domain.ada.account_id, receipt.message.message_id, SECONDS)
    )
    await settle()
    assert not waiting.done()
    await domain.clock.advance(4)
    assert (await waiting).durability is Durability.PERSISTED


async def test_waiting_for_a_commit_that_does_not_come_says_so(domain: Domain, streams: EventStreams) -> None:
    room = domain.room(await domain.new_room())
    receipt = await domain.send(room, reply=ReplyMode.NONE)
    with pytest.raises(StoreUnavailable) as late:
        await streams.wait_for_commit(room.room_id, domain.ada.account_id, receipt.message.message_id, 0.05)
    assert late.value.retry_after is not None
    await domain.write_all()
    stored = await streams.wait_for_commit(room.room_id, domain.ada.account_id, receipt.message.message_id, SECONDS)
    assert stored.durability is Durability.PERSISTED


async def test_a_subscription_that_is_left_leaves_nothing_behind(new_domain: DomainMaker) -> None:
    domain = new_domain()
    streams, room = domain.streams(), domain.room(await domain.new_room())
    leave: list[Callable[[], Awaitable[object]]] = []
    for _ in range(3):
        reader = await reading(domain, of_room(domain, streams, room))
        leave.append(reader.until_end)
    (hub,) = domain._hubs
    assert hub.watched == 1
    await domain.delete_room(room)
    for ended in leave:
        await ended()
    assert hub.watched == 0

"""Subscriptions: what their readers get, where they resume, and when they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from parlor.errors import InvalidRequest, MessageNotFound, RoomNotFound, StoreUnavailable, StreamExpired
from parlor.gateway import Subscription
from parlor.model import Durability, Event, FinishReason, Message, ReplyMode
from parlor.room import Room
from parlor.streams import EventStreams
from tests.unit.rig import HOME, Rig, RigMaker, settle

pytestmark = pytest.mark.unit

SECONDS = 10.0
"""For what is sure to come."""


class Reader:
    """A subscription read by a task of its own."""

    def __init__(self, opened: AbstractAsyncContextManager[Subscription]) -> None:
        self.events: list[Event] = []
        self.heartbeats = 0
        self.entered = asyncio.Event()
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._read(opened))

    async def _read(self, opened: AbstractAsyncContextManager[Subscription]) -> None:
        try:
            async with opened as subscription:
                self.cursor = subscription.cursor
                self.entered.set()
                async for batch in subscription:
                    self.events += batch
                    self.heartbeats += not batch
                    self._news.set()
        finally:
            self.entered.set()
            self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():
                self._news.clear()
                if self.task.done():
                    await self.task
                    assert condition(), "the stream ended before"
                    return
                await self._news.wait()

    async def until_end(self) -> list[str]:
        async with asyncio.timeout(SECONDS):
            await self.task
        return self.kinds

    @property
    def kinds(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def data(self) -> list[dict[str, Any]]:
        return [json.loads(event.data) for event in self.events]


@pytest.fixture
def streams(rig: Rig) -> EventStreams:
    return rig.streams()


async def reading(rig: Rig, opened: AbstractAsyncContextManager[Subscription]) -> Reader:
    """A reader that has its place."""
    reader = Reader(opened)
    rig._tasks.append(reader.task)
    async with asyncio.timeout(SECONDS):
        await reader.entered.wait()
    if reader.task.done():
        await reader.task
    return reader


def of_room(rig: Rig, streams: EventStreams, room: Room, after: str | None = None) -> Any:
    return streams.room(room.room_id, rig.ada.account_id, after)


async def replied(rig: Rig, room: Room, *pieces: str) -> Message:
    """A whole turn; the reply."""
    receipt = await rig.send(room)
    await settle()
    for piece in pieces:
        rig.model.talks[-1].say(piece)
        await rig.clock.advance(0.03)
    rig.model.talks[-1].finish()
    await rig.clock.advance(0.1)
    assert receipt.reply is not None
    return await rig.message(room.room_id, receipt.reply.message_id)


async def refused(rig: Rig, opened: AbstractAsyncContextManager[Subscription]) -> type[BaseException]:
    reader = Reader(opened)
    rig._tasks.append(reader.task)
    await asyncio.wait({reader.task}, timeout=SECONDS)
    error = reader.task.exception()
    assert error is not None
    return type(error)


# A room


async def test_a_reader_of_a_room_gets_what_comes_from_now_on(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    await rig.say(room, "before")
    reader = await reading(rig, of_room(rig, streams, room))
    await rig.say(room, "after")
    await rig.rename(room, "Renamed")
    await reader.until(lambda: len(reader.events) >= 2)
    assert reader.kinds == ["message.created", "room.updated"]
    assert reader.data[0]["message"]["content"] == "after"
    assert reader.data[1]["room"]["title"] == "Renamed"


async def test_resuming_at_any_cursor_misses_nothing_and_repeats_nothing(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    page = await rig.page(room.room_id)
    await replied(rig, room, "a", "b", "c")
    await rig.say(room, "end")
    whole = await reading(rig, of_room(rig, streams, room, page.cursor))
    await whole.until(lambda: len(whole.events) == 7)
    cursors = [page.cursor, *(event.cursor for event in whole.events)]
    for place, cursor in enumerate(cursors):
        reader = await reading(rig, of_room(rig, streams, room, cursor))
        await reader.until(lambda reader=reader, place=place: len(reader.events) == 7 - place)  # type: ignore[misc]
        assert reader.events == whole.events[place:]


async def test_a_reader_that_has_everything_hears_a_heartbeat(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    reader = await reading(rig, of_room(rig, streams, room))
    await reader.until(lambda: reader.heartbeats >= 2)
    assert reader.events == []


async def test_many_readers_get_the_same(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    readers = [await reading(rig, of_room(rig, streams, room)) for _ in range(20)]
    for n in range(10):
        await rig.say(room, f"{n}")
    for reader in readers:
        await reader.until(lambda reader=reader: len(reader.events) == 10)  # type: ignore[misc]
    assert all(reader.events == readers[0].events for reader in readers)


async def test_the_deletion_of_a_room_is_its_last_event(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    reader = await reading(rig, of_room(rig, streams, room))
    await rig.delete_room(room)
    assert await reader.until_end() == ["room.deleted"]
    assert await refused(rig, of_room(rig, streams, room)) is RoomNotFound


async def test_a_cursor_that_the_log_does_not_reach_is_expired(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    await rig.say(room)
    assert await refused(rig, of_room(rig, streams, room, "1-0")) is StreamExpired
    ahead = f"{rig.clock.now_ms() + 10**9}-0"
    assert await refused(rig, of_room(rig, streams, room, ahead)) is StreamExpired
    assert await refused(rig, of_room(rig, streams, room, "nonsense")) is InvalidRequest


async def test_a_log_that_expired_tells_where_it_begins(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    old = (await rig.page(room.room_id)).cursor
    await rig.say(room)
    now = (await rig.page(room.room_id)).cursor
    await rig.redis.delete(rig.live.keys.events(HOME, room.room_id))
    assert await refused(rig, of_room(rig, streams, room, old)) is StreamExpired
    reader = await reading(rig, of_room(rig, streams, room, now))
    await rig.say(room, "next")
    await reader.until(lambda: reader.kinds == ["message.created"])


async def test_nobody_reads_another_accounts_events(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    reply = await replied(rig, room, "private")
    eve = rig.session("eve")
    receipt = await rig.send(room, key="k")
    again = await rig.send(room, key="k")
    assert await refused(rig, streams.room(room.room_id, eve.account_id, None)) is RoomNotFound
    assert await refused(rig, streams.room(room.room_id, eve.account_id, receipt.cursor)) is RoomNotFound
    assert await refused(rig, streams.reply(room.room_id, eve.account_id, reply.message_id, None)) is RoomNotFound
    assert await refused(rig, streams.turn(room.room_id, eve.account_id, again)) is RoomNotFound
    with pytest.raises(RoomNotFound):
        await streams.wait_for_reply(room.room_id, eve.account_id, reply.message_id, 0.1)


async def test_a_room_that_is_not_cached_has_readers_too(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    await rig.say(room)
    await rig.write_all()
    await rig.forget_room(room.room_id)
    reader = await reading(rig, of_room(rig, streams, room))
    await rig.say(rig.room(room.room_id), "new")
    await reader.until(lambda: reader.kinds == ["message.created"])


async def test_the_room_that_is_read_is_the_one_that_was_asked_for(rig: Rig, streams: EventStreams) -> None:
    room, other = rig.room(await rig.new_room()), rig.room(await rig.new_room())
    reader = await reading(rig, of_room(rig, streams, room))
    await rig.say(other, "not for you")
    await rig.say(room, "for you")
    await reader.until(lambda: len(reader.events) == 1)
    assert reader.data[0]["message"]["content"] == "for you"


# One reply


async def test_a_reply_is_read_from_its_start_to_its_end(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    receipt = await rig.send(room)
    await settle()
    rig.model.talks[0].say("one ")
    await settle()
    assert receipt.reply is not None
    reader = await reading(rig, streams.reply(room.room_id, rig.ada.account_id, receipt.reply.message_id, None))
    await rig.say(room, "something else")
    rig.model.talks[0].say("two")
    rig.model.talks[0].finish()
    await rig.clock.advance(1)
    kinds = await reader.until_end()
    assert kinds == ["message.created", "message.delta", "message.delta", "message.completed"]
    assert {event.message_id for event in reader.events} == {receipt.reply.message_id}
    assert "".join(data["text"] for data in reader.data if "text" in data) == "one two"


@pytest.mark.parametrize("log", ["there", "gone"])
async def test_a_reply_that_ended_long_ago_comes_whole(rig: Rig, streams: EventStreams, log: str) -> None:
    room = rig.room(await rig.new_room())
    reply = await replied(rig, room, "one ", "two")
    if log == "gone":
        await rig.redis.delete(rig.live.keys.events(HOME, room.room_id))
    reader = await reading(rig, streams.reply(room.room_id, rig.ada.account_id, reply.message_id, None))
    kinds = await reader.until_end()
    assert kinds[-1] == "message.completed"
    assert kinds == ["message.completed"] or log == "there"
    assert reader.data[-1]["message"]["content"] == "one two"


async def test_a_cursor_behind_the_end_gives_the_end_once_more(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    reply = await replied(rig, room, "text")
    cursor = (await rig.page(room.room_id)).cursor
    reader = await reading(rig, streams.reply(room.room_id, rig.ada.account_id, reply.message_id, cursor))
    assert await reader.until_end() == ["message.completed"]


async def test_a_reply_that_failed_long_ago_says_so(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    receipt = await rig.send(room)
    await settle()
    rig.model.talks[0].fail(ZeroDivisionError())
    await rig.clock.advance(1)
    await rig.redis.delete(rig.live.keys.events(HOME, room.room_id))
    assert receipt.reply is not None
    reader = await reading(rig, streams.reply(room.room_id, rig.ada.account_id, receipt.reply.message_id, None))
    assert await reader.until_end() == ["message.completed"]
    assert reader.data[0]["message"]["finish_reason"] == "error"
    assert reader.data[0]["message"]["error"]["code"] == "llm-error"


async def test_a_deleted_reply_ends_its_stream(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    receipt = await rig.send(room)
    await settle()
    assert receipt.reply is not None
    opened = streams.reply(room.room_id, rig.ada.account_id, receipt.reply.message_id, None)
    reader = await reading(rig, opened)
    await rig.delete_message(room, receipt.reply.message_id)
    await rig.clock.advance(1)
    assert (await reader.until_end())[-1] == "message.deleted"
    await rig.redis.delete(rig.live.keys.events(HOME, room.room_id))
    late = await reading(rig, streams.reply(room.room_id, rig.ada.account_id, receipt.reply.message_id, None))
    assert await late.until_end() == ["message.deleted"]


async def test_the_deletion_of_its_room_ends_a_replys_stream(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    receipt = await rig.send(room)
    assert receipt.reply is not None
    reader = await reading(rig, streams.reply(room.room_id, rig.ada.account_id, receipt.reply.message_id, None))
    await rig.delete_room(room)
    assert (await reader.until_end())[-1] == "room.deleted"


async def test_a_reply_that_is_none_is_not_found(rig: Rig, streams: EventStreams) -> None:
    room_id = await rig.new_room()
    opened = streams.reply(room_id, rig.ada.account_id, rig.mint.message_id(HOME), None)
    assert await refused(rig, opened) is MessageNotFound


# One turn


async def test_a_turn_has_the_events_of_its_own_messages_only(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    receipt = await rig.send(room, "mine")
    reader = await reading(rig, streams.turn(room.room_id, rig.ada.account_id, receipt))
    await rig.send(room, "another turn")
    await settle()
    rig.model.talks[0].say("answer")
    rig.model.talks[0].finish()
    await rig.clock.advance(1)
    kinds = await reader.until_end()
    assert kinds == ["message.created", "message.created", "message.delta", "message.completed"]
    assert reader.data[0]["message"]["content"] == "mine"


async def test_a_turn_without_a_reply_ends_with_its_message(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    receipt = await rig.send(room, reply=ReplyMode.NONE)
    reader = await reading(rig, streams.turn(room.room_id, rig.ada.account_id, receipt))
    assert await reader.until_end() == ["message.created"]


@pytest.mark.parametrize("log", ["there", "gone"])
async def test_a_replayed_turn_that_ended_comes_to_its_end(rig: Rig, streams: EventStreams, log: str) -> None:
    room = rig.room(await rig.new_room())
    await rig.send(room, key="k")
    await settle()
    rig.model.talks[0].say("answer")
    rig.model.talks[0].finish()
    await rig.clock.advance(1)
    if log == "gone":
        await rig.redis.delete(rig.live.keys.events(HOME, room.room_id))
    again = await rig.send(room, key="k")
    reader = await reading(rig, streams.turn(room.room_id, rig.ada.account_id, again))
    assert (await reader.until_end())[-1] == "message.completed"


async def test_a_replayed_turn_that_runs_is_joined(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    await rig.send(room, key="k")
    await settle()
    rig.model.talks[0].say("answer")
    await settle()
    again = await rig.send(room, key="k")
    reader = await reading(rig, streams.turn(room.room_id, rig.ada.account_id, again))
    rig.model.talks[0].finish()
    await rig.clock.advance(1)
    assert await reader.until_end() == ["message.created", "message.created", "message.delta", "message.completed"]


@pytest.mark.parametrize("log", ["there", "gone"])
async def test_a_replayed_turn_without_a_reply_ends(rig: Rig, streams: EventStreams, log: str) -> None:
    room = rig.room(await rig.new_room())
    await rig.send(room, key="k", reply=ReplyMode.NONE)
    if log == "gone":
        await rig.redis.delete(rig.live.keys.events(HOME, room.room_id))
    again = await rig.send(room, key="k", reply=ReplyMode.NONE)
    assert again.replayed
    reader = await reading(rig, streams.turn(room.room_id, rig.ada.account_id, again))
    assert (await reader.until_end()) == ["message.created"]


# An account


async def test_an_account_hears_of_its_rooms(rig: Rig, streams: EventStreams) -> None:
    reader = await reading(rig, streams.account(HOME, rig.ada.account_id, None))
    room = rig.room(await rig.new_room(title="One"))
    await rig.new_room(rig.session("eve"), title="Hers")
    await reader.until(lambda: reader.kinds == ["room.created"])
    await rig.rename(room, "Two")
    await reader.until(lambda: len(reader.events) == 2)
    assert reader.data[1]["room"]["title"] == "Two"
    await rig.delete_room(room)
    await reader.until(lambda: len(reader.events) == 3)
    assert reader.kinds == ["room.created", "room.updated", "room.deleted"]
    assert reader.data[2] == {"room_id": room.room_id}


async def test_an_accounts_events_go_on_after_its_lists_cursor(rig: Rig, streams: EventStreams) -> None:
    await rig.new_room()
    cursor = (await rig.directory.page(rig.ada, 10, None)).events_cursor
    new = await rig.new_room(title="new")
    reader = await reading(rig, streams.account(HOME, rig.ada.account_id, cursor))
    await reader.until(lambda: len(reader.events) == 1)
    assert reader.data[0]["room"]["room_id"] == new


# Waiting


async def test_waiting_for_a_reply_ends_with_it(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    receipt = await rig.send(room)
    await settle()
    assert receipt.reply is not None
    waiting = rig.spawn(streams.wait_for_reply(room.room_id, rig.ada.account_id, receipt.reply.message_id, SECONDS))
    await settle()
    assert not waiting.done()
    rig.model.talks[0].say("here")
    rig.model.talks[0].finish()
    await rig.clock.advance(1)
    reply = await waiting
    assert (reply.content, reply.finish_reason) == ("here", FinishReason.STOP)


async def test_waiting_in_vain_gives_the_reply_as_it_is(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    receipt = await rig.send(room)
    await settle()
    rig.model.talks[0].say("so far")
    await settle()
    assert receipt.reply is not None
    reply = await streams.wait_for_reply(room.room_id, rig.ada.account_id, receipt.reply.message_id, 0.05)
    assert (reply.content, reply.is_streaming) == ("so far", True)


async def test_waiting_for_a_commit_ends_with_it(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    rig.spawn(rig.writer().run())
    await settle()
    receipt = await rig.send(room, reply=ReplyMode.NONE)
    waiting = rig.spawn(streams.wait_for_commit(room.room_id, rig.ada.account_id, receipt.message.message_id, SECONDS))
    await settle()
    assert not waiting.done()
    await rig.clock.advance(4)
    assert (await waiting).durability is Durability.PERSISTED


async def test_waiting_for_a_commit_that_does_not_come_says_so(rig: Rig, streams: EventStreams) -> None:
    room = rig.room(await rig.new_room())
    receipt = await rig.send(room, reply=ReplyMode.NONE)
    with pytest.raises(StoreUnavailable) as late:
        await streams.wait_for_commit(room.room_id, rig.ada.account_id, receipt.message.message_id, 0.05)
    assert late.value.retry_after is not None
    await rig.write_all()
    stored = await streams.wait_for_commit(room.room_id, rig.ada.account_id, receipt.message.message_id, 0.05)
    assert stored.durability is Durability.PERSISTED


async def test_a_subscription_that_is_left_leaves_nothing_behind(new_rig: RigMaker) -> None:
    rig = new_rig()
    streams, room = rig.streams(), rig.room(await rig.new_room())
    leave: list[Callable[[], Awaitable[object]]] = []
    for _ in range(3):
        reader = await reading(rig, of_room(rig, streams, room))
        leave.append(reader.until_end)
    (hub,) = rig._hubs
    assert hub.watched == 1
    await rig.delete_room(room)
    for ended in leave:
        await ended()
    assert hub.watched == 0

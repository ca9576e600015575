"""Events over one connection: each comes once and in order, through cuts, ends of subscriptions and slow readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from parlor.client import Event, NoAnswer, NotFound, Retries, StreamExpired
from parlor.client.exchange import MAILBOX
from tests.both_clients import KINDS
from tests.both_sockets import connected
from tests.unit.client.scripted_server import ROOM, Json
from tests.unit.client.socket_server import Peer, SocketServer, Store

pytestmark = [pytest.mark.unit, pytest.mark.parametrize("kind", KINDS)]

Disturb = Callable[[Peer, int, int], Awaitable[bool]]
ALL = list(range(1, 31))


class Log:
    """The events 1 to 30 of whatever is subscribed to. ``disturb`` is given the connection, how many events this
    subscription has sent, and the next one's number; if it says so, the subscription sends no more."""

    def __init__(self, disturb: Disturb | None = None, events: int = 30) -> None:
        self._disturb = disturb
        self._events = events
        self._following: set[tuple[int, str]] = set()
        self.after: list[str | None] = []
        self.store = Store()

    async def __call__(self, peer: Peer, frame: Json) -> None:
        key = (peer.number, frame.get("room_id", ""))
        if frame["op"] == "send":
            await self.store(peer, frame)
        elif frame["op"] == "unsubscribe":
            self._following.discard(key)
            await peer.answer(frame)
        elif key in self._following:
            await peer.refuse(frame, 422, "invalid-request")
        else:
            self._following.add(key)
            self.after.append(frame.get("after"))
            begin = int(frame.get("after", "1-0").partition("-")[2])
            await peer.answer(frame, cursor=f"1-{begin}")
            await self._tell(peer, frame, begin)

    async def _tell(self, peer: Peer, frame: Json, begin: int) -> None:
        of = {"room_id": frame["room_id"].lower()} if "room_id" in frame else {"account": True}
        for number in range(begin + 1, self._events + 1):
            if self._disturb is not None and await self._disturb(peer, number - begin - 1, number):
                return
            await peer.say(**of, id=f"1-{number}", event="message.created", data={"n": number})


async def read(events: AsyncGenerator[Event], count: int) -> list[int]:
    """The numbers of the next events."""
    found: list[int] = []
    async with asyncio.timeout(20), aclosing(events):
        async for event in events:
            assert event.id == f"1-{event.data['n']}"
            found.append(event.data["n"])
            if len(found) == count:
                break
    return found


async def cut(peer: Peer, count: int, number: int) -> bool:
    if count == 7:
        peer.cut()
    return count == 7


async def cut_within(peer: Peer, count: int, number: int) -> bool:
    if count == 7:
        peer.part(number * 2, room_id=ROOM, id=f"1-{number}", event="message.created", data={"n": number})
        peer.cut()
    return count == 7


async def end_the_subscription(peer: Peer, count: int, number: int) -> bool:
    if count == 7:
        cursor = f"1-{number - 1}"
        await peer.say(
            room_id=ROOM, id=cursor, event="stream.reconnect", data={"cursor": cursor, "reason": "slow-reader"}
        )
    return count == 7


async def end_the_connection(peer: Peer, count: int, number: int) -> bool:
    if count == 7:
        cursor = f"1-{number - 1}"
        await peer.say(room_id=ROOM, id=cursor, event="stream.reconnect", data={"cursor": cursor, "reason": "lifetime"})
        await peer.connection.close(1001, "lifetime")
    return count == 7


@pytest.mark.parametrize("disturb", [None, cut, cut_within, end_the_subscription, end_the_connection])
@pytest.mark.parametrize("after", [None, "1-0"])
async def test_each_event_comes_once_through_cuts_and_ends(
    kind: str, disturb: Disturb | None, after: str | None
) -> None:
    log = Log(disturb)
    async with SocketServer(log) as server, connected(kind, server.base_url) as socket:
        assert await read(socket.room_events(ROOM.upper(), after), 30) == ALL
        assert log.after == ([after] if disturb is None else [after, "1-7", "1-14", "1-21", "1-28"])
        assert len(server.handshakes) == (1 if disturb in {None, end_the_subscription} else 5)


async def test_the_account_and_rooms_come_over_one_connection_beside_sends(kind: str) -> None:
    log = Log()
    async with SocketServer(log) as server, connected(kind, server.base_url) as socket:
        streams = [socket.account_events("1-0"), *(socket.room_events(f"room-{n}", f"1-{n}") for n in range(5))]
        found = await asyncio.gather(*(read(stream, 25) for stream in streams), socket.send(ROOM, "hello"))
        assert found[:-1] == [ALL[:25], *(ALL[n : n + 25] for n in range(5))]
        assert len(server.handshakes) == 1
        ops = [frame["op"] for frame in server.frames]
        assert (ops.count("subscribe"), ops.count("unsubscribe"), ops.count("send")) == (6, 6, 1)


async def test_a_slow_reader_holds_nobody_up_and_misses_nothing(kind: str) -> None:
    count = MAILBOX * 4
    log = Log(events=count)
    async with SocketServer(log) as server, connected(kind, server.base_url) as socket:
        events = socket.room_events(ROOM, "1-0")
        first = await anext(events)
        for n in range(3):
            await socket.send("another", f"{n}")
        assert [first.data["n"], *await read(events, count - 1)] == list(range(1, count + 1))
        assert len(log.after) > 1
        assert len(server.handshakes) == 1


async def test_a_subscription_that_only_ends_is_an_error_in_the_end(kind: str) -> None:
    async def end(peer: Peer, sent: int, number: int) -> bool:
        del sent, number
        await peer.say(room_id=ROOM, id="1-0", event="stream.reconnect", data={"cursor": "1-0", "reason": "error"})
        return True

    log = Log(end)
    async with SocketServer(log) as server, connected(kind, server.base_url, retries=Retries(tries=4)) as socket:
        with pytest.raises(NoAnswer):
            await read(socket.room_events(ROOM, "1-0"), 1)
    assert log.after == ["1-0"] * 4
    assert len(socket.pauses) == 3


@pytest.mark.parametrize(
    ("status", "code", "error"), [(404, "room-not-found", NotFound), (410, "stream-expired", StreamExpired)]
)
async def test_what_cannot_be_followed_says_why(kind: str, status: int, code: str, error: type[Exception]) -> None:
    async def script(peer: Peer, frame: Json) -> None:
        await peer.refuse(frame, status, code, oldest_cursor="1-9")

    async with SocketServer(script) as server, connected(kind, server.base_url) as socket:
        with pytest.raises(error) as caught:
            await read(socket.room_events(ROOM, "1-0"), 1)
        assert getattr(caught.value, "oldest_cursor", "1-9") == "1-9"
        assert [frame["op"] for frame in server.frames] == ["subscribe"]


async def test_a_refusal_that_passes_is_waited_for(kind: str) -> None:
    log, refused = Log(), list[Json]()

    async def script(peer: Peer, frame: Json) -> None:
        if len(refused) < 2 and frame["op"] == "subscribe":
            refused.append(frame)
            await peer.refuse(frame, 429, "rate-limited", retry_after_seconds=7)
        else:
            await log(peer, frame)

    async with SocketServer(script) as server, connected(kind, server.base_url) as socket:
        assert await read(socket.room_events(ROOM, "1-3"), 2) == [4, 5]
        assert socket.pauses == [7, 7]


async def test_what_was_left_may_be_followed_again_and_the_newest_reader_has_it(kind: str) -> None:
    log = Log()
    async with SocketServer(log) as server, connected(kind, server.base_url) as socket:
        left = socket.room_events(ROOM, "1-0")
        assert (await anext(left)).id == "1-1"
        assert await read(socket.room_events(ROOM, "1-5"), 2) == [6, 7]
        assert await read(socket.room_events(ROOM, "1-9"), 2) == [10, 11]
        with pytest.raises(RuntimeError, match="another iterator"):
            await read(left, 30)
        assert await read(socket.room_events(ROOM, "1-0"), 30) == ALL
        assert len(server.handshakes) == 1


async def test_an_unsubscription_that_is_refused_is_made_up_for(kind: str) -> None:
    log, refused = Log(), list[Any]()

    async def script(peer: Peer, frame: Json) -> None:
        if not refused and frame["op"] == "unsubscribe":
            refused.append(frame)
            await peer.refuse(frame, 429, "rate-limited")
            await peer.event(31, n=31)
        else:
            await log(peer, frame)

    async with SocketServer(script) as server, connected(kind, server.base_url) as socket:
        assert await read(socket.room_events(ROOM, "1-0"), 2) == [1, 2]
        assert await read(socket.room_events(ROOM, "1-2"), 2) == [3, 4]
        ops = [frame["op"] for frame in server.frames]
        assert ops == ["subscribe", "unsubscribe", "unsubscribe", "subscribe", "unsubscribe"]


async def test_a_reader_of_a_connection_that_is_closed_is_not_left_waiting(kind: str) -> None:
    async def nothing(peer: Peer, sent: int, number: int) -> bool:
        del peer, sent, number
        asked.set()
        return True

    asked = asyncio.Event()
    async with SocketServer(Log(nothing)) as server, connected(kind, server.base_url) as socket:
        reading = asyncio.create_task(read(socket.room_events(ROOM), 1))
        await asyncio.wait_for(asked.wait(), 10)
        await socket.aclose()
        with pytest.raises(NoAnswer):
            await reading

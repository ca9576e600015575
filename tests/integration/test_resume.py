"""A reader who is cut off at any byte, as often as it likes, comes back with its cursor and has missed nothing and seen
nothing twice (P4): a thousand replies, each read by two readers over a proxy that cuts."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from parlor_bench.event_stream import RawEvent, Refused, opened
from parlor_bench.load import exchange, get, post
from tests.cut_proxy import CutProxy
from tests.installation import Installation
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration
KINDS = ("private",)
"""Once is enough for what is the same program; with the servers that most people run."""

SEED = int(os.environ.get("PARLOR_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
ROOMS = 100
TURNS = 10
AT_ONCE = 25
"""Rooms that talk at the same time; each has two readers."""
REFUSED_FOR = 0.5
"""Seconds until a reader that was refused comes back."""
ENDS = ("message.completed", "message.stopped", "message.failed", "message.deleted")


class Reader:
    """Follows one room, or one reply of it, through cuts; ``events`` is all that a client has put together."""

    def __init__(self, proxy: CutProxy, rng: random.Random, token: str, room: str, cursor: str) -> None:
        self._proxy = proxy
        self._rng = rng
        self._token = token
        self._room = room
        self.cursor = cursor
        self.events: list[RawEvent] = []
        self.connections = 0

    async def follow(self, reply: str | None, ends: int) -> None:
        """Until ``ends`` replies have ended; of one reply, its own stream is as good as the room's."""
        while sum(event.type in ENDS for event in self.events) < ends:
            own = reply is not None and self._rng.random() < 0.5
            path = f"/v1/rooms/{self._room}{f'/messages/{reply}' if own else ''}/events"
            headers = {"connection": "close", **self._cut()}
            if self._rng.random() < 0.5:
                headers["last_event_id"] = self.cursor
            else:
                path += f"?after={self.cursor}"
            await self._read(get(self._proxy.host, self._proxy.port, path, self._token, **headers), ends)

    async def send(self, content: str) -> None:
        """Sends with the events as the answer; cut before the first of them, it sends again with the same key."""
        key = uuid4().hex
        while not self.events:
            path, body = f"/v1/rooms/{self._room}/messages", msgspec.json.encode({"content": content})
            headers = {"accept": "text/event-stream", "idempotency_key": key, "connection": "close", **self._cut()}
            await self._read(post(self._proxy.host, self._proxy.port, path, self._token, body, **headers), 1)

    def _cut(self) -> dict[str, str]:
        """Within the head now and then, mostly within the first events, seldom far behind them."""
        most = self._rng.choice((600, 3000, 6000, 20_000))
        return {"x_cut_after": f"{self._rng.randrange(most)}{self._rng.choice(('', ' reset'))}"}

    async def _read(self, request: bytes, ends: int) -> None:
        self.connections += 1
        try:
            async with opened(self._proxy.host, self._proxy.port, request) as connection:
                async for events in connection.batches():
                    self.events += events
                    self.cursor = events[-1].id
                    if sum(event.type in ENDS for event in self.events) >= ends:
                        return
        except (EOFError, ConnectionError):
            return  # cut within the head
        except Refused as refusal:
            # A busy machine may say so; the cursor and the key are still good.
            if refusal.status != 503:
                raise
            await asyncio.sleep(REFUSED_FOR)


class Talk:
    """One room's turns, one after the other."""

    def __init__(self, proxy: CutProxy, installation: Installation, number: int) -> None:
        self._proxy = proxy
        self._address = ("127.0.0.1", installation.port)
        self._rng = random.Random(f"{SEED}/{number}")
        self._token = installation.token(f"resume-{SEED}-{number % 10}")
        self.room = ""
        self.connections = 0
        self.replies = 0

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            # With a title, so that the room's only events are those of its messages.
            self.room = (await self._ask(reader, writer, "/v1/rooms", {"title": "Resume"}))["room_id"]
            # A page from the database alone, while Redis does not answer in time, has no place in the event log.
            page = await eventually(lambda: self._page(reader, writer), lambda found: found["cursor"] != "0-0")
            listener = self._reader(page["cursor"])
            listening = asyncio.create_task(listener.follow(None, TURNS))
            try:
                seen = [await self._turn(reader, writer) for _ in range(TURNS)]
                await listening
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            self.connections += listener.connections
            page = await self._page(reader, writer)
            assert [message["seq"] for message in page["messages"]] == list(range(1, 2 * TURNS + 1))
            stored_as = {message["message_id"]: message for message in page["messages"]}
        finally:
            writer.close()
        in_order(listener.events)
        for events in seen:
            in_order(events)
            reply, text = assembled(events)
            stored = stored_as[reply]
            assert text == stored["content"] == decoded(events[-1])["message"]["content"]
            assert (stored["finish_reason"], stored["is_streaming"]) == ("stop", False)
            # The other reader of the same reply was cut elsewhere, and has the same.
            assert about(listener.events, reply) == about(events, reply)
            self.replies += 1

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[RawEvent]:
        rng = self._rng
        script = (
            f"[[tokens={rng.randrange(1, 30)} delay={rng.choice((0, 0, 1, 3, 8))}ms first={rng.choice((0, 10))}ms]]"
        )
        if rng.random() < 0.3:
            follower = self._reader("")
            await follower.send(script)
            reply = None
        else:
            sent = await self._ask(reader, writer, f"/v1/rooms/{self.room}/messages", {"content": script})
            follower, reply = self._reader(sent["cursor"]), sent["reply"]["message_id"]
        await follower.follow(reply, 1)
        self.connections += follower.connections
        return follower.events

    def _reader(self, cursor: str) -> Reader:
        return Reader(self._proxy, random.Random(self._rng.random()), self._token, self.room, cursor)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: dict[str, str]
    ) -> Any:
        key = uuid4().hex
        request = post(*self._address, path, self._token, msgspec.json.encode(body), idempotency_key=key)
        # A busy machine may refuse for a moment; the key makes it one turn whatever happens.
        answered = await eventually(lambda: exchange(reader, writer, request), lambda found: found[0] != 503)
        assert answered[0] in (200, 201), answered
        return msgspec.json.decode(answered[1])

    async def _page(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        request = get(*self._address, f"/v1/rooms/{self.room}/messages?limit=200", self._token)
        status, answer = await exchange(reader, writer, request)
        assert status == 200, answer
        return msgspec.json.decode(answer)


def decoded(event: RawEvent) -> Any:
    return msgspec.json.decode(event.data)


def in_order(events: list[RawEvent]) -> None:
    """No event twice, none out of place."""
    places = [event.position for event in events]
    assert places == sorted(set(places))


def about(events: list[RawEvent], reply: str) -> list[RawEvent]:
    return [event for event in events if reply.encode() in event.data and event.type.startswith("message.")]


def assembled(events: list[RawEvent]) -> tuple[str, str]:
    """The reply and its text, put together from deltas as a client does."""
    reply = decoded(events[-1])["message"]["message_id"]
    text = ""
    for event in events:
        if event.type == "message.delta":
            data = decoded(event)
            assert (data["message_id"], data["attempt"], data["offset"]) == (reply, 1, len(text))
            text += data["text"]
    return reply, text


@pytest.mark.timeout(180, func_only=True)  # half a minute on a quiet machine
async def test_cut_readers_put_every_reply_together_whole(installation: Installation) -> None:
    print(f"PARLOR_TEST_SEED={SEED}")
    places = asyncio.Semaphore(AT_ONCE)

    async def talk(number: int) -> Talk:
        async with places:
            found = Talk(proxy, installation, number)
            await found.run()
            return found

    async with CutProxy("127.0.0.1", installation.port) as proxy:
        talks = await asyncio.gather(*(talk(number) for number in range(ROOMS)))
    assert sum(found.replies for found in talks) == ROOMS * TURNS
    connections = sum(found.connections for found in talks)
    print(f"{ROOMS * TURNS} replies, {connections} connections, {proxy.cuts} of them cut")
    # Else the schedule proves nothing.
    assert proxy.cuts > ROOMS * TURNS

"""A hub to read with, and short ways to write what it reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeAlias

from parlor.cache.connection import Answer
from parlor.cache.events import Entry, EventLog
from parlor.cache.hub import EventHub, Tail
from parlor.cache.live import RoomAddress
from parlor.errors import CacheUnavailable
from parlor.model.ids import MessageId
from parlor.model.messages import Event
from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures, plain

RING = 32
"""Smaller than in production, so that it is overrun with few events."""
SOON = 20.0
"""Seconds within which everything here has to happen; nothing waits for so long unless it fails."""


class CountingLog(EventLog):
    """Knows how often it was read, and can be out of reach."""

    def __init__(self, fixtures: CacheFixtures) -> None:
        super().__init__(fixtures.live)
        self.reads = 0
        self.out_of_reach = False

    async def entries(self, stream: str, after: str) -> list[Entry]:
        self.reads += 1
        if self.out_of_reach:
            raise CacheUnavailable
        return await super().entries(stream, after)


class Readers:
    """A hub and short ways to read with it."""

    def __init__(self, fixtures: CacheFixtures, recheck_every: float, linger: float) -> None:
        self.fixtures = fixtures
        self.log = CountingLog(fixtures)
        self.hub = EventHub(fixtures.new_client(), recheck_every, linger)

    def tail(self, address: RoomAddress, after: str | None = None) -> AbstractAsyncContextManager[Tail]:
        return self.hub.tail(
            self.fixtures.key("events", address),
            after,
            partial(self.fixtures.reader.room_log, address.room_id),
            self.log.of_room(address.room_id),
        )

    async def subscribed(self, address: RoomAddress) -> None:
        """Returns when the hub hears of the room."""
        await asyncio.wait_for(self.hub._watched[self.fixtures.key("events", address)].subscribed.wait(), SOON)


Reading: TypeAlias = Callable[..., Readers]
"""The fixture ``reading``: makes hubs."""


async def take(tail: Tail, count: int) -> list[Event]:
    """The next events, so many and no more."""
    found: list[Event] = []
    async with asyncio.timeout(SOON):
        while len(found) < count:
            found += await tail.next(SOON)
    assert len(found) == count
    return found


async def ids(fixtures: CacheFixtures, address: RoomAddress, after: str = "0-0") -> list[str]:
    entries = await fixtures.entries(fixtures.key("events", address), f"({after}")
    return [entry_id.decode() for entry_id, _ in entries]


async def live_reply(fixtures: CacheFixtures) -> tuple[RoomAddress, MessageId]:
    address = await fixtures.claimed()
    return address, await fixtures.start(address, await fixtures.send(address, 0))


async def write(fixtures: CacheFixtures, address: RoomAddress, reply: MessageId, count: int, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(number, "x"))


async def silently(fixtures: CacheFixtures, address: RoomAddress, reply: MessageId) -> None:
    """An event whose wake-up never comes."""
    stream, room = fixtures.key("events", address), fixtures.key("room", address)
    last = (await fixtures.hash("room", address))[b"event"].decode()
    ms, _, number = last.partition("-")
    entry = f"{ms}-{int(number) + 1}"
    fields: Answer = {"type": "message.delta", "message": reply, "attempt": "1", "offset": "0", "text": "x"}
    async with fixtures.redis.pipeline(transaction=True) as pipe:
        pipe.xadd(stream, fields, id=entry)
        pipe.hset(room, "event", entry)
        await pipe.execute()

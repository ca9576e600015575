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
from parlor.ids import MessageId
from parlor.model import Event
from tests.contract.cache.world import World

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


async def ids(world: World, address: RoomAddress, after: str = "0-0") -> list[str]:
    entries = await world.entries(world.key("events", address), f"({after}")
    return [entry_id.decode() for entry_id, _ in entries]


async def live_reply(world: World) -> tuple[RoomAddress, MessageId]:
    address = await world.claimed()
    return address, await world.start(address, await world.send(address, 0))


async def write(world: World, address: RoomAddress, reply: MessageId, count: int, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        await world.rooms.append_delta(address, "claim-1", reply, 1, number, "x")


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

"""Readers of event streams, each in its own task."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from parlor.gateway import Subscription
from parlor.model.messages import Event, Message
from parlor.reading.streams import EventStreams
from parlor.rooms.room import Room
from tests.unit.domain import Domain, settle

SECONDS = 10.0
"""Longest wait for an event that must come."""


class Reader:
    """Reads a subscription in its own task."""

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


async def reading(domain: Domain, opened: AbstractAsyncContextManager[Subscription]) -> Reader:
    """Returns a reader that has entered its subscription."""
    reader = Reader(opened)
    domain._tasks.append(reader.task)
    async with asyncio.timeout(SECONDS):
        await reader.entered.wait()
    if reader.task.done():
        await reader.task
    return reader


def of_room(domain: Domain, streams: EventStreams, room: Room, after: str | None = None) -> Any:
    return streams.room(room.room_id, domain.ada.account_id, after)


async def replied(domain: Domain, room: Room, *pieces: str) -> Message:
    """Runs a whole turn and returns its reply."""
    receipt = await domain.send(room)
    await settle()
    for piece in pieces:
        domain.model.talks[-1].say(piece)
        await domain.clock.advance(0.03)
    domain.model.talks[-1].finish()
    await domain.clock.advance(0.1)
    assert receipt.reply is not None
    return await domain.message(room.room_id, receipt.reply.message_id)


async def refused(domain: Domain, opened: AbstractAsyncContextManager[Subscription]) -> type[BaseException]:
    reader = Reader(opened)
    domain._tasks.append(reader.task)
    await asyncio.wait({reader.task}, timeout=SECONDS)
    error = reader.task.exception()
    assert error is not None
    return type(error)

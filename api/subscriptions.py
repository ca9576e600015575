"""A subscription on a socket: the events of one room, or of the account, as frames of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from api import socket_frames
from api.sse import GRACE, RECONNECT, reconnect, why
from parlor.gateway import Subscription
from parlor.model.ids import RoomId
from parlor.model.messages import Event

Write = Callable[[str], Awaitable[None]]
"""Sends a frame to the client. Raises ``OSError`` when it is gone, or does not read."""


class Follower:
    """Relays one subscription until it is stopped, fails, or the client is gone."""

    def __init__(self, room_id: RoomId | None, source: AbstractAsyncContextManager[Subscription], write: Write) -> None:
        """``room_id`` None: the account's events."""
        self._room_id = room_id
        self._source = source
        self._write = write
        self._opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._go = asyncio.Event()
        self._writing = False
        self._ending = False
        self._announced = False
        self._cursor = ""
        """Of the last event that was sent."""
        self.task = asyncio.create_task(self._run())

    async def open(self) -> str:
        """Returns the cursor at which the subscription begins. Raises what entering it raises."""
        await asyncio.wait((self.task, self._opened), return_when=asyncio.FIRST_COMPLETED)
        if not self._opened.done():
            await self.task
        return self._opened.result()

    def begin(self) -> None:
        """Lets events through: the client knows by now that it has subscribed."""
        self._go.set()

    async def stop(self, reason: str = "") -> None:
        """Ends it; with a reason, after ``stream.reconnect``. Raises ``OSError``."""
        self._ending = True
        if not self._writing:
            self.task.cancel()
        await asyncio.wait({self.task}, timeout=GRACE)
        if reason and self.task.done() and not self._announced:
            await self._send(reconnect(self._cursor, reason))

    async def _run(self) -> None:
        async with self._source as subscription:
            self._cursor = subscription.cursor
            self._opened.set_result(subscription.cursor)
            await self._go.wait()
            try:
                await self._relay(subscription)
            except OSError:
                return  # the client is gone
            except Exception as error:  # noqa: BLE001 - `why` logs it
                await self._send(reconnect(self._cursor, why(error)))

    async def _relay(self, subscription: Subscription) -> None:
        batches = aiter(subscription)
        try:
            async for batch in batches:
                self._writing = True
                for event in batch:
                    await self._send(event)
                self._writing = False
                if self._ending or self._announced:
                    return
        finally:
            if isinstance(batches, AsyncGenerator):
                await batches.aclose()

    async def _send(self, event: Event) -> None:
        await self._write(socket_frames.event(self._room_id, event))
        self._cursor = event.cursor
        self._announced = event.type == RECONNECT

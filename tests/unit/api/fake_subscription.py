"""An event log that a test writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parlor.gateway import Subscription
from parlor.model.messages import Event


class FakeSubscription:
    """Yields the batches that a test puts in; None ends it, an exception is raised."""

    def __init__(self, cursor: str) -> None:
        self._cursor = cursor
        self.batches: asyncio.Queue[list[Event] | Exception | None] = asyncio.Queue()
        self.entered = asyncio.Event()
        self.closed = asyncio.Event()
        self.refusal: Exception | None = None
        self.iterator_closed = False

    @property
    def cursor(self) -> str:
        return self._cursor

    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        try:
            while (batch := await self.batches.get()) is not None:
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        finally:
            self.iterator_closed = True

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Subscription]:
        if self.refusal is not None:
            raise self.refusal
        self.entered.set()
        try:
            yield self
        finally:
            self.closed.set()

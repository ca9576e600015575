"""Server-sent events as a client reads them (WHATWG HTML section 9.2.6), strictly: what we send has one form only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec

SECONDS = 20.0
"""Longest wait for one event."""


class SseEvent(msgspec.Struct, frozen=True):
    id: str
    type: str
    data: dict[str, Any]


class EventReader:
    """The events of an open response, one after the other."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = _lines(response)

    async def next(self, seconds: float = SECONDS) -> SseEvent | None:
        """The next event; None when the stream has ended. Raises ``TimeoutError``."""
        async with asyncio.timeout(seconds):
            fields: dict[str, str] = {}
            async for line in self._lines:
                if line.startswith(":"):
                    continue
                if line:
                    name, _, value = line.partition(": ")
                    assert name not in fields, f"{name} twice in one event"
                    fields[name] = value
                elif fields:
                    assert fields.keys() == {"id", "event", "data"}, fields
                    return SseEvent(fields["id"], fields["event"], msgspec.json.decode(fields["data"]))
            assert not fields, "the stream ended within an event"
            return None

    async def until(self, *types: str, seconds: float = SECONDS) -> list[SseEvent]:
        """Everything up to and with the first event of one of the types."""
        found: list[SseEvent] = []
        async with asyncio.timeout(seconds):
            while (event := await self.next(seconds)) is not None:
                found.append(event)
                if event.type in types:
                    return found
        raise AssertionError(f"the stream ended before {types}: {[event.type for event in found]}")

    async def rest(self, seconds: float = SECONDS) -> list[SseEvent]:
        """Everything up to the end of the stream."""
        found: list[SseEvent] = []
        async with asyncio.timeout(seconds):
            while (event := await self.next(seconds)) is not None:
                found.append(event)
        return found


async def _lines(response: httpx2.Response) -> AsyncIterator[str]:
    """Not ``aiter_lines``, which also ends a line at U+0085, U+2028 and U+2029."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode()
    assert not rest, "the stream ended within a line"


@asynccontextmanager
async def reading(client: httpx2.AsyncClient, method: str, path: str, **options: Any) -> AsyncIterator[EventReader]:
    """An open event stream; asserts that it is one."""
    async with client.stream(method, path, **options) as response:
        if response.status_code != httpx2.codes.OK:
            raise AssertionError(f"{response.status_code} {await response.aread()!r}")
        assert response.headers["content-type"].split(";")[0] == "text/event-stream"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        yield EventReader(response)


def text_of(events: list[SseEvent], message_id: str) -> str:
    """A reply's text as a client puts it together from deltas; offsets are checked on the way."""
    text, attempt = "", 1
    for event in events:
        if event.data.get("message_id") != message_id:
            continue
        if event.type == "message.reset":
            text, attempt = "", event.data["attempt"]
        elif event.type == "message.delta":
            assert event.data["attempt"] == attempt
            assert event.data["offset"] == len(text)
            text += event.data["text"]
    return text

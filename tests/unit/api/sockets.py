"""A WebSocket on the bare ASGI interface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, MutableMapping
from typing import Any

from fastapi import FastAPI

from tests.integration.waiting import eventually

PATH = "/v1/socket"


def is_idle(app: FastAPI) -> bool:
    """Whether nothing is counted any more of what was under way."""
    edge = app.state.edge
    return (edge.under_way, edge.streams.taken, edge.limits.requests_at_once._taken) == (0, 0, {})


async def until(holds: Callable[[], object]) -> None:
    async def look() -> object:
        return holds()

    await eventually(look, bool)


class Socket:
    """One connection: the test sends frames and reads each message of the application."""

    def __init__(
        self, app: FastAPI, headers: dict[str, str], *, offers: tuple[str, ...] = ("parlor.v1",), denial: bool = True
    ) -> None:
        """``denial``: whether the server can answer the handshake with a response."""
        self._app = app
        self.scope: dict[str, Any] = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "subprotocols": list(offers),
            "client": ("192.0.2.1", 1),
            "server": ("parlor", 80),
            "extensions": {"websocket.http.response": {}} if denial else {},
        }
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._sent: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self.reading = asyncio.Event()
        self.reading.set()
        """While it is cleared, the client does not read."""
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Socket:
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self._app(self.scope, self.incoming.get, self._send))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    def say(self, *frames: object) -> None:
        for frame in frames:
            text = frame if isinstance(frame, str) else json.dumps(frame)
            self.incoming.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def next(self) -> MutableMapping[str, Any]:
        async with asyncio.timeout(5):
            return await self._sent.get()

    async def accepted(self) -> MutableMapping[str, Any]:
        message = await self.next()
        assert message["type"] == "websocket.accept", message
        return message

    async def frame(self) -> Any:
        message = await self.next()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def frames(self, count: int) -> list[Any]:
        return [await self.frame() for _ in range(count)]

    async def closed(self) -> tuple[int, str]:
        message = await self.next()
        assert message["type"] == "websocket.close", message
        await self.finished()
        return message["code"], message["reason"]

    async def denied(self) -> tuple[int, Any]:
        start, body = await self.next(), await self.next()
        assert start["type"] == "websocket.http.response.start", start
        await self.finished()
        return start["status"], json.loads(body["body"])

    async def finished(self) -> None:
        assert self.task is not None
        async with asyncio.timeout(5):
            await self.task

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        await self.reading.wait()
        self._sent.put_nowait(message)

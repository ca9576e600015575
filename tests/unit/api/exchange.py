"""A request without an HTTP client, for tests of what is sent when."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from fastapi import FastAPI


class Exchange:
    """One request on the bare ASGI interface: the test reads each message that the application sends."""

    def __init__(self, app: FastAPI, method: str, path: str, headers: dict[str, str], query: str = "") -> None:
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("parlor", 80),
        }
        self._app = app
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._sent: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self.reading = asyncio.Event()
        self.reading.set()
        """While it is cleared, the client does not read."""
        self.stuck = asyncio.Event()
        """Set when the application sends to a client that does not read."""
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Exchange:
        self.task = asyncio.create_task(self._app(self._scope, self._incoming.get, self._send))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    def upgrade(self, *, denial: bool = True) -> None:
        """Makes it the handshake of a WebSocket; ``denial``: whether the server can answer one with a response."""
        self._scope |= {"type": "websocket", "extensions": {"websocket.http.response": {}} if denial else {}}
        self._incoming.put_nowait({"type": "websocket.connect"})

    def body(self, chunk: bytes, more: bool = False) -> None:
        self._incoming.put_nowait({"type": "http.request", "body": chunk, "more_body": more})

    def disconnect(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def next(self) -> MutableMapping[str, Any]:
        async with asyncio.timeout(5):
            return await self._sent.get()

    async def chunk(self) -> bytes:
        found = (await self.next())["body"]
        assert isinstance(found, bytes)
        return found

    async def start(self) -> tuple[int, dict[str, str]]:
        message = await self.next()
        assert message["type"] == "http.response.start"
        return message["status"], {name.decode(): value.decode() for name, value in message["headers"]}

    async def finished(self) -> None:
        assert self.task is not None
        async with asyncio.timeout(5):
            await self.task

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if not self.reading.is_set():
            self.stuck.set()
            await self.reading.wait()
        self._sent.put_nowait(message)

"""A client of ``GET /v1/socket``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

LONG = 30.0
"""Seconds; longer than any answer of a healthy installation takes."""


class SocketClient:
    """Sends and reads frames."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, **frame: Any) -> None:
        await self.connection.send(msgspec.json.encode(frame).decode())

    async def frame(self) -> dict[str, Any]:
        """The next frame. Raises ``websockets.ConnectionClosed``."""
        found: dict[str, Any] = msgspec.json.decode(await self.connection.recv())
        return found

    async def ask(self, **frame: Any) -> dict[str, Any]:
        """The answer to a frame; events before it are left out."""
        await self.say(**frame)
        while (found := await self.frame()).get("ref") != frame["ref"]:
            pass
        return found


@asynccontextmanager
async def connected(base_url: str, token: str | None, **headers: str) -> AsyncIterator[SocketClient]:
    """``base_url`` as of HTTP; without a token the first frame has to bring it. Header names are in snake case."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    url = base_url.replace("http", "ws", 1) + "/v1/socket"
    async with connect(
        url, subprotocols=[Subprotocol("parlor.v1")], additional_headers=given, proxy=None, open_timeout=LONG
    ) as connection:
        yield SocketClient(connection)

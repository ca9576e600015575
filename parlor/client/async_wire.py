"""A WebSocket, for asyncio. ``sync_wire.py`` is the same with threads: written, not made from this."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ssl import SSLContext
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from parlor.client import wires


class AsyncWire:
    """Carries texts both ways."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    @classmethod
    async def open(cls, url: str, headers: Mapping[str, str], user_agent: str, ssl: SSLContext | None) -> Self:
        """Raises ``NoAnswer``, ``Refused`` and ``BadAnswer``."""
        try:
            socket = await connect(url, **wires.options(headers, user_agent, ssl))
        except wires.OPENING as error:
            raise wires.not_opened(error) from error
        try:
            wires.require_protocol(socket.subprotocol)
        except BaseException:
            await socket.close()
            raise
        return cls(socket)

    async def send(self, text: str, seconds: float) -> None:
        """Raises ``NoAnswer``, and ``TimeoutError`` when the server does not read."""
        try:
            async with asyncio.timeout(seconds):
                await self._socket.send(text)
        except ConnectionClosed as error:
            raise wires.ended(error) from error

    async def receive(self) -> str:
        """The next text. The pings notice when there will be none. Raises ``NoAnswer`` and ``BadAnswer``."""
        try:
            return wires.require_text(await self._socket.recv())
        except ConnectionClosed as error:
            raise wires.ended(error) from error

    async def aclose(self) -> None:
        try:
            await self._socket.close()
        except BaseException:
            self._socket.transport.abort()  # nobody waits for its end any more
            raise

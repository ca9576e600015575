"""A WebSocket, with threads. ``async_wire.py`` is the same for asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from ssl import SSLContext
from typing import Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from parlor.client import wires
from parlor.client.connection import SILENCE_SECONDS


class Wire:
    """Carries texts both ways."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    @classmethod
    def open(cls, url: str, headers: Mapping[str, str], user_agent: str, ssl: SSLContext | None) -> Self:
        """Raises ``NoAnswer``, ``Refused`` and ``BadAnswer``."""
        try:
            socket = connect(url, **wires.options(headers, user_agent, ssl), legacy=True)
            # For writing. Reading begins when there is something to read, and the server pings more often.
            socket.socket.settimeout(SILENCE_SECONDS)
        except wires.OPENING as error:
            raise wires.not_opened(error) from error
        try:
            wires.require_protocol(socket.subprotocol)
        except BaseException:
            socket.close()
            raise
        return cls(socket)

    def send(self, text: str, seconds: float) -> None:
        """Raises ``NoAnswer``, also when the server does not read."""
        del seconds  # the socket has its own
        try:
            self._socket.send(text)
        except ConnectionClosed as error:
            raise wires.ended(error) from error

    def receive(self) -> str:
        """The next text. The pings notice when there will be none. Raises ``NoAnswer`` and ``BadAnswer``."""
        try:
            return wires.require_text(self._socket.recv())
        except ConnectionClosed as error:
            raise wires.ended(error) from error

    def close(self) -> None:
        self._socket.close()

"""A cheap client of ``GET /v1/socket``: sends with several under way on each connection, frames without a library."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time

import msgspec

from parlor_bench.load import ANSWER_SECONDS, Figures, figures

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Door(msgspec.Struct, frozen=True):
    """One connection: whose it is, and the rooms that it sends to by turns."""

    token: str
    rooms: list[str]


class SocketSends(msgspec.Struct, frozen=True, tag=True):
    """A load for a process of its own (``parlor_bench.worker``): a connection for each door."""

    host: str
    port: int
    doors: list[Door]
    in_flight: int
    seconds: float
    content: str

    async def run(self) -> Figures:
        latencies: list[float] = []
        began = time.perf_counter()
        errors = await asyncio.gather(*(self._send(door, began + self.seconds, latencies) for door in self.doors))
        return figures(len(self.doors), time.perf_counter() - began, latencies, sum(errors))

    async def _send(self, door: Door, until: float, latencies: list[float]) -> int:
        """Returns the number of answers that are no success."""
        connection = await SocketConnection.open(self.host, self.port, door.token)
        nonce, numbers, errors = secrets.token_hex(4), itertools.count(), 0
        sent: dict[int, float] = {}

        def send() -> None:
            number = next(numbers)
            sent[number] = time.perf_counter()
            frame = {
                "op": "send",
                "ref": number,
                "room_id": door.rooms[number % len(door.rooms)],
                "content": self.content,
                "reply": "none",
                "idempotency_key": f"{nonce}-{number}",
            }
            connection.write(msgspec.json.encode(frame))

        try:
            for _ in range(self.in_flight):
                send()
            while sent:
                answer = msgspec.json.decode(await connection.read(), type=_Answer)
                now = time.perf_counter()
                latencies.append(now - sent.pop(answer.ref))
                errors += not 200 <= answer.status < 300
                if now < until:
                    send()
        finally:
            connection.close()
        return errors


class _Answer(msgspec.Struct, frozen=True):
    ref: int
    status: int


class SocketConnection:
    """A WebSocket connection (RFC 6455) whose mask is zero: masking costs, and protects only proxies that a benchmark
    does not have."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, host: str, port: int, token: str) -> SocketConnection:
        """Raises ``RuntimeError`` when the handshake is refused."""
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(
            f"GET /v1/socket HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: parlor.v1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        if head[9:12] != b"101":
            writer.close()
            raise RuntimeError(f"the handshake was refused: {head[:200]!r}")
        return cls(reader, writer)

    def write(self, payload: bytes, opcode: int = _TEXT) -> None:
        length = len(payload)
        if length < 126:
            size = bytes([0x80 | length])
        elif length < 1 << 16:
            size = bytes([0x80 | 126]) + length.to_bytes(2, "big")
        else:
            size = bytes([0x80 | 127]) + length.to_bytes(8, "big")
        self._writer.write(bytes([0x80 | opcode]) + size + b"\0\0\0\0" + payload)

    async def read(self) -> bytes:
        """The next message; pings are answered. Raises ``EOFError`` when the server closes."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                first, second = await self._reader.readexactly(2)
                length = second & 0x7F
                if length > 125:
                    length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8), "big")
                payload = await self._reader.readexactly(length)
                if first & 0x0F == _TEXT:
                    return payload
                if first & 0x0F == _PING:
                    self.write(payload, _PONG)
                elif first & 0x0F == _CLOSE:
                    raise EOFError(f"closed by the server: {payload!r}")

    def close(self) -> None:
        self._writer.close()

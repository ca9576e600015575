"""A cheap reader of event streams, for benchmarks and for tests that open thousands of streams.

It leaves the data of events undecoded. A client library would cost more than the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

HEAD_SECONDS = 30.0
"""The longest wait for the head of an answer."""
SILENCE_SECONDS = 45.0
"""The longest wait for a byte: three heartbeats."""


class RawEvent(msgspec.Struct, frozen=True):
    """One event; ``data`` is undecoded JSON."""

    id: str
    type: str
    data: bytes

    @property
    def position(self) -> tuple[int, int]:
        """The cursor as numbers that can be compared."""
        first, _, second = self.id.partition("-")
        return int(first), int(second)


class Refused(Exception):
    """The answer is not an event stream."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body[:300]!r}")
        self.status = status


class Chunks:
    """Decodes the chunked transfer coding (RFC 9112 section 7.1)."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0
        self.ended = False
        """Whether the last chunk has arrived, so that the answer is complete."""

    def feed(self, data: bytes) -> bytes:
        """Returns the decoded data. Raises ``ValueError`` for data that is not chunked."""
        data, found = self._rest + data, []
        while data and not self.ended:
            if self._left > 2:
                piece = data[: self._left - 2]
                found.append(piece)
                self._left -= len(piece)
                data = data[len(piece) :]
            elif self._left:
                # The line end after a chunk.
                passed = min(self._left, len(data))
                self._left -= passed
                data = data[passed:]
            else:
                line, end, rest = data.partition(b"\r\n")
                if not end:
                    break
                size = int(line.partition(b";")[0], 16)
                data, self.ended, self._left = rest, size == 0, size + 2
        self._rest = b"" if self.ended else data
        return b"".join(found)


class Frames:
    """Splits a stream into events; an incomplete one waits for the rest."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[RawEvent]:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        return [_event(block) for block in blocks if not block.startswith(b":")]


def _event(block: bytes) -> RawEvent:
    cursor, kind, data = block.split(b"\n")
    if not (cursor.startswith(b"id: ") and kind.startswith(b"event: ") and data.startswith(b"data: ")):
        raise ValueError(f"not an event: {block[:100]!r}")
    return RawEvent(cursor[4:].decode(), kind[7:].decode(), data[6:])


class EventConnection:
    """An open event stream."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._chunks = Chunks()

    @property
    def whole(self) -> bool:
        """Whether the server has ended the stream; otherwise it was cut."""
        return self._chunks.ended

    async def batches(self) -> AsyncIterator[list[RawEvent]]:
        """Yields the events of each read, until the end or a cut; an incomplete event is dropped.

        Raises ``TimeoutError``.
        """
        frames = Frames()
        while not self._chunks.ended:
            async with asyncio.timeout(SILENCE_SECONDS):
                try:
                    data = await self._reader.read(65536)
                except ConnectionResetError:
                    return
            if not data:
                return
            if events := frames.feed(self._chunks.feed(data)):
                yield events


@asynccontextmanager
async def opened(host: str, port: int, request: bytes) -> AsyncIterator[EventConnection]:
    """Sends a request and reads the head of the answer.

    Raises ``Refused``, or ``EOFError`` or ``ConnectionError`` when the connection is cut before the end of the head.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        async with asyncio.timeout(HEAD_SECONDS):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not (head[9:12] in (b"200", b"201") and b"text/event-stream" in head):
                raise Refused(int(head[9:12]), await reader.read(65536))
        yield EventConnection(reader)
    finally:
        writer.transport.abort()

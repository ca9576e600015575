"""Thousands of readers of one room's events, as cheap as they can be: nothing is decoded but the time in a token."""

from __future__ import annotations

import asyncio
import re
import sys
import time

import msgspec

from parlor_bench.load import percentile

AT_ONCE = 100
"""Streams that are being opened at a time."""
OPEN_SECONDS, END_SECONDS = 120.0, 120.0
READY = b"ready\n"
"""What the process writes when every stream is open."""
_STAMP = re.compile(rb'"text": ?" ?(\d{13})')
_END = b"event: message.completed"


class ReadEvents(msgspec.Struct, frozen=True):
    """What the readers of one process received."""

    readers: int
    events: int
    """Tokens that came, at all readers together."""
    ended: int
    """Readers that saw the end of the reply."""
    p50_ms: float
    p99_ms: float


class Readers(msgspec.Struct, frozen=True, tag=True):
    """A load for a process of its own (``parlor_bench.worker``): streams, each until a reply ends in it."""

    host: str
    port: int
    requests: list[bytes]

    async def run(self) -> ReadEvents:
        at_once = asyncio.Semaphore(AT_ONCE)
        delays: list[float] = []
        readers = [_Reader(delays) for _ in self.requests]

        async def enter(reader: _Reader, request: bytes) -> None:
            async with at_once, asyncio.timeout(OPEN_SECONDS):
                transport, _ = await asyncio.get_running_loop().create_connection(lambda: reader, self.host, self.port)
                transport.write(request)
                await reader.opened.wait()

        await asyncio.gather(*map(enter, readers, self.requests))
        sys.stdout.buffer.write(READY)
        sys.stdout.buffer.flush()
        async with asyncio.timeout(END_SECONDS):
            await asyncio.gather(*(reader.ended.wait() for reader in readers))
        delays.sort()
        return ReadEvents(
            readers=len(readers),
            events=len(delays),
            ended=sum(reader.completed for reader in readers),
            p50_ms=round(percentile(delays, 0.5), 1),
            p99_ms=round(percentile(delays, 0.99), 1),
        )


class _Reader(asyncio.Protocol):
    """Takes the time of each token; a token that is cut by two reads of the socket is taken with the second."""

    def __init__(self, delays: list[float]) -> None:
        self._delays = delays
        self._rest = b""
        self.opened, self.ended = asyncio.Event(), asyncio.Event()
        self.completed = False

    def data_received(self, data: bytes) -> None:
        if not self.opened.is_set():
            self.opened.set()
        now = time.time() * 1000
        data = self._rest + data
        end = data.rfind(b"\n\n") + 2
        self._rest = data[end:] if end > 1 else data
        whole = data[:end] if end > 1 else b""
        self._delays += [now - int(stamp) for stamp in _STAMP.findall(whole)]
        if _END in whole:
            self.completed = True
            self.ended.set()

    def connection_lost(self, _: Exception | None) -> None:
        self.opened.set()
        self.ended.set()

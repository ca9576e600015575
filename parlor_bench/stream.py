"""`parlor bench stream`: many replies at once, each with its own reader.

It measures lost tokens (there must be none), the delay of tokens, the memory for each stream, and the time to first
token. Each token of the demo model contains the time at which it was sent (``stamp=1``), by the clock of this machine.
Its delay is the time until the reader has it: two HTTP hops, the coalescing of deltas (25 ms), a script, a wake-up and
a read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from parlor_bench.event_stream import RawEvent, Refused, opened
from parlor_bench.first_token import FirstToken, measure_first_token, send_request
from parlor_bench.load import percentile
from parlor_bench.rooms import Rooms

ENDS = ("message.completed", "message.stopped", "message.failed", "message.deleted")
TOKENS_PER_SECOND = 20
RAMP = 2.0
"""Seconds over which the replies of a run begin, so that their tokens are not sent in step."""
SAMPLE = 0.25
"""Seconds between two samples of the memory of the processes."""
SAMPLES = 30
"""Of the time to first token."""


class Target(msgspec.Struct, frozen=True):
    """A running installation."""

    host: str
    port: int
    token: str
    llm_url: str
    """The base URL of the demo model."""
    replicas: list[int]
    """Process ids of the API replicas on this machine."""
    room_actors: list[int]


class Streams(msgspec.Struct, frozen=True):
    """The figures of one run."""

    replies: int
    tokens: int
    """Number of tokens of all replies."""
    lost: int
    """Number of lost tokens, events out of order, and texts that differ from the stored ones."""
    failed: int
    """Replies that began and were not completed."""
    refused: int
    """Sends that were answered with an error, for example because the machine is too busy."""
    p50_ms: float
    p99_ms: float
    replica_kb: float
    """Peak memory of the API replicas, less that before the run, for each stream."""
    room_kb: float
    """The same for the RoomActors."""


class Report(msgspec.Struct, frozen=True):
    streams: list[Streams]
    first_token: list[FirstToken]


class Reading:
    """What a reader has received of its reply."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._text: list[str] = []
        self._length = 0
        self._last = (0, 0)
        self.delays: list[float] = []
        """The delay of each token in milliseconds."""
        self.lost = 0
        self.completed = False
        self.ended = False
        self.refused = False

    def take(self, event: RawEvent, now_ms: float) -> None:
        self.lost += event.position <= self._last
        self._last = event.position
        if event.type == "message.delta":
            delta = msgspec.json.decode(event.data)
            self.lost += delta["offset"] != self._length
            self._length += len(delta["text"])
            self._text.append(delta["text"])
            stamps = delta["text"].split()
            self.delays += [now_ms - int(stamp) for stamp in stamps if stamp.isdigit()]
            self.lost += sum(not stamp.isdigit() for stamp in stamps)
        elif event.type in ENDS:
            self.ended = True
            self.completed = event.type == "message.completed"
            whole = msgspec.json.decode(event.data)["message"]["content"] if self.completed else "".join(self._text)
            self.lost += whole != "".join(self._text)
            self.lost += max(0, self._tokens - len(self.delays)) if self.completed else 0


async def measure(target: Target, *, replies: Sequence[int], seconds: float, say: Callable[[str], None]) -> Report:
    """Measures a run of ``seconds`` for each number of replies, then the time to first token; deletes its rooms."""
    async with Rooms(target.host, target.port, say) as rooms:
        return await _measure(target, rooms, replies, seconds, say)


async def _measure(
    target: Target, made: Rooms, replies: Sequence[int], seconds: float, say: Callable[[str], None]
) -> Report:
    tokens = max(1, round(seconds * TOKENS_PER_SECOND))
    runs = []
    for count in replies:
        say(f"creating {count} rooms")
        rooms = [room for room, _ in await made.create([target.token] * count)]
        found = await _streams(target, rooms, tokens)
        runs.append(found)
        say(
            f"{count} replies: {found.tokens} tokens, "
            f"lost {found.lost}, failed {found.failed}, refused {found.refused}, "
            f"delay p50 {found.p50_ms} p99 {found.p99_ms} ms, "
            f"a stream {found.replica_kb} KB in the API and {found.room_kb} KB in its RoomActor"
        )
    first = []
    for concurrent in (1, 100):
        waiting = await made.create([target.token] * concurrent)
        times = await measure_first_token(target.host, target.port, target.llm_url, waiting, SAMPLES)
        first.append(times)
        say(
            f"first token at {concurrent}: direct p50 {times.direct_p50} p99 {times.direct_p99} ms, "
            f"through Parlor p50 {times.parlor_p50} p99 {times.parlor_p99} ms"
        )
    return Report(runs, first)


def summed(readings: Sequence[Reading], tokens: int, replica_bytes: int, room_bytes: int) -> Streams:
    """The figures of a run; ``tokens`` is for each reply, the bytes are for all of them."""
    delays = sorted(delay for reading in readings for delay in reading.delays)
    count = max(1, len(readings))
    return Streams(
        replies=len(readings),
        tokens=tokens * len(readings),
        lost=sum(reading.lost for reading in readings),
        failed=sum(not (reading.completed or reading.refused) for reading in readings),
        refused=sum(reading.refused for reading in readings),
        p50_ms=round(percentile(delays, 0.5), 1),
        p99_ms=round(percentile(delays, 0.99), 1),
        replica_kb=round(replica_bytes / count / 1024, 1),
        room_kb=round(room_bytes / count / 1024, 1),
    )


def resident_bytes(pids: Sequence[int]) -> int:
    """The resident memory of the processes; those that have ended are left out."""
    total = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        except FileNotFoundError:
            continue
        total += int(status.partition("VmRSS:")[2].split()[0]) * 1024
    return total


async def _streams(target: Target, rooms: list[str], tokens: int) -> Streams:
    body = msgspec.json.encode({"content": f"[[tokens={tokens} stamp=1 delay={1000 // TOKENS_PER_SECOND}ms]]"})

    async def read(number: int, room: str) -> Reading:
        await asyncio.sleep(RAMP * number / len(rooms))
        reading = Reading(tokens)
        request = send_request(target.host, target.port, room, target.token, body)
        try:
            async with opened(target.host, target.port, request) as connection:
                async for events in connection.batches():
                    now = time.time() * 1000
                    for event in events:
                        reading.take(event, now)
                    if reading.ended:
                        break
        except Refused:
            reading.refused = True  # counted, but not as a loss
        return reading

    before = resident_bytes(target.replicas), resident_bytes(target.room_actors)
    highest = before
    readers = asyncio.gather(*(read(number, room) for number, room in enumerate(rooms)))
    while not readers.done():
        await asyncio.wait({readers}, timeout=SAMPLE)
        now = resident_bytes(target.replicas), resident_bytes(target.room_actors)
        highest = max(highest[0], now[0]), max(highest[1], now[1])
    return summed(await readers, tokens, highest[0] - before[0], highest[1] - before[1])

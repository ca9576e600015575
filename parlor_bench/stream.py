"""`parlor bench stream`: many replies at once, a reader each: what gets lost (nothing may), how late a token comes,
what a stream costs in memory, and the time to the first token.

The demo model writes into each token when it sent it (``stamp=1``), on the same machine's clock; a token's delay is the
time until the reader has it: two hops of HTTP, the coalescing of deltas (25 ms), a script, a wake-up and a read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from parlor_bench.event_stream import RawEvent, Refused, opened
from parlor_bench.load import exchange, percentile, post

ENDS = ("message.completed", "message.stopped", "message.failed", "message.deleted")
TOKENS_PER_SECOND = 20
RAMP = 2.0
"""Seconds over which the replies of a run begin, so that their tokens do not come in step."""
SAMPLE = 0.25
"""Seconds between two looks at the processes' memory."""
QUESTION = "[[tokens=5 delay=20ms first=0ms]]"
FIRST_WORD = b"the"
ROOMS_AT_ONCE = 16


class Target(msgspec.Struct, frozen=True):
    """A running installation."""

    host: str
    port: int
    token: str
    llm_url: str
    """The demo model's base URL."""
    replicas: list[int]
    """Processes of the API on this machine."""
    room_actors: list[int]


class Streams(msgspec.Struct, frozen=True):
    """One run."""

    replies: int
    tokens: int
    """That were to come, of all replies."""
    lost: int
    """Tokens that never came, or events out of order, or a text that is not the stored one."""
    failed: int
    """Replies that began and did not end as completed."""
    refused: int
    """Sends that were answered with an error, as when the machine is too busy."""
    p50_ms: float
    p99_ms: float
    replica_kb: float
    """Memory of the API at its highest above that before the run, for each stream."""
    room_kb: float
    """The same of the RoomActors."""


class FirstToken(msgspec.Struct, frozen=True):
    """Milliseconds from the request to the first word."""

    concurrent: int
    direct_p50: float
    direct_p99: float
    parlor_p50: float
    parlor_p99: float


class Report(msgspec.Struct, frozen=True):
    streams: list[Streams]
    first_token: list[FirstToken]


class Reading:
    """What one reader got of its reply."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._text: list[str] = []
        self._length = 0
        self._last = (0, 0)
        self.delays: list[float] = []
        """Milliseconds, one for each token."""
        self.lost = 0
        self.completed = False
        self.ended = False
        self.refused = False

    def take(self, event: RawEvent, now_ms: float) -> None:
        self.lost += event.place <= self._last
        self._last = event.place
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
    """For each number of replies a run of ``seconds``; then the first token."""
    tokens = max(1, round(seconds * TOKENS_PER_SECOND))
    runs = []
    for count in replies:
        say(f"making {count} rooms")
        found = await _streams(target, await _make_rooms(target, count), tokens)
        runs.append(found)
        say(
            f"{count} replies: {found.tokens} tokens, "
            f"lost {found.lost}, failed {found.failed}, refused {found.refused}, "
            f"delay p50 {found.p50_ms} p99 {found.p99_ms} ms, "
            f"a stream {found.replica_kb} KB in the API and {found.room_kb} KB in its RoomActor"
        )
    first = []
    for concurrent in (1, 100):
        told = await _first_token(target, concurrent)
        first.append(told)
        say(
            f"first token at {concurrent}: direct p50 {told.direct_p50} p99 {told.direct_p99} ms, "
            f"through Parlor p50 {told.parlor_p50} p99 {told.parlor_p99} ms"
        )
    return Report(runs, first)


def summed(readings: Sequence[Reading], tokens: int, replica_bytes: int, room_bytes: int) -> Streams:
    """The figures of one run; ``tokens`` of each reply, bytes of all of them."""
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
    """Memory of processes of this machine; those that have ended count nothing."""
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
        request = _send(target, room, body)
        try:
            async with opened(target.host, target.port, request) as connection:
                async for events in connection.batches():
                    now = time.time() * 1000
                    for event in events:
                        reading.take(event, now)
                    if reading.ended:
                        break
        except Refused:
            reading.refused = True  # at once and with a reason: nothing is lost, and the report counts it
        return reading

    before = resident_bytes(target.replicas), resident_bytes(target.room_actors)
    highest = before
    readers = asyncio.gather(*(read(number, room) for number, room in enumerate(rooms)))
    while not readers.done():
        await asyncio.wait({readers}, timeout=SAMPLE)
        now = resident_bytes(target.replicas), resident_bytes(target.room_actors)
        highest = max(highest[0], now[0]), max(highest[1], now[1])
    return summed(await readers, tokens, highest[0] - before[0], highest[1] - before[1])


async def _make_rooms(target: Target, count: int) -> list[str]:
    async def some(share: int) -> list[str]:
        made = []
        reader, writer = await asyncio.open_connection(target.host, target.port)
        try:
            for _ in range(share):
                request = post(target.host, target.port, "/v1/rooms", target.token, b'{"title": "Bench"}')
                status, body = await exchange(reader, writer, request)
                if status != 201:
                    raise RuntimeError(f"a room could not be made: {status} {body!r}")
                made.append(str(msgspec.json.decode(body)["room_id"]))
        finally:
            writer.close()
        return made

    shares = [count // ROOMS_AT_ONCE + (number < count % ROOMS_AT_ONCE) for number in range(ROOMS_AT_ONCE)]
    return [room for made in await asyncio.gather(*map(some, shares)) for room in made]


async def _first_token(target: Target, concurrent: int) -> FirstToken:
    """Alternating rounds: directly, and through Parlor, so many at the same time."""
    rooms = await _make_rooms(target, concurrent)
    llm = urlsplit(target.llm_url)
    llm_host, llm_port = llm.hostname or "", llm.port or 80
    question = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    path, asked = f"{llm.path}/chat/completions", msgspec.json.encode(question)
    direct = post(llm_host, llm_port, path, "demo", asked, connection="close")
    body = msgspec.json.encode({"content": QUESTION})
    directly: list[float] = []
    through: list[float] = []
    for _ in range(max(3, 30 // concurrent)):
        directly += await asyncio.gather(*(_until_word(llm_host, llm_port, direct) for _ in range(concurrent)))
        sends = [_send(target, room, body) for room in rooms]
        through += await asyncio.gather(*(_until_word(target.host, target.port, send) for send in sends))
    directly.sort()
    through.sort()
    return FirstToken(
        concurrent,
        round(percentile(directly, 0.5), 1),
        round(percentile(directly, 0.99), 1),
        round(percentile(through, 0.5), 1),
        round(percentile(through, 0.99), 1),
    )


def _send(target: Target, room: str, body: bytes) -> bytes:
    path = f"/v1/rooms/{room}/messages"
    return post(target.host, target.port, path, target.token, body, accept="text/event-stream", connection="close")


async def _until_word(host: str, port: int, request: bytes) -> float:
    """Milliseconds until the first word of the answer is there; reads on to the answer's end."""
    reader, writer = await asyncio.open_connection(host, port)
    marks = (b'"content":"' + FIRST_WORD, b'"text":"' + FIRST_WORD)
    try:
        began = time.perf_counter()
        writer.write(request)
        seen, found = b"", 0.0
        async with asyncio.timeout(60):
            while chunk := await reader.read(65536):
                seen += chunk
                if not found and any(mark in seen for mark in marks):
                    found = (time.perf_counter() - began) * 1000
        if not found:
            raise RuntimeError(f"no token came: {seen[:300]!r}")
        return found
    finally:
        writer.close()

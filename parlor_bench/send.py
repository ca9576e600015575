"""`parlor bench send`: sends against a no-op POST on the same ingress, in one run.

Rounds alternate between the two, so that both see the same machine; each round gives a ratio, and the median of the
ratios is the result. Targets (issue "Parlor runs"): sends/s at 64 connections over 100 rooms at least 0.4 of the no-op;
p50 at one connection at most 5 ms above it; time to first token at most 30 ms above asking the demo model directly.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from parlor_bench.load import Figures, Request, exchange, percentile, post, run

ROOMS = 100
ACCOUNTS = 10
BODY = msgspec.json.encode({"content": "x" * 256, "reply": "none"})
QUESTION = "[[tokens=8 delay=5ms first=0ms]]"
"""For the demo model: an answer that begins at once."""


class Target(msgspec.Struct, frozen=True):
    """A running installation."""

    host: str
    port: int
    tokens: list[str]
    """One for each of ``ACCOUNTS`` accounts."""
    noop_path: str
    llm_url: str
    """The demo model's base URL; empty: the time to first token is not measured."""


class Round(msgspec.Struct, frozen=True):
    """One after the other, at one number of connections."""

    noop: Figures
    send: Figures

    @property
    def ratio(self) -> float:
        return self.send.per_second / self.noop.per_second if self.noop.per_second else 0.0


class FirstToken(msgspec.Struct, frozen=True):
    """Milliseconds from the request to the first piece of text."""

    direct_p50: float
    direct_p99: float
    parlor_p50: float
    parlor_p99: float


class Report(msgspec.Struct, frozen=True):
    one: list[Round]
    """At one connection."""
    many: list[Round]
    """At 64 connections."""
    first_token: FirstToken | None
    ratio_many: float
    """Median over the rounds: sends/s through no-op/s, at 64 connections."""
    extra_p50_ms_one: float
    """Median over the rounds: p50 of a send above the no-op's, at one connection."""


async def measure(target: Target, *, seconds: float, rounds: int, say: Callable[[str], None]) -> Report:
    """Makes rooms, then measures; ``seconds`` for each single figure."""
    say(f"making {ROOMS} rooms of {ACCOUNTS} accounts")
    requests = [_send(target, room, token) for room, token in await _make_rooms(target)]
    noop: list[Request] = [_constant(post(target.host, target.port, target.noop_path, target.tokens[0], BODY))]
    await run(target.host, target.port, 16, 1.0, requests)  # every room has its owner, every path is warm
    await run(target.host, target.port, 16, 1.0, noop)
    measured: dict[int, list[Round]] = {1: [], 64: []}
    for number, connections in itertools.product(range(rounds), measured):
        before = await run(target.host, target.port, connections, seconds, noop)
        sends = await run(target.host, target.port, connections, seconds, requests)
        found = Round(before, sends)
        measured[connections].append(found)
        say(
            f"round {number + 1}, {connections:2} connections: no-op {before.per_second:7.0f}/s p50 {before.p50_ms} ms"
            f" | sends {sends.per_second:7.0f}/s p50 {sends.p50_ms} p99 {sends.p99_ms} ms, errors {sends.errors}"
            f" | ratio {found.ratio:.2f}"
        )
    return Report(
        one=measured[1],
        many=measured[64],
        first_token=await _first_token(target) if target.llm_url else None,
        ratio_many=round(statistics.median(found.ratio for found in measured[64]), 3),
        extra_p50_ms_one=round(statistics.median(found.send.p50_ms - found.noop.p50_ms for found in measured[1]), 2),
    )


async def _make_rooms(target: Target) -> list[tuple[str, str]]:
    rooms = []
    for number in range(ROOMS):
        token = target.tokens[number % len(target.tokens)]
        # A connection each: the no-op was just deployed, and HAProxy's reload closes kept ones.
        reader, writer = await asyncio.open_connection(target.host, target.port)
        try:
            status, body = await exchange(
                reader, writer, post(target.host, target.port, "/v1/rooms", token, b'{"title": "Bench"}')
            )
        finally:
            writer.close()
        if status != 201:
            raise RuntimeError(f"a room could not be made: {status} {body!r}")
        rooms.append((str(msgspec.json.decode(body)["room_id"]), token))
    return rooms


def _send(target: Target, room: str, token: str) -> Request:
    return _constant(post(target.host, target.port, f"/v1/rooms/{room}/messages", token, BODY))


def _constant(request: bytes) -> Request:
    return lambda _: request


async def _first_token(target: Target, samples: int = 40) -> FirstToken:
    """Alternating, one at a time: asked directly and through Parlor."""
    rooms = await _make_rooms(target)
    llm = urlsplit(target.llm_url)
    question = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    direct = post(
        llm.hostname or "", llm.port or 80, f"{llm.path}/chat/completions", "demo", msgspec.json.encode(question)
    )
    directly, through = [], []
    for number in range(samples):
        room, token = rooms[number % len(rooms)]
        body = msgspec.json.encode({"content": QUESTION})
        send = post(target.host, target.port, f"/v1/rooms/{room}/messages", token, body)
        send = send.replace(b"\r\n\r\n", b"\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n", 1)
        directly.append(await _until(llm.hostname or "", llm.port or 80, direct, b'"content":"'))
        through.append(await _until(target.host, target.port, send, b"event: message.delta"))
    directly.sort()
    through.sort()
    return FirstToken(
        round(percentile(directly, 0.5), 2),
        round(percentile(directly, 0.99), 2),
        round(percentile(through, 0.5), 2),
        round(percentile(through, 0.99), 2),
    )


async def _until(host: str, port: int, request: bytes, mark: bytes) -> float:
    """Milliseconds from sending the request to seeing the mark; then reads on to the end of the answer."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        began = time.perf_counter()
        writer.write(request)
        seen, found = b"", 0.0
        async with asyncio.timeout(30):
            while chunk := await reader.read(65536):
                seen += chunk
                if not found and mark in seen:
                    found = (time.perf_counter() - began) * 1000
                if b"message.completed" in seen or b"[DONE]" in seen:
                    break
        if not found:
            raise RuntimeError(f"no token came: {seen[:300]!r}")
        return found
    finally:
        writer.close()

"""`parlor bench send`: compares sends with a no-op POST on the same ingress.

Rounds alternate between the two, so that both run under the same conditions. Each round gives a ratio; the result is
the median. Targets: sends/s at 64 connections over 100 rooms at least 0.4 of the no-op's; p50 at one connection at most
5 ms above the no-op's; time to first token at most 30 ms above that of the demo model alone.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable

import msgspec

from parlor_bench.first_token import FirstToken, measure_first_token
from parlor_bench.load import Figures, Request, post, run
from parlor_bench.rooms import Rooms

ROOMS = 100
ACCOUNTS = 100
BODY = msgspec.json.encode({"content": "x" * 256, "reply": "none"})
SAMPLES = 40
"""Of the time to first token."""


class Target(msgspec.Struct, frozen=True):
    """A running installation."""

    host: str
    port: int
    tokens: list[str]
    """A token for each of ``ACCOUNTS`` accounts."""
    noop_path: str
    llm_url: str
    """The base URL of the demo model; when it is empty, the time to first token is not measured."""


class Round(msgspec.Struct, frozen=True):
    """A run of each kind, with the same number of connections."""

    noop: Figures
    send: Figures

    @property
    def ratio(self) -> float:
        return self.send.per_second / self.noop.per_second if self.noop.per_second else 0.0


class Report(msgspec.Struct, frozen=True):
    one: list[Round]
    """At one connection."""
    many: list[Round]
    """At 64 connections."""
    first_token: FirstToken | None
    ratio_many: float
    """Median over the rounds: sends/s divided by no-ops/s, at 64 connections."""
    extra_p50_ms_one: float
    """Median over the rounds: p50 of a send above the no-op's, at one connection."""


async def measure(target: Target, *, seconds: float, rounds: int, say: Callable[[str], None]) -> Report:
    """Creates rooms, measures, and deletes the rooms; each run takes ``seconds``."""
    async with Rooms(target.host, target.port, say) as rooms:
        return await _measure(target, rooms, seconds, rounds, say)


async def _measure(target: Target, made: Rooms, seconds: float, rounds: int, say: Callable[[str], None]) -> Report:
    say(f"creating {ROOMS} rooms of {ACCOUNTS} accounts")
    rooms = await made.create([target.tokens[number % len(target.tokens)] for number in range(ROOMS)])
    requests = [send_to(target.host, target.port, room, token) for room, token in rooms]
    noop: list[Request] = [_constant(post(target.host, target.port, target.noop_path, target.tokens[0], BODY))]
    await run(target.host, target.port, 16, 1.0, requests)  # warm-up: afterwards every room has an owner
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
    first_token = None
    if target.llm_url:
        room = await made.create(target.tokens[:1])
        first_token = await measure_first_token(target.host, target.port, target.llm_url, room, SAMPLES)
    return Report(
        one=measured[1],
        many=measured[64],
        first_token=first_token,
        ratio_many=round(statistics.median(found.ratio for found in measured[64]), 3),
        extra_p50_ms_one=round(statistics.median(found.send.p50_ms - found.noop.p50_ms for found in measured[1]), 2),
    )


def send_to(host: str, port: int, room: str, token: str) -> Request:
    """A send of ``BODY`` into the room."""
    return _constant(post(host, port, f"/v1/rooms/{room}/messages", token, BODY))


def _constant(request: bytes) -> Request:
    return lambda _: request

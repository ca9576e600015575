"""`parlor bench compare`: sends to two services by turns, in one run; the ratio of each pair counts, not the figures.

A machine that is busy, or slow, is so for both of a pair, so a ratio says something where a time does not.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence

import msgspec

from parlor_bench.load import Figures, Sends, post
from parlor_bench.worker import in_process

WARM_UP_SECONDS = 2.0
MANY = 64
"""Connections."""
ROOMS = 100
BODY = msgspec.json.encode({"content": "x" * 256, "reply": "none"})


class Side(msgspec.Struct, frozen=True):
    """A service that takes sends."""

    name: str
    host: str
    port: int
    requests: Sequence[bytes]
    """For each connection, again and again from the first."""


class Pair(msgspec.Struct, frozen=True):
    """Two runs, one after the other, with as many connections."""

    base: Figures
    new: Figures

    @property
    def rate(self) -> float:
        """Sends/s of the new one, of the base's."""
        return self.new.per_second / self.base.per_second if self.base.per_second else 0.0

    @property
    def wait(self) -> float:
        """The p50 of the new one, of the base's."""
        return self.new.p50_ms / self.base.p50_ms if self.base.p50_ms else 0.0


class Comparison(msgspec.Struct, frozen=True):
    one: list[Pair]
    """At one connection."""
    many: list[Pair]
    """At 64 connections."""
    rate: float
    """Median over the pairs at 64 connections."""
    wait: float
    """Median over the pairs at one connection."""

    @property
    def errors(self) -> int:
        return sum(pair.base.errors + pair.new.errors for pair in (*self.one, *self.many))


async def compare(base: Side, new: Side, *, seconds: float, rounds: int, say: Callable[[str], None]) -> Comparison:
    """Each run takes ``seconds``. Which of the two comes first changes with each round: what the first leaves behind is
    in the way of the second."""
    for side in (base, new):
        await _run(side, 16, WARM_UP_SECONDS)
    pairs: dict[int, list[Pair]] = {1: [], MANY: []}
    for number, connections in itertools.product(range(rounds), pairs):
        order = (base, new) if number % 2 == 0 else (new, base)
        found = {side.name: await _run(side, connections, seconds) for side in order}
        pair = Pair(found[base.name], found[new.name])
        pairs[connections].append(pair)
        say(
            f"round {number + 1}, {connections:2} connections: {_told(base, pair.base)} | {_told(new, pair.new)}"
            f" | rate {pair.rate:.2f}, p50 {pair.wait:.2f}"
        )
    return Comparison(
        one=pairs[1],
        many=pairs[MANY],
        rate=round(statistics.median(pair.rate for pair in pairs[MANY]), 3),
        wait=round(statistics.median(pair.wait for pair in pairs[1]), 3),
    )


async def _run(side: Side, connections: int, seconds: float) -> Figures:
    return await in_process(Sends(side.host, side.port, connections, seconds, list(side.requests)))


def _told(side: Side, figures: Figures) -> str:
    return f"{side.name} {figures.per_second:6.0f}/s p50 {figures.p50_ms} p99 {figures.p99_ms} ms"


def send_to(host: str, port: int, room: str, token: str) -> bytes:
    """A send of ``BODY`` into the room."""
    return post(host, port, f"/v1/rooms/{room}/messages", token, BODY)

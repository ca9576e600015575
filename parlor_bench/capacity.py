"""How much a number of machines carries, from what one thing costs each process: docs/SCALE.md is made with it.

``python -m parlor_bench.capacity`` prints its tables. Costs are processor time, because that is what is used up first;
what waits for a disk or a network costs time, and no capacity. Three kinds of limits:

- a process of Python, and Redis' main thread, have one core each, and are to use ``FULL`` of it;
- a database is to use ``FULL`` of its server's cores;
- counts that Parlor or Ray set (``LIMITS``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec

FULL = 0.65
"""Share of a core beyond which requests begin to wait for each other."""
HAPROXY_CORES, DATABASE_CORES = 2.0, 8.0
"""Of one HAProxy, and of a shard's server."""

Cost = Mapping[str, float]
"""Microseconds of processor time by process."""

SEND_BEFORE: Cost = {"replica": 800, "RoomActor": 360, "writer": 190, "Redis": 180, "HAProxy": 170, "database": 80}
"""A send of 256 characters at 64 connections, stored: the middle of each range in docs/PERFORMANCE.md, *What bounds
it*."""
SAVED: Cost = {"replica": 44 + 38, "RoomActor": 79 + 38}
"""What was taken off since, by the text behind that table: in the code of both, and by the actor's socket, for one of
about 20 sends in a call."""
TOKEN: Cost = {"replica": 172, "RoomActor": 125, "Redis": 38, "HAProxy": 22}
"""A token of a reply that somebody reads, at 4,000 a second (the same, *Streams*: 69, 50, 15 and 9 % of a core)."""
ASKED: Cost = {"readers": 38, "demo model": 22}
"""What whoever asks and the model cost on the same machine, for a token (15 and 9 %)."""
REPLY: Cost = {"replica": 1500, "RoomActor": 1600, "Redis": 600, "HAProxy": 170, "writer": 190, "database": 80}
"""A reply from its beginning to its end, with its first tokens (the same; the last three as of a send)."""
IDLE_STREAM: Cost = {"replica": 27}
"""An open stream in which nothing happens, for a second (0.08 s in 6 s for 500)."""

SINGLE = ("replica", "RoomActor", "writer", "Redis")
"""What runs on one core for each process."""
LIMITS = {"partitions": 4096, "streams of a replica": 2000, "rooms of a RoomActor": 5000, "actors of a cluster": 10_000}


class Load(msgspec.Struct, frozen=True):
    """What people do, in a second or at a time."""

    sends: float
    """Messages of people in a second. Each gets a reply."""
    tokens: float = 200.0
    """Of a reply."""
    streams: float = 0.0
    """Open and idle beside those that read a reply."""
    rooms: float = 0.0
    """In use within a quarter of an hour: each is in the memory of a RoomActor."""

    def times(self, factor: float) -> Load:
        return Load(self.sends * factor, self.tokens, self.streams * factor, self.rooms * factor)


class Need(msgspec.Struct, frozen=True):
    """How many of something a load takes."""

    what: str
    cores: float
    """Used, on average."""
    processes: int


def one(cost: Cost) -> float:
    """Microseconds in all processes together."""
    return sum(cost.values())


def send() -> Cost:
    """A send of today."""
    return {name: us - SAVED.get(name, 0.0) for name, us in SEND_BEFORE.items()}


def most_per_second(cost: Cost, cores: float, share: float = 1.0) -> float:
    """How many in a second fill so many cores, when any process may use any of them."""
    return cores * share * 1e6 / one(cost)


def cores(load: Load) -> dict[str, float]:
    """Cores that each kind of process uses."""
    found: dict[str, float] = {}
    for count, cost in (
        (load.sends, send()),
        (load.sends, REPLY),
        (load.sends * load.tokens, TOKEN),
        (load.streams, IDLE_STREAM),
    ):
        for name, us in cost.items():
            found[name] = found.get(name, 0.0) + count * us / 1e6
    return found


def needs(load: Load) -> list[Need]:
    """The processes that carry a load, those with the most cores first."""
    used = cores(load)
    reading = load.sends * load.tokens / 20
    """Streams of replies, at 20 tokens a second."""
    counted = {
        "replica": (load.streams + reading) / LIMITS["streams of a replica"],
        "RoomActor": load.rooms / LIMITS["rooms of a RoomActor"],
    }
    found = []
    for name, many in used.items():
        processes = max(many / (_cores_of(name) * FULL), counted.get(name, 0.0))
        found.append(Need(name, many, max(1, math.ceil(processes))))
    return sorted(found, key=lambda need: -need.cores)


def first_full(load: Load, have: Mapping[str, int]) -> str:
    """Which of the processes that there are is used most: it is full first when the load grows."""
    used = {name: many / (have.get(name, 1) * _cores_of(name)) for name, many in cores(load).items()}
    return max(used, key=lambda name: used[name])


def _cores_of(name: str) -> float:
    """That one process can use."""
    return 1.0 if name in SINGLE else HAPROXY_CORES if name == "HAProxy" else DATABASE_CORES


def redis_bytes(messages: float, text: float, events: float) -> float:
    """What a room in use takes in Redis (docs/SIZING.md)."""
    return 1400 + min(messages, 200) * (160 + 1.15 * text) + min(messages, 2000) * 370 + events * (220 + 1.25 * text)


class Measured(msgspec.Struct, frozen=True):
    """A point that was measured, and what the model says of it."""

    what: str
    measured: float
    modelled: float

    @property
    def error(self) -> float:
        return self.modelled / self.measured - 1


def points() -> Iterator[Measured]:
    """Figures of docs/PERFORMANCE.md from which no cost was read, on two cores that the load had a share of."""
    streaming = 4000 * (one(TOKEN) + one(ASKED)) / 1e6 + 100 * one(REPLY) / 1e6
    yield Measured("sends/s that fill two cores, before", 1200, most_per_second(SEND_BEFORE, 2))
    yield Measured("sends/s over HTTP (F1)", 1447, most_per_second(send(), 2))
    yield Measured("cores that 4,000 tokens/s take while 100 replies/s begin: both full", 2.0, streaming)
    yield Measured("seconds in which 100 replies begin at once", 0.25, 100 * one(REPLY) / 1e6 / 2)


def rate_of(connections: int, on_the_way: float, waits: float, filled: float) -> float:
    """Sends a second of so many connections that each wait for their answer: mean value analysis of one station of
    processors and a delay. ``on_the_way``: seconds of processor time until the answer; ``waits``: seconds of disk and
    hand-overs; ``filled``: sends a second that fill the processors."""
    waiting = rate = 0.0
    for number in range(1, connections + 1):
        there = max(on_the_way, (1 + waiting) / filled)
        rate = number / (there + waits)
        waiting = rate * there
    return rate


def cost_of_1000(load: Load, core_hour: float, gigabyte_month: float, row_bytes: float = 900.0) -> tuple[float, float]:
    """What 1,000 messages and their replies cost in processor time, and for each month that they are kept in two
    copies. ``row_bytes`` (500 of text, its index and the search's) is a guess; the prices are yours."""
    seconds = sum(cores(load).values()) / load.sends * 1000 / FULL
    return seconds / 3600 * core_hour, 2 * 2000 * row_bytes / 1e9 * gigabyte_month


def _shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:.2f}"


def tables(at: Load) -> str:
    """The tables of docs/SCALE.md: the points, and what 1, 10, 100 and 1,000 times a load takes."""
    lines = ["| measured | figure | model | error |", "|---|---|---|---|"]
    lines += [
        f"| {each.what} | {_shown(each.measured)} | {_shown(each.modelled)} | {each.error:+.0%} |" for each in points()
    ]
    lines += ["", "| | " + " | ".join(f"{factor:,} x" for factor in FACTORS) + " |", "|---|" + "---|" * len(FACTORS)]
    steps = [at.times(factor) for factor in FACTORS]
    lines.append("| sends/s | " + " | ".join(f"{step.sends:,g}" for step in steps) + " |")
    for name in cores(at):
        found = [next(need for need in needs(step) if need.what == name) for step in steps]
        lines.append(f"| {name} | " + " | ".join(f"{need.processes:,} ({need.cores:,.1f})" for need in found) + " |")
    return "\n".join(lines)


FACTORS = (1, 10, 100, 1000)
SMALL = Load(sends=10, tokens=200, streams=1000, rooms=5000)
"""A company of a few thousand people."""

if __name__ == "__main__":
    print(tables(SMALL))

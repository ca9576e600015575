"""How long nobody is answered when one process is killed: an installation with the defaults, one kill after the other.

    python -m tests.chaos.system.deaths --times 20 --kinds kill-replica,kill-proxy

A few people send without a pause, each in a room of their own, with an idempotency key that they repeat until they are
answered. What counts is the longest time from a first try to its answer, of all sends around the kill.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from parlor_cli import processes
from tests.chaos.system import faults
from tests.chaos.system.faults import Blow
from tests.chaos.system.http_client import GRACE, Connection, NoAnswer
from tests.chaos.system.target import Target
from tests.installation import Installation

KINDS: dict[str, type[Blow]] = {
    kind.name: kind
    for kind in (
        faults.KillReplica,
        faults.KillProxy,
        faults.KillRoomActor,
        faults.KillWriter,
        faults.KillStateMachine,
        faults.KillSupervisor,
    )
}
SENDERS = 4
PAUSE = 0.1
"""Seconds between a sender's answers and its next send, and between two tries."""
TRY_SECONDS = 1.0
"""Longest wait for an answer before the same send is tried again."""
CALM_SECONDS = 3.0
"""Between two kills, when what was killed is there again."""
HEALS_WITHIN = 60.0


class Plain(Target):
    """With the defaults, where other tests have more of everything."""

    def __init__(self) -> None:
        super().__init__("embedded")
        self._settings = {}


class Sender:
    """One person, who sends and repeats."""

    def __init__(self, connection: Connection, room: str, name: str) -> None:
        self._connection, self._room, self._name = connection, room, name
        self._number = 0
        self.answered: list[tuple[float, float]] = []
        """When a send was first tried, and how long it took to be answered."""

    async def run(self) -> None:
        while True:
            self._number += 1
            began = time.monotonic()
            async for _ in _again(self._sent):
                await asyncio.sleep(PAUSE)
            self.answered.append((began, time.monotonic() - began))
            await asyncio.sleep(PAUSE)

    async def _sent(self) -> bool:
        key = {"Idempotency-Key": f"{self._name}-{self._number}"}
        body = {"content": f"{self._number}", "reply": "none"}
        path = f"/v1/rooms/{self._room}/messages"
        try:
            answer = await self._connection.ask("POST", path, body, key, seconds=TRY_SECONDS - GRACE)
        except NoAnswer:
            return False
        if 400 <= answer.status < 500 and answer.status not in (408, 429):
            raise RuntimeError(f"{answer.status}: {answer.body}")
        return answer.status < 300

    def longest(self, since: float) -> float:
        """How long somebody waited at most, of the sends that were not answered before ``since``."""
        return max((seconds for began, seconds in self.answered if began + seconds >= since), default=0.0)

    def went_on(self, since: float) -> bool:
        """Whether a send that was first tried since then has been answered."""
        return any(began >= since for began, _ in self.answered[-5:])


class Death(msgspec.Struct, frozen=True):
    kind: str
    seconds: float
    """The longest that anybody waited."""


async def measure(target: Target, installation: Installation, kinds: list[str], times: int) -> AsyncIterator[Death]:
    """In rounds of one death of each kind."""
    senders = [await _sender(installation, number) for number in range(SENDERS)]
    tasks = [asyncio.create_task(sender.run()) for sender in senders]
    try:
        for _ in range(times):
            for name in kinds:
                await _calm(target, senders, tasks)
                blow = KINDS[name](target, random.Random(1))
                await blow.aim()
                began = time.monotonic()
                await blow.apply()
                await _calm(target, senders, tasks)
                yield Death(name, max(sender.longest(began) for sender in senders))
                await _replaced(target, blow)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _replaced(target: Target, blow: Blow) -> None:
    async with asyncio.timeout(HEALS_WITHIN):
        async for _ in _again(blow.is_healed):
            await asyncio.sleep(faults.PROBE)
        while not _whole(target):  # noqa: ASYNC110 - other processes, which tell nobody
            await asyncio.sleep(faults.PROBE)


async def _again(ask: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
    """Yields as often as the answer is no."""
    while not await ask():
        yield


def _whole(target: Target) -> bool:
    """Whether an HAProxy of Serve's own runs, and no stand-in for it."""
    stand_in = [str(ref.pid) for ref in target.proxies() if _stands_in(ref.pid)]
    return not stand_in and bool(target.proxies())


def _stands_in(pid: int) -> bool:
    return any(word.endswith(".stand-in") for word in processes.command_line(pid))


async def _calm(target: Target, senders: list[Sender], tasks: list[asyncio.Task[None]]) -> None:
    """Everybody has been answered again, for so long."""
    since = time.monotonic()
    async with asyncio.timeout(HEALS_WITHIN):
        while time.monotonic() < since + CALM_SECONDS or not all(sender.went_on(since) for sender in senders):
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(faults.PROBE)


async def _sender(installation: Installation, number: int) -> Sender:
    name = f"sender{number}"
    connection = Connection("127.0.0.1", installation.port, installation.token(name))
    made = await connection.ask("POST", "/v1/rooms", {"title": name}, seconds=10.0)
    return Sender(connection, made.body["room_id"], name)


def table(deaths: list[Death]) -> str:
    lines = ["| killed | times | median s | worst s |", "|---|---|---|---|"]
    for kind in KINDS:
        if found := [death.seconds for death in deaths if death.kind == kind]:
            lines += [f"| {kind} | {len(found)} | {statistics.median(found):.2f} | {max(found):.2f} |"]
    return "\n".join(lines)


async def run(kinds: list[str], times: int, seconds: float) -> list[Death]:
    target, deaths = Plain(), []
    try:
        installation = target.start()
        async with asyncio.timeout(seconds) as limit:
            async for death in measure(target, installation, kinds, times):
                deaths.append(death)
                print(f"{death.kind} {death.seconds:.2f}", file=sys.stderr, flush=True)
    except TimeoutError:
        # Another one is that of something that did not come back.
        if not limit.expired():
            raise
    finally:
        target.down()
    return deaths


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.system.deaths", description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--kinds", default=",".join(KINDS), help="with commas")
    parser.add_argument("--seconds", type=float, default=3600.0, help="no longer than this, without start and end")
    given = parser.parse_args()
    print(table(asyncio.run(run(given.kinds.split(","), given.times, given.seconds))))


if __name__ == "__main__":
    main()

"""`parlor bench flood`: what one account, or a stranger, can do to the sends of other accounts.

These send less than they may, at an even pace. Each attack is compared with the quiet seconds right before it: the p99
of their sends may at most double. The memory of every process has to stay what it was.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from parlor_bench.attack import Answers, Order
from parlor_bench.compare import send_to
from parlor_bench.load import Figures, Sends
from parlor_bench.rooms import Rooms

MEASURED = 4
"""Accounts."""
SENDERS, PER_SECOND = 16, 160.0
"""Connections of the accounts that are measured, each with a room, and what they send together."""
SENDS, BAD_TOKENS, HALF_BODIES, IDLE = 50, 200, 1000, 5000
"""Connections of each attack."""
TIMES_THE_LIMIT = 10
RATIO_MAX = 2.0
GROWTH_MAX_MIB = 50.0
"""What a process may have grown by: buffers of a few thousand connections, none of which is there afterwards."""
READY_SECONDS, END_SECONDS = 60.0, 30.0


class Target(msgspec.Struct, frozen=True):
    """A running installation."""

    host: str
    port: int
    tokens: list[str]
    """Of the accounts that are measured."""
    attacker: str
    """A token of the account that attacks."""
    sends_per_second: float
    """The most that the settings let an account send; 0: as many as it likes."""


class Pair(msgspec.Struct, frozen=True):
    """An attack, and the seconds before it."""

    quiet: Figures
    attacked: Figures
    answers: dict[str, int]
    """What the attacker was answered."""

    @property
    def ratio(self) -> float:
        return self.attacked.p99_ms / self.quiet.p99_ms if self.quiet.p99_ms else 0.0


class Grown(msgspec.Struct, frozen=True):
    """The resident memory of a process, before the first attack and after the last, in MiB."""

    name: str
    before: float
    after: float


class Report(msgspec.Struct, frozen=True):
    attacks: dict[str, list[Pair]]
    ratios: dict[str, float]
    """Median over the rounds, for each attack: p99 under it over the p99 before it."""
    errors: int
    """Sends of the measured accounts that were not taken."""
    memory: list[Grown]


Memory = Callable[[], Mapping[int, tuple[str, float]]]
"""The processes of the installation: names, and resident memory in MiB."""


async def measure(target: Target, *, seconds: float, rounds: int, memory: Memory, say: Callable[[str], None]) -> Report:
    """Attacks in each of four ways, ``rounds`` times; each measurement takes ``seconds``."""
    async with Rooms(target.host, target.port, say) as rooms:
        made = await rooms.create([target.tokens[number % len(target.tokens)] for number in range(SENDERS)])
        other = (await rooms.create([target.attacker]))[0][0]
        sends = [send_to(target.host, target.port, room, token) for room, token in made]

        def paced(seconds: float) -> Sends:
            return Sends(target.host, target.port, SENDERS, seconds, sends, PER_SECOND)

        await paced(1.0).run()
        before = memory()
        found: dict[str, list[Pair]] = {}
        for number in range(rounds):
            for order in orders(target, other):
                quiet = await paced(seconds).run()
                async with under_attack(order) as outcome:
                    attacked = await paced(seconds).run()
                pair = Pair(quiet, attacked, outcome[0].answers)
                found.setdefault(order.kind, []).append(pair)
                say(
                    f"round {number + 1}, {order.kind:11}: p99 {quiet.p99_ms:.1f} ms before, {attacked.p99_ms:.1f} ms "
                    f"meanwhile, x {pair.ratio:.2f}, errors {attacked.errors}; the attacker got {pair.answers}"
                )
        after = memory()
    return Report(
        attacks=found,
        ratios={kind: round(statistics.median(pair.ratio for pair in pairs), 2) for kind, pairs in found.items()},
        errors=sum(pair.quiet.errors + pair.attacked.errors for pairs in found.values() for pair in pairs),
        memory=[Grown(name, before[pid][1], mib) for pid, (name, mib) in after.items() if pid in before],
    )


def orders(target: Target, room: str) -> Sequence[Order]:
    """The attacks: ten times what an account may send, tokens that are not valid, bodies that do not end, and
    connections that say nothing."""
    path = f"/v1/rooms/{room}/messages"

    def order(kind: str, token: str, connections: int, per_second: float = 0) -> Order:
        return Order(kind, target.host, target.port, token, path, connections, per_second)

    return [
        order("sends", target.attacker, SENDS, TIMES_THE_LIMIT * target.sends_per_second),
        order("bad tokens", f"{target.attacker[:-8]}AAAAAAAA", BAD_TOKENS),
        order("half bodies", target.attacker, HALF_BODIES),
        order("idle", "", IDLE),
    ]


@asynccontextmanager
async def under_attack(order: Order) -> AsyncIterator[list[Answers]]:
    """Attacks meanwhile; what came of it is in the list afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "parlor_bench.attack"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the attack has no pipes")
    found: list[Answers] = []
    try:
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)
        yield found
        process.stdin.close()
        found.append(msgspec.json.decode(await asyncio.wait_for(process.stdout.readline(), END_SECONDS), type=Answers))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

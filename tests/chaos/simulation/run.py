"""One seed: an installation, users and a nemesis, then rest, then the checker."""

from __future__ import annotations

import asyncio
import contextlib
import random
import zlib
from collections import Counter
from typing import IO, Any

import msgspec

from parlor.cache.events import CHUNK
from parlor.cache.records import CachedRoom, stored_state
from parlor.errors import ParlorError, RoomNotFound
from parlor.model.ids import RoomId, home_of
from parlor.model.rooms import RoomRow
from parlor.model.states import MessageState
from parlor.store.calls import CallNotes
from tests.chaos.checker import FinalRoom, Violation, check
from tests.chaos.history import ObservedMessage, Operation, Outcome, Recorder
from tests.chaos.observed import calls_in, noted_in, seen
from tests.chaos.simulation.clusters import PARTITIONS
from tests.chaos.simulation.installation import PAYERS, SimInstallation
from tests.chaos.simulation.loop import VirtualLoop
from tests.chaos.simulation.moves import Moves, strays
from tests.chaos.simulation.nemesis import Nemesis
from tests.chaos.simulation.spending import Watch
from tests.chaos.simulation.tools import Ledger
from tests.chaos.simulation.users import Users
from tests.unit.memory_store import Templates

SETTLE_SECONDS = 10.0
"""Virtual seconds in which an owner that was stopped until now serves what was asked of it meanwhile."""
REST_SECONDS = 120.0
"""Virtual seconds after the last fault in which everything has to come to rest."""
SWEPT_SECONDS = 60.0
"""Virtual seconds in which what no turn owns any more is settled."""
RUN_SECONDS = 300.0
"""Virtual seconds that the people may take."""
REVISING_FROM = 10_000
"""The first seed whose people also stop, regenerate, edit and double text in every way: kept seeds from before that
was possible are repeated as they were."""
JUMPING_FROM = 20_000
"""The first seed in which wall clocks jump, and Redis loses nothing: when something was queued, which tells what may be
lost, is known by those clocks."""
LOOKING_BACK_FROM = 30_000
"""The first seed whose people also ask for what was said before and continue replies, some of which end by their
length; logs are read in short chunks, clocks do not jump."""
SWAPPING_FROM = 40_000
"""As those before; and another installation's Redis is at the address for a while. Redis loses nothing in them."""
SPENDING_FROM = 50_000
"""As those from ``LOOKING_BACK_FROM``; and accounts have a budget that does not last."""
GIVING_AWAY_FROM = 80_000
"""As those before; and rooms are given away, as to actors of their own."""
ASKING_FROM = 90_000
"""As those, without budgets; and models use tools, whose calls people decide about."""
MOVING_FROM = 100_000
"""As those from ``GIVING_AWAY_FROM``, every other one with tools instead of budgets; and partitions move."""
FAILING_OVER_FROM = 110_000
"""As those from ``ASKING_FROM``; and Redis fails over to a replica that lacks the newest. Nobody looks into the rooms
at the end."""
CLUSTERED_FROM = 120_000
"""As those from ``GIVING_AWAY_FROM``, of two Ray clusters that die, are drained, and get all requests or none. In every
other one nothing else goes wrong, and no reply is begun again unless its owner died; in the others models use tools."""
BUDGETS = (300, 900)
SHORT_CHUNK = 8
CUT_ANSWERS = 0.3
LOSSES = 0.15
"""Share of the other seeds in which Redis may come back empty."""


class Report(msgspec.Struct, frozen=True):
    seed: int
    violations: list[Violation]
    operations: int
    acknowledged: int
    stale: dict[str, int]
    """Writes of stale owners and writers that were refused."""
    faults: dict[str, int]
    over_budget: int
    """Operations that were refused as ``quota-exceeded``."""
    calls: dict[str, int]
    """Of tools: how many were seen in each state, decided and executed."""
    seconds: float
    """Virtual."""
    digest: str
    """Of the history: the same for each run of the seed."""


def run_seed(
    seed: int, templates: Templates, *, users: int = 3, operations: int = 8, history: IO[str] | None = None
) -> Report:
    """``history``: where the operations are written to, for ``tests.chaos.history.read_history``."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_run(seed, templates, users, operations, history))


async def _run(seed: int, templates: Templates, user_count: int, operations: int, out: IO[str] | None) -> Report:
    chance = random.Random(f"{seed}")
    loop = asyncio.get_running_loop()
    looking_back, clustered = seed >= LOOKING_BACK_FROM, seed >= CLUSTERED_FROM
    options = _options(seed, chance)
    asking = options["asking"]
    installation = SimInstallation(seed, templates, **options)
    ledger = Ledger(installation.server)
    watch = Watch(installation)
    watching = asyncio.create_task(watch.watch())
    recorder = Recorder(out, loop.time, "people")
    users = Users(
        installation,
        recorder,
        random.Random(chance.random()),
        revising=seed >= REVISING_FROM,
        looking_back=looking_back,
        deciding=asking,
    )
    nemesis, moves = _nemesis(seed, installation, users, chance)
    try:
        evil = asyncio.create_task(nemesis.work())
        with contextlib.suppress(TimeoutError):
            # Who is not done by then was never answered: the checker says so.
            async with asyncio.timeout(RUN_SECONDS):
                count = operations * (2 if asking or clustered else 1)
                # In the same room at the same time, or no cluster could take it from the other one.
                pace = chance.choice([0.3] if clustered else [0.3, 1.0, 3.0])
                await users.work(user_count, count, pace=pace)
        await _heal(installation, nemesis, evil)
        await asyncio.sleep(SETTLE_SECONDS)
        await _visit(installation, recorder.operations)
        unrest = await _come_to_rest(installation) or await _swept(installation)
        recorder.close()
        final, unreadable = await _final(installation, recorder.operations)
        spending = await watch.spending()
        calls = ledger.calls(installation.tools) if installation.tools is not None else None
        about: dict[str, Any] = {"foreign": nemesis.foreign, "spending": spending, "calls": calls}
        violations = check(recorder.operations, final, nemesis.lost, **about) + unreadable
        if moves is not None:
            violations += [*moves.violations, *strays(installation.shards)]
            nemesis.done += moves.done
        violations += _besides(installation, unrest, calm=_is_calm(seed))
    finally:
        watching.cancel()
        await installation.close()
    counted = ledger.counted(installation.tools)
    return _report(seed, violations, recorder.operations, installation, nemesis, counted, loop.time())


def _is_calm(seed: int) -> bool:
    return seed >= CLUSTERED_FROM and seed % 2 == 0


def _options(seed: int, chance: random.Random) -> dict[str, Any]:
    """What kind of installation it is."""
    failing_over = FAILING_OVER_FROM <= seed < CLUSTERED_FROM
    moving, clustered = MOVING_FROM <= seed < FAILING_OVER_FROM, seed >= CLUSTERED_FROM
    asking = seed >= ASKING_FROM and (not (moving or clustered) or seed % 2 == 1)
    budget = chance.randint(*BUDGETS) if seed >= SPENDING_FROM and not asking else None
    chunk, cut = (SHORT_CHUNK, CUT_ANSWERS) if seed >= LOOKING_BACK_FROM else (CHUNK, 0.0)
    kinds = {"asking": asking, "moving": moving, "replicated": failing_over, "clustered": clustered}
    return {"chunk": chunk, "cut": cut, "budget": budget, **kinds}


def _besides(installation: SimInstallation, unrest: str, *, calm: bool) -> list[Violation]:
    """What the people did not notice."""
    found = [Violation("C27", room, "its owner lived") for room in installation.taken if calm]
    if unrest:
        found.append(Violation("C5", "", unrest))
    if installation.metrics.parked_count:
        found.append(Violation("C1", "", f"{installation.metrics.parked_count} operations were parked"))
    return found


def _report(
    seed: int,
    violations: list[Violation],
    operations: list[Operation],
    installation: SimInstallation,
    nemesis: Nemesis,
    calls: Counter[str],
    seconds: float,
) -> Report:
    history = msgspec.json.encode(operations)
    return Report(
        seed,
        violations,
        len(operations),
        sum(operation.outcome is Outcome.OK for operation in operations),
        dict(installation.metrics.stale),
        dict(
            nemesis.done
            + installation.server.injected
            + Counter({f"store-{k}": n for k, n in installation.shards.injected.items()})
        ),
        sum(operation.error == "quota-exceeded" for operation in operations),
        dict(calls),
        seconds,
        f"{zlib.crc32(history):08x}",
    )


def _nemesis(
    seed: int, installation: SimInstallation, users: Users, chance: random.Random
) -> tuple[Nemesis, Moves | None]:
    jumping, swapping = JUMPING_FROM <= seed < LOOKING_BACK_FROM, SWAPPING_FROM <= seed < SPENDING_FROM
    failing_over, clustered = FAILING_OVER_FROM <= seed < CLUSTERED_FROM, seed >= CLUSTERED_FROM
    nemesis_chance, may_lose = random.Random(chance.random()), chance.random() < LOSSES
    moves = _moves(installation, chance.random()) if MOVING_FROM <= seed < FAILING_OVER_FROM else None
    nemesis = Nemesis(
        installation,
        users,
        nemesis_chance,
        may_lose=may_lose and not (jumping or swapping or failing_over or clustered),
        may_jump=jumping,
        may_swap=swapping,
        may_give_away=seed >= GIVING_AWAY_FROM,
        moves=moves,
        may_fail_over=failing_over,
        clustered=clustered,
        calm=_is_calm(seed),
    )
    return nemesis, moves


def _moves(installation: SimInstallation, seed: float) -> Moves:
    """What accounts used moves with them: they have to be known."""
    accounts = [(payer.account_db_key, payer.account_id, payer.partition) for payer in PAYERS]
    statement = "INSERT INTO accounts (account_db_key, account_id, partition_id) VALUES (?, ?, ?)"
    installation.shards.global_._connection.executemany(statement, accounts)
    return Moves(installation.shards, installation.edge.wiring.clock, random.Random(seed), PARTITIONS)


async def _heal(installation: SimInstallation, nemesis: Nemesis, evil: asyncio.Task[None]) -> None:
    """Ends what goes wrong; models ask for nothing more."""
    evil.cancel()
    await asyncio.gather(evil, return_exceptions=True)
    await nemesis.rest()
    if installation.tools is not None:
        installation.tools.wanted = False


async def _visit(installation: SimInstallation, history: list[Operation]) -> None:
    """Looks into every room that anybody ever named: a Redis that came back empty learns of its open replies when their
    rooms are asked for, and has lost deletes of rooms as well."""
    if installation.server.replica is not None:
        return  # A server that was promoted is told of them.
    for room_id in map(RoomId, sorted({operation.room for operation in history if operation.room})):
        with contextlib.suppress(RoomNotFound):
            await installation.edge.wiring.internal_history.page(room_id, limit=1)


async def _come_to_rest(installation: SimInstallation) -> str:
    """Until nothing is queued and no reply is open; what is left when that takes too long."""
    left = ""
    until = asyncio.get_running_loop().time() + REST_SECONDS
    while asyncio.get_running_loop().time() < until:
        left = installation.unfinished()
        if not left:
            return ""
        await asyncio.sleep(1.0)
    return f"after {REST_SECONDS:.0f} s: {left}"


async def _swept(installation: SimInstallation) -> str:
    """Until what no turn owns any more is settled, and that is stored."""
    if installation.budget is None:
        return ""
    await asyncio.sleep(SWEPT_SECONDS)
    return await _come_to_rest(installation)


def metadata_of(row: RoomRow | None, cached: CachedRoom | None) -> tuple[str, str]:
    """In the shard and in the cache."""
    return (row.metadata if row else None) or "", cached.room.metadata if cached else ""


async def _final(installation: SimInstallation, history: list[Operation]) -> tuple[list[FinalRoom], list[Violation]]:
    """Of every room that anybody ever named; and those that cannot be read although all is healed."""
    wiring = installation.edge.wiring
    notes = CallNotes(wiring.store)
    rooms = sorted({operation.room for operation in history if operation.room})
    found: list[FinalRoom] = []
    unreadable: list[Violation] = []
    for room_id in map(RoomId, rooms):
        deleted = installation.shards.deleted(room_id)
        if deleted is None:
            continue
        shard = await wiring.store.shard_of(home_of(room_id))
        row = await wiring.store.room_get(shard, room_id)
        rows = await wiring.store.messages_get(shard, room_id, limit=10_000, newest=False)
        owner = next(o.account for o in history if o.room == room_id and o.kind == "create_room")
        try:
            page: list[ObservedMessage] | None = [
                seen(message) for message in (await wiring.internal_history.page(room_id, limit=10_000)).messages
            ]
            title = await wiring.reader.room(room_id)
        except RoomNotFound:
            page, title = None, None
        except ParlorError as error:
            unreadable.append(Violation("C1", room_id, f"cannot be read when all is healed: {error.debug}"))
            continue
        found.append(
            FinalRoom(
                room_id,
                owner,
                row.title if row else "",
                deleted,
                [
                    ObservedMessage(
                        stored.seq,
                        stored.doc.message_id,
                        stored.doc.sender_type,
                        stored.doc.content,
                        deleted=stored.deleted,
                        open=stored_state(stored) is MessageState.COMPOSING,
                        calls=calls_in(stored.doc.parts or ()),
                    )
                    for stored in rows
                ],
                page,
                title.room.title if title else "",
                noted_in((await notes.of(shard, [room_id])).get(room_id)),
                *metadata_of(row, title),
            )
        )
    return found, unreadable

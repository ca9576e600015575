"""A campaign: one installation, steady load, one fault after another, and the checker's word at the end."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from tests.chaos.call_rules import Calls
from tests.chaos.checker import FinalRoom, Foreign, Lost, Violation, check
from tests.chaos.history import Kind as OperationKind
from tests.chaos.history import Operation, Outcome, Recorder
from tests.chaos.system.catalogue import FAULTS
from tests.chaos.system.deciders import Deciders
from tests.chaos.system.faults import PROBE, STOPPED_SECONDS, Blow
from tests.chaos.system.filling import fill, missing
from tests.chaos.system.final import final_rooms, oldest_unstored, run_dry
from tests.chaos.system.load import WEIGHTS, Account, Delivery, Load
from tests.chaos.system.node_target import NodeTarget
from tests.chaos.system.readers import read_events
from tests.chaos.system.refusals import Refusals
from tests.chaos.system.replica_target import Arrangement, ReplicaTarget
from tests.chaos.system.rows import Backlog
from tests.chaos.system.target import Target, may_mount
from tests.chaos.system.tool_server import TOOLS, ToolServer, tool_server
from tests.installation import Installation, Kind

HEAL_SECONDS = 150.0
"""Longest wait until a fault is healed: a killed installation starts within it."""
SETTLE_SECONDS = 180.0
"""Longest wait until nobody is left waiting."""
SETTLED_AFTER = 1.0
"""Seconds: a message that has waited for so long is delayed."""
DRY_SECONDS = 240.0
LONG_ACCOUNTS = 4
"""People whose replies take many steps: a kill hits several replies, a reply is hit several times."""


class Plan(msgspec.Struct, frozen=True):
    faults: list[str]
    times: int = 1
    rate: float = 200.0
    """Things done a second, sends and all."""
    accounts: int = 8
    rooms: int = 5
    """Of each account."""
    users: int = 80
    readers: int = 4
    calm: int = 200
    """Messages that are taken between two faults."""
    deciders: int = 0
    """People more, whose models use tools, and who decide about the calls."""
    approvals: int = 0
    """Least number of calls that they decide about: the faults are made again until then."""
    steps: int = 0
    """Of each reply of ``LONG_ACCOUNTS`` people, who have one after the other; 0: nobody."""
    persisted: int = WEIGHTS["persisted"]
    """Of 100 things that are done, about: messages whose commit is waited for."""
    fill: int = 0
    """Messages that the first person's partition has besides, from the start."""
    pause: float = 0.0
    """Least seconds between two faults."""
    stopped: tuple[float, float] = STOPPED_SECONDS
    """Least and most seconds that a process is stopped."""
    kind: Kind = "private"
    redis: Arrangement = "sentinel"
    """Of a campaign of fail-overs."""
    seed: int = 1
    history: str = ""
    """A directory for the history; empty: not kept."""


class Occurrence(msgspec.Struct, frozen=True):
    """One fault, as it went. Seconds."""

    fault: str
    unavailable: float
    """The longest way of a message from when it was asked for (or the fault began) to its acknowledgement."""
    stored: float
    """The same for messages whose commit was waited for; 0 for none."""
    recovery: float
    """From the fault, or from when what was hit was back, to the last delayed message's acknowledgement."""
    within: float | None
    refused: int
    """Stale writes that were refused meanwhile."""
    lasted: float
    notes: str = ""

    @property
    def late(self) -> bool:
        return self.within is not None and self.recovery > self.within


class Report(msgspec.Struct, frozen=True):
    plan: Plan
    seconds: float
    operations: int
    sent: int
    """Messages that were acknowledged."""
    lost_sends: int
    """Messages that nobody took within ``load.GIVE_UP`` seconds."""
    rate: float
    """Answers a second, over the whole campaign, outages and all."""
    calm_rate: float
    """Acknowledged messages a second while nothing was broken."""
    occurrences: list[Occurrence]
    violations: list[Violation]
    troubles: list[str]
    """What the campaign itself could not do: a fault that did not heal, a queue that did not run dry."""
    dead_letters: int
    rooms: int
    rows: int
    failed_starts: list[str]
    """That had to be repeated, and how they ended."""
    skipped: list[str]
    calls: dict[str, int]
    """What the deciders did, and how often tools ran."""


async def run(plan: Plan, say: Callable[[str], None]) -> Report:
    """Raises ``RuntimeError`` when the installation does not start or does not stop."""
    faults, skipped = choose(plan)
    nodes, replicas = (any(getattr(fault, need) for fault in faults) for need in ("needs_nodes", "needs_replicas"))
    with TemporaryDirectory() as directory, tool_server(Path(directory)) as tools:
        personas = Path(directory) / "personas.toml"
        personas.write_text(tools.personas(), encoding="utf-8")
        settings = {"PARLOR_LLM__PERSONAS_FILE": str(personas)} if plan.deciders or plan.steps else {}
        disks = any(fault.needs_disks for fault in faults)
        target: Target = Target(plan.kind, disks=disks, settings=settings)
        if nodes or replicas:
            target = NodeTarget(plan.kind) if nodes else ReplicaTarget(plan.kind, plan.redis)
        try:
            installation = await asyncio.to_thread(target.start)
            say(f"{installation.base_url}: {plan.kind}, faults {', '.join(fault.name for fault in faults)}")
            return await _Campaign(plan, target, installation, faults, tools, say).run(skipped)
        finally:
            await asyncio.to_thread(target.down)


def choose(plan: Plan) -> tuple[list[type[Blow]], list[str]]:
    """The faults that this installation and this user can have, and why not the others. Raises ``KeyError``."""
    chosen, skipped, first = [], [], FAULTS[plan.faults[0]]
    for name in plan.faults:
        fault = FAULTS[name]
        if plan.kind not in fault.kinds:
            skipped.append(f"{name}: not on {plan.kind} servers")
        elif fault.needs_disks and not may_mount():
            skipped.append(f"{name}: a small file system is mounted by root only")
        elif fault.needs_nodes != first.needs_nodes or fault.needs_replicas != first.needs_replicas:
            skipped.append(f"{name}: faults of nodes, and fail-overs, are campaigns of their own")
        else:
            chosen.append(fault)
    return chosen, skipped


class _Campaign:
    def __init__(
        self,
        plan: Plan,
        target: Target,
        installation: Installation,
        faults: list[type[Blow]],
        tools: ToolServer,
        say: Callable[[str], None],
    ) -> None:
        self._plan, self._target, self._faults, self._say = plan, target, faults, say
        self._tools = tools
        self._installation = installation
        self._chance = random.Random(plan.seed)
        self._accounts = [
            Account(f"person-{number}", installation.token(f"person-{number}")) for number in range(plan.accounts)
        ]
        self._deciding = [
            Account(f"decider-{number}", installation.token(f"decider-{number}")) for number in range(plan.deciders)
        ]
        self._long = [
            Account(f"long-{number}", installation.token(f"long-{number}"))
            for number in range(LONG_ACCOUNTS if plan.steps else 0)
        ]
        self._refusals = Refusals(target)
        self._occurrences: list[Occurrence] = []
        self._lost: list[Lost] = []
        self._foreign: list[Foreign] = []
        self._troubles: list[str] = []
        self._calm_seconds = 0.0
        self._calm_sent = 0

    async def run(self, skipped: list[str]) -> Report:
        plan = self._plan
        path = Path(plan.history) / f"history-{plan.seed}.jsonl" if plan.history else Path("/dev/null")
        began = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as out:
            recorder = Recorder(out, time.monotonic, "load")
            load = Load(
                ("127.0.0.1", self._installation.port), recorder, self._accounts, plan.seed, persisted=plan.persisted
            )
            await load.furnish(self._accounts, plan.rooms)
            if plan.fill:
                filled = await fill(self._installation, self._accounts[0].rooms[0].room_id, plan.fill)
                self._say(f"partition {filled} has {plan.fill} messages more")
            await load.furnish(self._deciding + self._long, 2)
            deciders = Deciders(load, plan.seed)
            await self._break_things(load, recorder, deciders)
            recorder.close()
        seconds = time.monotonic() - began
        dry = await self._run_dry()
        accounts = self._accounts + self._deciding + self._long
        rooms = await final_rooms(Installation(self._target.kind, self._target.data_dir), accounts)
        runs = self._tools.runs
        self._troubles += deciders.troubles
        if plan.fill and (lacking := await missing(self._installation, plan.fill)):
            self._troubles.append(lacking)
        taken = [delivery for delivery in load.deliveries if delivery.taken_at is not None]
        return Report(
            plan=plan,
            seconds=round(seconds, 1),
            operations=len(recorder.operations),
            sent=len(taken),
            lost_sends=len(load.deliveries) - len(taken),
            rate=round(load.answered / seconds, 1),
            calm_rate=round(self._calm_sent / self._calm_seconds, 1) if self._calm_seconds else 0.0,
            occurrences=self._occurrences,
            violations=check(
                _with_rooms(recorder.operations, rooms),
                rooms,
                self._lost,
                foreign=self._foreign,
                calls=Calls(TOOLS, runs),
            ),
            troubles=self._troubles,
            dead_letters=dry.dead,
            rooms=len(rooms),
            rows=sum(len(room.rows) for room in rooms),
            failed_starts=self._target.failed_starts,
            skipped=skipped,
            calls=dict(deciders.done + Counter(runs=len(runs))),
        )

    async def _break_things(self, load: Load, recorder: Recorder, deciders: Deciders) -> None:
        plan, stop = self._plan, asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(plan.rate, plan.users))
            for number in range(plan.readers):
                account = self._accounts[number % len(self._accounts)]
                group.create_task(read_events(self._installation.base_url, recorder, account, stop, plan.seed + number))
            for account in self._deciding:
                group.create_task(deciders.run(account, stop))
                group.create_task(read_events(self._installation.base_url, recorder, account, stop, plan.seed))
            for account in self._long:
                group.create_task(deciders.take_steps(account, plan.steps, stop))
                group.create_task(read_events(self._installation.base_url, recorder, account, stop, plan.seed))
            try:
                rounds = itertools.count()
                while next(rounds) < plan.times or deciders.decided < plan.approvals:
                    for fault in self._chance.sample(self._faults, len(self._faults)):
                        await self._calm(load)
                        await self._break(fault(self._target, self._chance, self._plan.stopped), load)
                await self._calm(load)
            finally:
                load.stop()
                stop.set()

    async def _calm(self, load: Load) -> None:
        """Until enough messages were taken in a row."""
        began, before = time.monotonic(), len(load.deliveries)
        if not await _until(lambda: len(load.deliveries) >= before + self._plan.calm, SETTLE_SECONDS):
            self._troubles.append(f"fewer than {self._plan.calm} messages were taken in {SETTLE_SECONDS:g} s of calm")
        await asyncio.sleep(max(0.0, began + self._plan.pause - time.monotonic()))
        self._calm_seconds += time.monotonic() - began
        self._calm_sent += len(load.deliveries) - before

    async def _break(self, fault: Blow, load: Load) -> None:
        since = await oldest_unstored(self._installation) if fault.loses else 0.0
        await fault.aim()
        applied_at = time.monotonic()
        await fault.apply()
        await fault.heal()
        if not await _until_healed(fault, HEAL_SECONDS):
            self._troubles.append(f"{fault.name} was not healed after {HEAL_SECONDS:g} s")
        healed_at = time.monotonic()
        if fault.foreign is not None:
            self._foreign.append(fault.foreign)
        if fault.loses:
            self._lost.append(Lost(since, healed_at))
        if not await _until(lambda: settled(load, healed_at), SETTLE_SECONDS):
            self._troubles.append(f"{fault.name}: somebody still waits {SETTLE_SECONDS:g} s after it was healed")
        settled_at = time.monotonic()
        felt = [
            one for one in load.deliveries if one.asked_at < settled_at and (one.taken_at or settled_at) > applied_at
        ]
        await self._record(fault, felt, applied_at, settled_at)

    async def _record(self, fault: Blow, felt: list[Delivery], applied_at: float, settled_at: float) -> None:
        """``felt``: the messages that were on their way during the fault."""
        found = Occurrence(
            fault=fault.name,
            unavailable=_longest([one for one in felt if not one.persisted], applied_at),
            stored=_longest([one for one in felt if one.persisted], applied_at),
            recovery=_recovery(felt, applied_at, fault.back_at or applied_at),
            within=fault.within,
            refused=await self._refusals.new(),
            lasted=round(settled_at - applied_at, 2),
            notes=fault.say_of(felt, applied_at),
        )
        self._occurrences.append(found)
        reasons = sorted({reason for one in felt for reason in one.refusals})
        self._say(
            f"{fault.name}: unavailable {found.unavailable} s, recovery {found.recovery} s, stored {found.stored} s, "
            f"stale writes refused {found.refused}, lasted {found.lasted} s; refusals: {', '.join(reasons) or 'none'}"
            + (f"; {found.notes}" if found.notes else "")
        )

    async def _run_dry(self) -> Backlog:
        try:
            return await run_dry(Installation(self._target.kind, self._target.data_dir), DRY_SECONDS)
        except TimeoutError as error:
            self._troubles.append(str(error))
            return Backlog(-1, -1, -1)


def settled(load: Load, healed_at: float) -> bool:
    """Whether nobody waits for long, and nobody who asked before the fault was healed waits at all: how long they did
    is known when they are answered."""
    return not load.waiting_since(max(healed_at, time.monotonic() - SETTLED_AFTER))


def _with_rooms(operations: list[Operation], rooms: list[FinalRoom]) -> list[Operation]:
    """Creates that were never answered made rooms whose ids nobody was told; their titles tell them."""
    by_title = {room.title: room.room for room in rooms}

    def with_room(operation: Operation) -> Operation:
        if operation.kind is not OperationKind.CREATE_ROOM or operation.outcome is not Outcome.UNKNOWN:
            return operation
        known = msgspec.structs.replace(operation.response, room=by_title.get(operation.request.title, ""))
        return msgspec.structs.replace(operation, response=known)

    return [with_room(operation) for operation in operations]


def _longest(deliveries: list[Delivery], applied_at: float) -> float:
    ways = [one.taken_at - max(one.asked_at, applied_at) for one in deliveries if one.taken_at is not None]
    return round(max(ways, default=0.0), 2)


def _recovery(deliveries: list[Delivery], applied_at: float, back_at: float) -> float:
    """Of messages whose commit is not waited for."""
    delayed = [
        one.taken_at
        for one in deliveries
        if one.taken_at is not None
        and not one.persisted
        and (one.refusals or one.taken_at - max(one.asked_at, applied_at) > SETTLED_AFTER)
    ]
    return round(max(0.0, max(delayed, default=0.0) - back_at), 2)


async def _until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(PROBE)
    return True


async def _until_healed(fault: Blow, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not await fault.is_healed():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(PROBE)
    return True

"""Partitions that move between the simulation's shards, by commands that are killed at any step and given again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence

import structlog

from parlor.clock import Clock
from parlor.errors import ParlorError, StoreUnavailable
from parlor.model.ids import Partition, ShardId
from parlor.persistence.move import MovePorts, Mover, RowsDiffer
from parlor.store.partition_moves import ABORTABLE, Move, MoveBook, Step
from parlor.store.rows import Row
from parlor.store.search import SearchStore
from parlor.store.sessions import Kind
from tests.chaos.simulation.store import Shards, SimStore
from tests.chaos.violation import Violation

_log = structlog.get_logger(__name__)

KILLED = 0.5
"""Share of the commands that are killed."""
UNDONE = 0.4
"""Share of those given again that undo."""
LAST_STATEMENT = 15
"""Statements of a step, or fewer, before the command is killed."""
STEPS: list[Step] = [step for step in Step if step not in (Step.DONE, Step.ABORTED)]


class Killed(Exception):
    """The command's process has died."""


class Fate:
    """At which statement of which step a command dies, if at all."""

    def __init__(self) -> None:
        self._step: Step | None = None
        self._left = 0
        self.now: Step | None = None

    def decide(self, step: Step, left: int) -> None:
        self._step, self._left = step, left

    def begins(self, line: str) -> None:
        self.now = Step(line.rsplit(" ", 1)[1])

    def count(self) -> None:
        if self._step is not None and self.now is self._step:
            self._left -= 1
            if self._left <= 0:
                raise Killed(self.now)


class SimSession:
    """The command's connection to one database. A transaction happens at one moment, as those of SQLite do; between
    two of them, or two statements, anything may."""

    kind: Kind = "sqlite"

    def __init__(self, shards: Shards, database: sqlite3.Connection, fate: Fate) -> None:
        self._shards = shards
        self._database = database
        self._fate = fate
        self._within = False

    async def rows(self, statement: str, args: Sequence[object] = ()) -> list[Row]:
        await self._travel()
        return self._database.execute(statement, tuple(args)).fetchall()

    async def locked(self, select: str, args: Sequence[object]) -> list[Row]:
        return await self.rows(select, args)

    async def many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        await self._travel()
        self._database.executemany(statement, [tuple(row) for row in rows]).close()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self._travel()
        self._database.execute("BEGIN IMMEDIATE")
        self._within = True
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        else:
            self._database.execute("COMMIT")
        finally:
            self._within = False
        self._fate.count()
        if self._shards.chance.random() < self._shards.lose:
            raise StoreUnavailable(debug="the answer to a COMMIT was lost")

    @contextlib.asynccontextmanager
    async def writing(self, partition: Partition) -> AsyncIterator[None]:
        yield

    def quoted(self, name: str) -> str:
        return f'"{name}"'

    def upsert(self, key: str) -> str:
        return f"ON CONFLICT ({key}) DO UPDATE SET"

    async def _travel(self) -> None:
        self._fate.count()
        if self._within:
            return
        shards = self._shards
        await asyncio.sleep(shards.chance.uniform(0.001, 0.01))
        if shards.down or shards.chance.random() < shards.refuse:
            raise StoreUnavailable(debug="refused")


class Moves:
    """Gives `move-partition`, as operators do: one after another, and sometimes two at once."""

    def __init__(self, shards: Shards, clock: Clock, chance: random.Random, partitions: Sequence[Partition]) -> None:
        self._shards = shards
        self._clock = clock
        self._chance = chance
        self._partitions = partitions
        self._runners = 0
        self.done: Counter[str] = Counter()
        """How commands ended."""
        self.violations: list[Violation] = []
        """Moves that ended because their copies were not what they were copied from."""

    async def one(self) -> None:
        """One command: goes on with what is unfinished, or moves something; it may be killed."""
        await self._command(may_die=True)

    async def finish(self) -> None:
        """Until no partition moves."""
        while await self._command(may_die=False):
            pass

    async def _command(self, *, may_die: bool) -> bool:
        """``may_die``: it may also begin something. False: nothing was unfinished, and nothing was to be begun."""
        self._runners += 1
        fate = Fate()
        global_ = self._session(None, fate)
        try:
            move = await self._begun(MoveBook(global_), f"mover-{self._runners}", may_begin=may_die)
            if move is None:
                return False
            if may_die and self._chance.random() < KILLED:
                left = STEPS[STEPS.index(move.step) : None if move.step is Step.ABORTING else -1]
                fate.decide(self._chance.choice(left), self._chance.randint(1, LAST_STATEMENT))
            source, target_ = self._session(move.source, fate), self._session(move.target, fate)
            ports = MovePorts(global_, source, target_, SearchStore(SimStore(self._shards)), self._clock)
            moved = await Mover(ports, fate.begins).run(move)
            self.done[f"moved-{moved.move.step}"] += 1
        except Killed:
            self.done[f"killed-{fate.now}"] += 1
        except RowsDiffer as error:
            self.violations.append(Violation("C26", "", f"{error.detail}: {error.debug}"))
        except ParlorError as error:
            _log.info("move_stopped", debug=error.debug)
            self.done["move-stopped"] += 1
        return True

    async def _begun(self, book: MoveBook, runner: str, *, may_begin: bool) -> Move | None:
        for move in await book.unfinished():
            undone = may_begin and move.step in ABORTABLE and self._chance.random() < UNDONE
            if undone or move.step is Step.ABORTING:
                return await book.undo(move.partition, runner)
            return await book.begin(move.partition, move.target, runner, self._clock.now_ms())
        if not may_begin:
            return None
        partition, target = self._wanted()
        return await book.begin(partition, target, runner, self._clock.now_ms())

    def _wanted(self) -> tuple[Partition, ShardId]:
        partition = self._chance.choice(self._partitions)
        statement = "SELECT shard_id FROM shard_map WHERE partition_id = ?"
        ((home,),) = self._shards.global_._connection.execute(statement, (partition,)).fetchall()
        return partition, self._chance.choice([shard for shard in self._shards.databases if shard != home])

    def _session(self, shard: ShardId | None, fate: Fate) -> SimSession:
        database = self._shards.global_ if shard is None else self._shards.databases[shard]
        return SimSession(self._shards, database._connection, fate)


def strays(shards: Shards) -> list[Violation]:
    """Rows of partitions on shards where the map does not have them."""
    homes = dict(shards.global_._connection.execute("SELECT partition_id, shard_id FROM shard_map"))
    found = []
    for shard, database in shards.databases.items():
        for table in ("rooms", "messages", "message_versions"):
            rooms: Iterable[tuple[bytes]] = database._connection.execute(f"SELECT DISTINCT room_id FROM {table}")  # noqa: S608
            for partition in sorted({int.from_bytes(room[6:8], "big") & 0xFFF for (room,) in rooms}):
                if homes[partition] != shard:
                    what = f"{table} of partition {partition} on shard {shard}, which lives on {homes[partition]}"
                    found.append(Violation("C26", "", what))
    return found

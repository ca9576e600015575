"""What the databases know of a partition that moves: how far the move is, and who may use which shard meanwhile.

Each change compares what is there with what its caller goes by, in one transaction: of two processes that work at one
move, the later one goes on, and whatever the earlier one still does is refused (``MoveTaken``).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum

import msgspec

from parlor.errors import InvalidRequest, StoreUnavailable
from parlor.model.ids import Partition, ShardId
from parlor.store.homes import HomeState
from parlor.store.rows import Row
from parlor.store.sessions import Session

COLUMNS = "partition_id, from_shard, to_shard, generation, step, copied, runner, started_at, finished_at"


class Step(StrEnum):
    """How far a move is: what is being done."""

    COPYING = "copying"
    CATCHING_UP = "catching-up"
    FENCED = "fenced"
    SWITCHED = "switched"
    OPENED = "opened"
    CLEANING = "cleaning"
    ABORTING = "aborting"
    DONE = "done"
    ABORTED = "aborted"


ABORTABLE = frozenset({Step.COPYING, Step.CATCHING_UP, Step.FENCED, Step.ABORTING})
"""Before the partition map has changed."""


class MoveTaken(StoreUnavailable):
    """Another process works at this move."""

    title = "Another process works at this move"


class Move(msgspec.Struct, frozen=True):
    """A row of ``partition_moves``."""

    partition: Partition
    source: ShardId
    target: ShardId
    generation: int
    """Of the map, after the move."""
    step: Step
    copied: str
    runner: str
    started_at: int
    finished_at: int | None = None


class MoveBook:
    """The moves of an installation, in its global database."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, partition: Partition) -> Move | None:
        rows = await self._session.rows(f"SELECT {COLUMNS} FROM partition_moves WHERE partition_id = ?", (partition,))  # noqa: S608
        return _move(rows[0]) if rows else None

    async def unfinished(self) -> list[Move]:
        rows = await self._session.rows(f"SELECT {COLUMNS} FROM partition_moves WHERE finished_at IS NULL")  # noqa: S608
        return [_move(row) for row in rows]

    async def unfinished_since(self, began_at: int | None) -> list[Move]:
        """Those that have not ended, or ended after this time."""
        rows = await self._session.rows(
            f"SELECT {COLUMNS} FROM partition_moves WHERE finished_at IS NULL OR finished_at >= ?",  # noqa: S608
            (2**62 if began_at is None else began_at,),
        )
        return [_move(row) for row in rows]

    async def begin(self, partition: Partition, target: ShardId, runner: str, now_ms: int) -> Move:
        """Begins a move, or goes on with one that somebody began. Raises ``InvalidRequest`` when it cannot be."""
        async with self._session.transaction():
            homes = await self._session.locked(
                "SELECT shard_id, generation FROM shard_map WHERE partition_id = ?",
                (partition,),
            )
            if not homes:
                raise InvalidRequest(f"There is no partition {partition}")
            shard, generation = (int(str(value)) for value in homes[0])
            for other in await self.unfinished():
                if other.partition != partition or other.target != target:
                    raise InvalidRequest(
                        f"Partition {other.partition} is moving to shard {other.target} ({other.step}): "
                        f"`parlor move-partition {other.partition} {other.target}` goes on, and with --abort undoes it"
                    )
                if other.step is Step.ABORTING:
                    raise InvalidRequest(f"The move of partition {partition} is being undone: use --abort")
                return await self._taken(other, runner)
            if shard == target:
                raise InvalidRequest(f"Partition {partition} lives on shard {target}")
            move = Move(partition, ShardId(shard), target, generation + 1, Step.COPYING, "", runner, now_ms)
            marks = ", ".join("?" for _ in move.__struct_fields__)
            await self._session.rows(
                f"REPLACE INTO partition_moves ({COLUMNS}) VALUES ({marks})",  # noqa: S608
                [str(value) if isinstance(value, Step) else value for value in msgspec.structs.astuple(move)],
            )
        return move

    async def undo(self, partition: Partition, runner: str) -> Move:
        """Begins to undo a move that has not changed the map. Raises ``InvalidRequest``."""
        async with self._session.transaction():
            found = [move for move in await self.unfinished() if move.partition == partition]
            if not found:
                raise InvalidRequest(f"Partition {partition} does not move")
            if found[0].step not in ABORTABLE:
                raise InvalidRequest(f"Partition {partition} has moved: only what is left on its old shard is removed")
            move = await self._taken(found[0], runner)
            await self._set(partition, step=Step.ABORTING)
        return msgspec.structs.replace(move, step=Step.ABORTING)

    async def advance(self, move: Move, step: Step, *, finished_at: int | None = None) -> Move:
        """Raises ``MoveTaken``."""
        async with self._session.transaction():
            await self._require(move)
            await self._set(move.partition, step=step, finished_at=finished_at)
        return msgspec.structs.replace(move, step=step, finished_at=finished_at)

    async def note_copied(self, move: Move, copied: str) -> Move:
        """Raises ``MoveTaken``."""
        async with self._session.transaction():
            await self._require(move)
            await self._set(move.partition, copied=copied)
        return msgspec.structs.replace(move, copied=copied)

    async def switch(self, move: Move) -> Move:
        """Changes the map. Raises ``MoveTaken``."""
        async with self._session.transaction():
            await self._require(move)
            await self._session.rows(
                "UPDATE shard_map SET shard_id = ?, generation = ? WHERE partition_id = ?",
                (move.target, move.generation, move.partition),
            )
            await self._set(move.partition, step=Step.SWITCHED)
        return msgspec.structs.replace(move, step=Step.SWITCHED)

    async def accounts(self, partition: Partition) -> list[int]:
        """The numbers of the partition's accounts, ascending."""
        rows = await self._session.rows(
            "SELECT account_db_key FROM accounts WHERE partition_id = ? ORDER BY account_db_key", (partition,)
        )
        return [int(str(key)) for (key,) in rows]

    async def own_accounts(self, partition: Partition, accounts: Sequence[int]) -> set[int]:
        """Those of them that are the partition's."""
        if not accounts:
            return set()
        marks = ", ".join("?" for _ in accounts)
        rows = await self._session.rows(
            f"SELECT account_db_key FROM accounts WHERE partition_id = ? AND account_db_key IN ({marks})",  # noqa: S608
            (partition, *accounts),
        )
        return {int(str(key)) for (key,) in rows}

    async def _taken(self, move: Move, runner: str) -> Move:
        await self._set(move.partition, runner=runner)
        return msgspec.structs.replace(move, runner=runner)

    async def _require(self, move: Move) -> None:
        rows = await self._session.locked(
            "SELECT step, runner FROM partition_moves WHERE partition_id = ?",
            (move.partition,),
        )
        if [tuple(map(str, row)) for row in rows] != [(str(move.step), move.runner)]:
            raise MoveTaken(debug=f"partition {move.partition}: {rows}, not {move.step} by {move.runner}")

    async def _set(self, partition: Partition, **values: str | int | None) -> None:
        assignments = ", ".join(f"{name} = ?" for name in values)
        args = [str(value) if isinstance(value, str) else value for value in values.values()]
        statement = f"UPDATE partition_moves SET {assignments} WHERE partition_id = ?"  # noqa: S608  # names of ours
        await self._session.rows(statement, (*args, partition))


class ShardGate:
    """What a shard lets be done with a partition while it moves."""

    def __init__(self, session: Session, move: Move) -> None:
        self._session = session
        self._move = move

    async def leave(self) -> None:
        """Has the source note what changes from now on. What was in progress before is committed by then."""
        before = self._move.generation - 1
        async with self._session.writing(self._move.partition), self._session.transaction():
            # A batch has this row from its fences to its end.
            await self._session.locked(
                "SELECT epoch FROM partition_progress WHERE partition_id = ?",
                (self._move.partition,),
            )
            state = await self._state(before, {None, HomeState.HOME, HomeState.LEAVING, HomeState.FENCED})
            if state in (None, HomeState.HOME):
                await self._session.rows("DELETE FROM partition_changes")
                state = HomeState.LEAVING
            await self._set(state, before)

    async def fence(self) -> None:
        """From its commit on nobody writes for the partition on the source: writers have an outdated epoch, and get no
        other one."""
        before = self._move.generation - 1
        async with self._session.writing(self._move.partition), self._session.transaction():
            # In the order in which a batch goes: first this row.
            await self._session.rows(
                "UPDATE partition_progress SET epoch = epoch + 1 WHERE partition_id = ?", (self._move.partition,)
            )
            await self._state(before, {HomeState.LEAVING, HomeState.FENCED}, own=True)
            await self._set(HomeState.FENCED, before)

    async def unfence(self) -> None:
        """Has the source be used again, and copied."""
        before = self._move.generation - 1
        async with self._session.writing(self._move.partition), self._session.transaction():
            await self._state(before, {HomeState.LEAVING, HomeState.FENCED}, own=True)
            await self._set(HomeState.LEAVING, before)

    async def stay(self) -> None:
        """Has the source be used as if nothing had been."""
        before = self._move.generation - 1
        async with self._session.writing(self._move.partition), self._session.transaction():
            state = await self._state(before, {None, HomeState.HOME, HomeState.LEAVING, HomeState.FENCED})
            if state is not None:
                await self._session.rows("DELETE FROM partition_changes")
                await self._set(HomeState.HOME, before)

    async def depart(self) -> None:
        """Has the source refuse everybody who goes by the map of before."""
        async with self._session.writing(self._move.partition), self._session.transaction():
            await self._state(None, {HomeState.FENCED, HomeState.DEPARTED})
            await self._session.rows("DELETE FROM partition_changes")
            await self._set(HomeState.DEPARTED, self._move.generation)

    async def arrive(self) -> None:
        """Has the target take rows that nobody uses yet."""
        async with self._session.writing(self._move.partition), self._session.transaction():
            await self._state(None, {None, HomeState.DEPARTED, HomeState.ARRIVING})
            await self._set(HomeState.ARRIVING, self._move.generation)

    async def open(self) -> None:
        """Has the target be used."""
        async with self._session.writing(self._move.partition), self._session.transaction():
            await self._state(self._move.generation, {HomeState.ARRIVING, HomeState.HOME})
            await self._set(HomeState.HOME, self._move.generation)

    async def withdraw(self) -> None:
        """Has the target refuse everybody, behind a move that was undone."""
        async with self._session.writing(self._move.partition), self._session.transaction():
            await self._state(None, {None, HomeState.DEPARTED, HomeState.ARRIVING})
            await self._set(HomeState.DEPARTED, self._move.generation - 1)

    @contextlib.asynccontextmanager
    async def changing(self, state: HomeState) -> AsyncIterator[None]:
        """A transaction that changes rows of the partition while it is in this state. Raises ``MoveTaken``."""
        async with self._session.transaction():
            await self._state(self._move.generation, {state}, own=True)
            yield

    async def _state(
        self, generation: int | None, allowed: set[HomeState | None] | set[HomeState], *, own: bool = False
    ) -> HomeState | None:
        """The state, which has to be one of these. Raises ``MoveTaken``."""
        rows = await self._session.locked(
            "SELECT generation, state, runner FROM partition_homes WHERE partition_id = ?",
            (self._move.partition,),
        )
        state = HomeState(str(rows[0][1])) if rows else None
        fits = state in allowed
        if rows and fits:
            fits = generation in (None, int(str(rows[0][0]))) and (not own or str(rows[0][2]) == self._move.runner)
        if not fits:
            raise MoveTaken(debug=f"partition {self._move.partition} is {rows} here, not {sorted(map(str, allowed))}")
        return state

    async def _set(self, state: HomeState, generation: int) -> None:
        await self._session.rows(
            "REPLACE INTO partition_homes (partition_id, generation, state, runner) VALUES (?, ?, ?, ?)",
            (self._move.partition, generation, str(state), self._move.runner),
        )


def _move(row: Row) -> Move:
    partition, source, target, generation, step, copied, runner, started_at, finished_at = row
    return Move(
        Partition(int(str(partition))),
        ShardId(int(str(source))),
        ShardId(int(str(target))),
        int(str(generation)),
        Step(str(step)),
        str(copied),
        str(runner),
        int(str(started_at)),
        None if finished_at is None else int(str(finished_at)),
    )

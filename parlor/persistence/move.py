"""Moving a partition to another shard while everybody goes on.

    copying      every row is copied; what writers change meanwhile is noted in the source, in their transactions
    catching-up  what was noted is copied again, until there is little, and both sides are compared
    fenced       the source takes no write any more: the last changes, what is worked off, the position of the queue
    switched     the map names the target; the source refuses those who go by the map of before, the target is opened
    opened       the target is used; every row of the source is looked for there
    cleaning     the source's rows are taken away

Each step can be repeated, and where a move stands is in the global database: whoever begins it again goes on. Sends are
acknowledged in Redis all the time; from the fence until the target is opened they are not stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from parlor.clock import Clock
from parlor.errors import ParlorError, StoreUnavailable
from parlor.model.ids import Partition, ShardId
from parlor.persistence.indexer import BATCH, SearchIndexer
from parlor.store.homes import HomeState
from parlor.store.partition_copy import Changes, Copier, Difference, Side, differences, lost
from parlor.store.partition_moves import Move, MoveBook, ShardGate, Step
from parlor.store.partition_rows import COPIED, FENCED, PartitionRows
from parlor.store.search import Search
from parlor.store.sessions import Session

ENDED = frozenset({Step.DONE, Step.ABORTED})
PASSES = 50
"""Rounds of catching up before the writers are taken to be faster."""
FEW = 400
"""Changes that are copied while nobody writes."""
SUSPECTS = 10_000
"""Differences between the sides that are looked at once more."""


class RowsDiffer(ParlorError):
    """The two sides differ behind the fence, or the target lacks a row of the source: nothing is taken away."""

    code, title = "rows-differ", "The copy of a partition is not what it was copied from"


class Moved(msgspec.Struct, frozen=True):
    """What a move has done."""

    move: Move
    rows: int
    """That were copied, some of them several times."""
    fenced_ms: int
    """For how long nobody could write."""


class MovePorts(msgspec.Struct, frozen=True):
    """The three databases, with the user that may read and write tables."""

    global_: Session
    source: Session
    target: Session
    search: Search
    clock: Clock


class Mover:
    """One process's work at one move. ``on_step`` gets a line for each step."""

    def __init__(self, ports: MovePorts, on_step: Callable[[str], None]) -> None:
        self._ports = ports
        self._on_step = on_step
        self._book = MoveBook(ports.global_)
        self._rows = 0
        self._fenced_ms = 0
        self._suspects: list[Difference] | None = None
        """None: the sides have not been compared by this process."""

    async def run(self, move: Move) -> Moved:
        """Goes on until the move has ended; called again, from where it stopped. Raises ``StoreUnavailable``,
        ``MoveTaken``, ``RowsDiffer``."""
        steps: dict[Step, Callable[[Move], Awaitable[Move]]] = {
            Step.COPYING: self._copy,
            Step.CATCHING_UP: self._catch_up,
            Step.FENCED: self._fenced,
            Step.SWITCHED: self._open,
            Step.OPENED: self._verify,
            Step.CLEANING: self._clean,
            Step.ABORTING: self._abort,
        }
        while move.step not in ENDED:
            self._on_step(f"partition {move.partition}, shard {move.source} to {move.target}: {move.step}")
            move = await steps[move.step](move)
        return Moved(move, self._rows, self._fenced_ms)

    async def _copy(self, move: Move) -> Move:
        source, target = await self._sides(move)
        await target.gate.arrive()
        await source.gate.leave()
        copier = Copier(source, target)
        if not move.copied:
            await self._take_away(target, HomeState.ARRIVING)
        async for copied, rows in copier.all(move.copied):
            self._rows += rows
            move = await self._book.note_copied(move, copied)
        await self._index(move.partition, move.target)
        return await self._book.advance(move, Step.CATCHING_UP)

    async def _catch_up(self, move: Move) -> Move:
        source, target = await self._sides(move)
        await target.gate.arrive()
        await source.gate.leave()
        changes = self._changes(move, source, target)
        await self._until_few(changes)
        self._suspects = [found async for found in differences(source.rows, target.rows)]
        if len(self._suspects) > SUSPECTS:
            raise RowsDiffer(f"{len(self._suspects)} rows differ after they were copied")
        await self._index(move.partition, move.target)
        await self._until_few(changes)
        return await self._book.advance(move, Step.FENCED)

    async def _until_few(self, changes: Changes) -> None:
        for _ in range(PASSES):
            copied = await changes.copy()
            self._rows += copied
            if copied < FEW:
                return
        raise StoreUnavailable("The partition changes faster than it can be copied", retry_after=60.0)

    async def _fenced(self, move: Move) -> Move:
        source, target = await self._sides(move)
        if self._suspects is None:
            # Whoever fenced it is gone, and with it what it knew of the rows: nobody waits while they are read again.
            await source.gate.leave()
            return await self._unfence(source, move)
        began = self._ports.clock.monotonic()
        try:
            await source.gate.fence()
            changes = self._changes(move, source, target)
            while copied := await changes.copy():
                self._rows += copied
            copier = Copier(source, target)
            await copier.files()
            for table in FENCED:
                await copier.again(table)
            await self._settle(source, target, self._suspects)
            await copier.position(move.partition)
            move = await self._book.switch(move)
        except ParlorError:
            await self._unfence(source, move)
            raise
        await source.gate.depart()
        await target.gate.open()
        self._fenced_ms = round((self._ports.clock.monotonic() - began) * 1000)
        return move

    async def _unfence(self, source: Side, move: Move) -> Move:
        """The step goes back first: whoever finds it there fences the source again."""
        self._suspects = None
        move = await self._book.advance(move, Step.CATCHING_UP)
        await source.gate.unfence()
        return move

    async def _settle(self, source: Side, target: Side, suspects: Sequence[Difference]) -> None:
        """What differed while writers went on has been copied again by now."""
        for table, key in suspects:
            here, there = await source.rows.matching(table, key), await target.rows.matching(table, key)
            if here != there:
                raise RowsDiffer(f"{table.name} has a row that was not copied", debug=f"{table.name} {key!r}")

    async def _open(self, move: Move) -> Move:
        source, target = await self._sides(move)
        await source.gate.depart()
        await target.gate.open()
        return await self._book.advance(move, Step.OPENED)

    async def _verify(self, move: Move) -> Move:
        source, target = await self._sides(move)
        missing = [found async for found in lost(source.rows, target.rows)]
        if missing:
            raise RowsDiffer(
                f"Shard {move.target} lacks {len(missing)} rows of partition {move.partition} that {move.source} has",
                debug=f"{missing[0][0].name} {missing[0][1]!r}",
            )
        return await self._book.advance(move, Step.CLEANING)

    async def _clean(self, move: Move) -> Move:
        source, _ = await self._sides(move)
        await source.gate.depart()
        await self._take_away(source, HomeState.DEPARTED)
        return await self._book.advance(move, Step.DONE, finished_at=self._ports.clock.now_ms())

    async def _abort(self, move: Move) -> Move:
        source, target = await self._sides(move)
        await source.gate.stay()
        await target.gate.arrive()
        await self._take_away(target, HomeState.ARRIVING)
        await target.gate.withdraw()
        return await self._book.advance(move, Step.ABORTED, finished_at=self._ports.clock.now_ms())

    def _changes(self, move: Move, source: Side, target: Side) -> Changes:
        return Changes(source, target, move.partition, partial(self._book.own_accounts, move.partition))

    async def _sides(self, move: Move) -> tuple[Side, Side]:
        accounts = await self._book.accounts(move.partition)
        source, target = (
            Side(session, PartitionRows(session, move.partition, accounts), ShardGate(session, move))
            for session in (self._ports.source, self._ports.target)
        )
        return source, target

    async def _take_away(self, side: Side, state: HomeState) -> None:
        for table in (*COPIED, *FENCED):
            after = None
            while True:
                async with side.gate.changing(state):
                    after = await side.rows.drop_page(table, after)
                if after is None:
                    break
        while True:
            async with side.gate.changing(state):
                if not await side.rows.drop_search_page():
                    await side.rows.drop_rest()
                    return

    async def _index(self, partition: Partition, shard: ShardId) -> None:
        """Has what was copied be found by the search, before anybody searches there."""
        indexer = SearchIndexer(self._ports.search, shard, lambda: [partition], self._ports.clock)
        while await indexer.index() == BATCH:
            pass

"""Copying the rows of a partition from one shard into another: all of them, then what has changed, and comparing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias

import msgspec

from parlor.model.ids import Partition
from parlor.store.homes import HomeState
from parlor.store.partition_moves import ShardGate
from parlor.store.partition_rows import (
    APPROVED,
    COPIED,
    FILE_USES,
    FILES,
    MESSAGES,
    PAGE,
    PROGRESS,
    ROOMS,
    USE,
    VERSIONS,
    WAITING,
    Key,
    PartitionRows,
    key_of,
)
from parlor.store.rows import Row
from parlor.store.sessions import Session
from parlor.store.tables import Table

CHANGES = 2 * PAGE
"""Changes that are copied together."""
_CHANGES = f"SELECT change_id, room_id, account_db_key, seq FROM partition_changes ORDER BY change_id LIMIT {CHANGES}"  # noqa: S608
Difference: TypeAlias = tuple[Table, Key]
"""A row that the sides do not have alike, by its table and key."""
OwnAccounts: TypeAlias = Callable[[Sequence[int]], Awaitable[set[int]]]
"""Those of some accounts that are the partition's."""
_Pair: TypeAlias = tuple[Row | None, Row | None]


class Side(msgspec.Struct, frozen=True):
    """One of the two shards."""

    session: Session
    rows: PartitionRows
    gate: ShardGate


class Copier:
    """Copies into a partition that arrives. Raises ``MoveTaken``, ``StoreUnavailable``."""

    def __init__(self, source: Side, target: Side) -> None:
        self._source = source
        self._target = target

    async def all(self, copied: str) -> AsyncIterator[tuple[str, int]]:
        """Copies every table; yields how far it is, page by page, and how many rows the page had. ``copied`` is where
        somebody stopped."""
        at, after = _decoded(copied) if copied else (COPIED[0].name, None)
        names = [table.name for table in COPIED]
        for table in COPIED[names.index(at) :]:
            while page := await self._source.rows.page(table, after):
                async with self._target.gate.changing(HomeState.ARRIVING):
                    await self._target.rows.put(table, page)
                    if table is MESSAGES:
                        await self._target.rows.note_for_search([key_of(table, row) for row in page if _says(row)])
                after = key_of(table, page[-1])
                yield _encoded(table, after), len(page)
            after = None

    async def files(self) -> None:
        """Makes the files and their uses those of the source. Behind the fence."""
        for table in (FILES, FILE_USES):
            async for here, there in together(self._source.rows.all(table), self._target.rows.all(table), table):
                if here == there:
                    continue
                async with self._target.gate.changing(HomeState.ARRIVING):
                    if here is not None:
                        await self._target.rows.put(table, [here])
                    elif there is not None:
                        await self._target.rows.drop(table, key_of(table, there))
        async with self._target.gate.changing(HomeState.ARRIVING):
            await self._target.rows.note_accounts_of_files()

    async def again(self, table: Table) -> None:
        """Makes a small table that of the source."""
        rows = [row async for row in self._source.rows.all(table)]
        before = [row async for row in self._target.rows.all(table)]
        async with self._target.gate.changing(HomeState.ARRIVING):
            for row in before:
                await self._target.rows.drop(table, key_of(table, row))
            await self._target.rows.put(table, rows)

    async def position(self, partition: Partition) -> None:
        """Copies how far the queue is applied, with the epoch and the incarnation: they go on rising."""
        rows = await self._source.rows.matching(PROGRESS, (partition,))
        async with self._target.gate.changing(HomeState.ARRIVING):
            await self._target.rows.put(PROGRESS, rows)


class Changes:
    """What writers have changed in the source since its partition leaves."""

    def __init__(self, source: Side, target: Side, partition: Partition, own: OwnAccounts) -> None:
        self._source = source
        self._target = target
        self._mark = (0x8000 | partition).to_bytes(2, "big")
        self._own = own

    async def copy(self) -> int:
        """Copies what has been noted by now; returns how many changes that were."""
        total = 0
        while True:
            noted = await self._source.session.rows(_CHANGES)
            messages: dict[bytes, set[int]] = {}
            uses: set[tuple[int, int]] = set()
            for _, room, account, seq in noted:
                if isinstance(room, bytes | bytearray):
                    if bytes(room[6:8]) == self._mark:
                        messages.setdefault(bytes(room), set()).add(int(str(seq)))
                else:
                    uses.add((int(str(account)), int(str(seq))))
            for room_id, seqs in messages.items():
                await self._copy_room(room_id, sorted(seqs - {0}))
            await self._copy_uses(uses)
            if noted:
                # One statement, one commit: row by row would take longer than writers take to note as many.
                marks = ", ".join("?" for _ in noted)
                copied = [change for change, *_ in noted]
                await self._source.session.rows(f"DELETE FROM partition_changes WHERE change_id IN ({marks})", copied)  # noqa: S608
            total += len(noted)
            if len(noted) < CHANGES:
                return total

    async def _copy_room(self, room_id: bytes, seqs: Sequence[int]) -> None:
        source, target = self._source.rows, self._target.rows
        whole = [(table, await source.matching(table, (room_id,))) for table in (ROOMS, WAITING, APPROVED)]
        messages = await source.of_room(MESSAGES, room_id, seqs)
        versions = await source.of_room(VERSIONS, room_id, seqs)
        async with self._target.gate.changing(HomeState.ARRIVING):
            for table, rows in whole:
                await target.drop(table, (room_id,))
                await target.put(table, rows)
            await target.put(MESSAGES, messages)
            for seq in seqs:
                await target.drop(VERSIONS, (room_id, seq))
            await target.put(VERSIONS, versions)
            await target.note_for_search([(room_id, seq) for seq in seqs])

    async def _copy_uses(self, uses: set[tuple[int, int]]) -> None:
        own = await self._own(sorted({account for account, _ in uses}))
        rows = [row for use in sorted(uses) if use[0] in own for row in await self._source.rows.matching(USE, use)]
        async with self._target.gate.changing(HomeState.ARRIVING):
            await self._target.rows.put(USE, rows)


async def differences(source: PartitionRows, target: PartitionRows) -> AsyncIterator[Difference]:
    """Rows that are not the same on both sides."""
    for table in COPIED:
        async for here, there in together(source.all(table), target.all(table), table):
            row = here or there
            if here != there and row is not None:
                yield table, key_of(table, row)


async def lost(source: PartitionRows, target: PartitionRows) -> AsyncIterator[Difference]:
    """Rooms and messages of the source that the target lacks, or has in a lower version; not those of rooms that were
    deleted, whose messages may be gone since."""
    deleted_at = list(ROOMS.columns).index("deleted_at")
    for table in (ROOMS, MESSAGES):
        version = list(table.columns).index("version")
        async for here, there in together(source.all(table), target.all(table), table):
            if here is None or (there is not None and int(str(there[version])) >= int(str(here[version]))):
                continue
            rooms = await target.matching(ROOMS, here[:1])
            if not rooms or rooms[0][deleted_at] is None:
                yield table, key_of(table, here)


async def together(left: AsyncIterator[Row], right: AsyncIterator[Row], table: Table) -> AsyncIterator[_Pair]:
    """Both in step, by keys, which ascend; None where one side has no such row."""
    one, other = await anext(left, None), await anext(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and _before(table, one, other)):
            yield one, None
            one = await anext(left, None)
        elif one is None or _before(table, other, one):
            yield None, other
            other = await anext(right, None)
        else:
            yield one, other
            one, other = await anext(left, None), await anext(right, None)


def _before(table: Table, one: Row, other: Row) -> bool:
    return key_of(table, one) < key_of(table, other)


def _says(message: Row) -> bool:
    """Whether a message has a text that can be found."""
    columns = list(MESSAGES.columns)
    return message[columns.index("deleted_at")] is None and message[columns.index("content")] != ""


def _encoded(table: Table, key: Key) -> str:
    # Of an account's rows only its number counts: they are read together.
    parts = [value.hex() if isinstance(value, bytes) else value for value in key[: 1 if table.home == "account" else 3]]
    return msgspec.json.encode([table.name, parts, [isinstance(value, bytes) for value in key][: len(parts)]]).decode()


def _decoded(copied: str) -> tuple[str, Key]:
    name, parts, binary = msgspec.json.decode(copied, type=tuple[str, list[str | int], list[bool]])
    return name, tuple(bytes.fromhex(str(part)) if raw else part for part, raw in zip(parts, binary, strict=True))

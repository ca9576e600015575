"""The store, spoken in stored procedures.

Each verb of ``ChatStore`` is one call. MySQL runs the procedures of ``sql/procedures``; for SQLite they are functions
of the same names (``sqlite_procedures``). So there is one meaning and two engines. What is called is the newest version
of each procedure that came with this program, so that an older program on the same database goes on with its own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Protocol

from parlor.errors import InvalidRequest, LimitReached, PartitionMoves, StoreUnavailable
from parlor.model.access import AccountRow, DailyUse
from parlor.model.ids import (
    AccountId,
    Home,
    InstallationId,
    MessageId,
    Partition,
    RoomId,
    ShardId,
    home_of_shard,
)
from parlor.model.messages import MessageDoc, MessageRow
from parlor.model.release import Incompatible, require_compatible
from parlor.model.rooms import RoomRow, RoomsBefore
from parlor.store import rows
from parlor.store.homes import Gate, PartitionElsewhere, Place
from parlor.store.installation import Belonging, belonging, check_shard
from parlor.store.message_rows import message_row
from parlor.store.ports import Batch, DaySpan, PartitionProgress, SchemaMismatch
from parlor.store.rows import Args, Row
from parlor.store.sql_files import newest_procedures

ATTEMPTS = 3
"""Calls for a partition whose home changes each time."""
RETRY_AFTER = 1.0

_PROCEDURE = re.compile(r"fp_[a-z0-9_]{1,60}")


class NoSuchProcedure(Exception):
    """The database has no procedure of this name: it is not migrated, or nobody wrote one. Does not leave the store."""


class Database(Protocol):
    """One database that can be called."""

    async def call(self, name: str, args: Args, gate: Gate | None = None) -> list[Row]:
        """The procedure's first result set. With a gate, ``PartitionElsewhere`` or ``PartitionMoves`` when its
        partition may not be used here.

        Raises ``StoreUnavailable``, ``RowRefused``, ``SeqConflict`` or ``NoSuchProcedure``.
        """

    async def read_shard_map(self) -> tuple[list[Row], list[Row]]:
        """Reads the global database: the row ``(partitions, schema_compat)`` of meta, and shard_map's
        ``(partition_id, shard_id, generation)``."""

    async def read_installation(self) -> list[Row]:
        """The database's row ``(installation_id, shard_id)``; none before its first migration."""

    async def ping(self) -> None:
        """Raises ``StoreUnavailable``."""

    async def close(self) -> None: ...


class ProcedureStore:
    """``ChatStore`` over one ``Database`` for each shard and a global one."""

    def __init__(
        self, shards: dict[ShardId, Database], global_: Database, *, partitions: int, default_shard: ShardId
    ) -> None:
        self._shards = shards
        self._global = global_
        self._partitions = partitions
        self._default_shard = default_shard
        self._map: dict[Partition, Place] | None = None
        self._map_lock = asyncio.Lock()
        self._installation: InstallationId | None = None
        self._newest = newest_procedures()

    async def open_account(self, account_id: AccountId, most: int | None = None) -> AccountRow:
        found = await self._call(None, "fp_account_open", (account_id, most))
        if not found:
            raise StoreUnavailable(debug="the global database has no meta row: run `parlor migrate`")
        if found[0][0] is None:
            raise LimitReached(f"There are {most} accounts here; more are not allowed")
        return rows.account_row(found[0])

    async def restore_account(self, row: AccountRow) -> bool:
        args: Args = (row.account_id, row.account_db_key, row.partition)
        return [tuple(found) for found in await self._call(None, "fp_account_restore", args)] == [args]

    async def installation(self) -> InstallationId:
        if self._installation is None:
            found = belonging(await self._global.read_installation())
            if found is None:
                raise StoreUnavailable(debug="the global database has no installation: run `parlor migrate`")
            self._installation = found.installation
        return self._installation

    async def check_shard(self, shard: ShardId) -> None:
        wanted = Belonging(await self.installation(), shard)
        check_shard(await self._database(shard).read_installation(), wanted)

    async def shard_of(self, partition: Partition) -> ShardId:
        return ShardId(Home((await self._place(partition)).shard, partition))

    async def generation_of(self, partition: Partition) -> int:
        return (await self._place(partition)).generation

    async def refresh_shard_map(self) -> None:
        async with self._map_lock:
            await self._load_map()

    def shard_ids(self) -> list[ShardId]:
        return sorted(self._shards)

    async def partitions_of(self, shard: ShardId) -> list[Partition]:
        return sorted(partition for partition, home in (await self._homes()).items() if home.shard == shard)

    async def rooms_get(
        self, shard: ShardId, account_db_key: int, *, limit: int, before: RoomsBefore | None = None
    ) -> list[RoomRow]:
        start: Args = (before.activity, before.room_id) if before else (None, None)
        found = await self._call(shard, "fp_chat_rooms_get", (account_db_key, max(limit, 0), *start))
        return [rows.room_row(row) for row in found]

    async def rooms_count(self, shard: ShardId, account_db_key: int) -> int:
        ((count,),) = await self._call(shard, "fp_chat_rooms_count", (account_db_key,))
        if not isinstance(count, int):
            raise StoreUnavailable(debug=f"fp_chat_rooms_count answered {type(count).__name__}")
        return count

    async def room_get(self, shard: ShardId, room_id: RoomId) -> RoomRow | None:
        if not rows.is_id(room_id):
            return None
        found = await self._call(shard, "fp_chat_room_get", (room_id,))
        return rows.full_room_row(found[0]) if found else None

    async def room_find(self, shard: ShardId, account_db_key: int, external_id: str) -> RoomId | None:
        found = await self._call(shard, "fp_chat_room_find", (account_db_key, external_id))
        return rows.room_id_row(found[0]) if found else None

    async def message_room(self, shard: ShardId, account_db_key: int, message_id: MessageId) -> RoomId | None:
        if not rows.is_id(message_id):
            return None
        found = await self._call(shard, "fp_chat_message_room", (account_db_key, message_id))
        return rows.room_id_row(found[0]) if found else None

    async def messages_get(
        self, shard: ShardId, room_id: RoomId, *, above: int = 0, below: int | None = None, limit: int, newest: bool
    ) -> list[MessageRow]:
        if not rows.is_id(room_id):
            return []
        args: Args = (room_id, above, below, max(limit, 0), int(newest))
        return [message_row(row) for row in await self._call(shard, "fp_chat_messages_get", args)]

    async def message_find(self, shard: ShardId, room_id: RoomId, message_id: MessageId) -> MessageRow | None:
        if not (rows.is_id(room_id) and rows.is_id(message_id)):
            return None
        found = await self._call(shard, "fp_chat_message_find", (room_id, message_id))
        return message_row(found[0]) if found else None

    async def versions_get(
        self, shard: ShardId, room_id: RoomId, seq: int, *, above: int = -1, limit: int
    ) -> list[MessageDoc]:
        if not rows.is_id(room_id):
            return []
        found = await self._call(shard, "fp_chat_message_versions_get", (room_id, seq, above, max(limit, 0)))
        return [message_row(row).doc for row in found]

    async def daily_use(self, shard: ShardId, account_db_key: int, days: Sequence[DaySpan]) -> list[DailyUse]:
        found = await self._call(shard, "fp_account_use_get", (account_db_key, rows.encode_days(days)))
        return [rows.daily_row(row) for row in found]

    async def open_partition(self, shard: ShardId, partition: Partition, *, above: int = 0) -> PartitionProgress:
        there = ShardId(Home(shard, partition, fixed=True))
        return rows.progress_row((await self._call(there, "fp_partition_open", (partition, above)))[0])

    async def acquire_partition(self, shard: ShardId, partition: Partition) -> PartitionProgress:
        there = ShardId(Home(shard, partition, fixed=True))
        return rows.progress_row((await self._call(there, "fp_partition_acquire", (partition,)))[0])

    async def progress(self, shard: ShardId) -> list[PartitionProgress]:
        found = [rows.progress_row(row) for row in await self._call(shard, "fp_partition_progress", ())]
        home = home_of_shard(shard)
        here = shard if home is None else (await self._place(home.partition)).shard
        # A partition that has left may have its row still.
        return [row for row in found if (await self._place(row.partition)).shard == here]

    async def apply(self, shard: ShardId, batch: Batch) -> list[Partition]:
        args = (rows.encode_fences(batch.fences), *rows.encode_batch(batch))
        return rows.refused_partitions(await self._call(shard, "fp_writer_apply", args))

    async def call_shard_procedure(
        self, shard: ShardId, name: str, args: tuple[object, ...]
    ) -> list[tuple[object, ...]]:
        """Ids are returned as 16 bytes. ``InvalidRequest`` for a name that is none, or arguments of other types.

        The name is taken as it is: without a suffix it is the first version, as it was published. SQLite knows every
        name of ``sql/procedures`` that belongs to a shard.
        """
        if not _PROCEDURE.fullmatch(name):
            raise InvalidRequest("This is not a procedure's name")
        plain = tuple(arg for arg in args if arg is None or isinstance(arg, str | int))
        if len(plain) != len(args):
            raise InvalidRequest("A procedure takes texts, integers and None")
        try:
            return await self._run(shard, name, plain)
        except NoSuchProcedure as error:
            raise InvalidRequest(f"There is no procedure {name}", debug=str(error)) from error

    async def call_newest(self, shard: ShardId, name: str, args: Args) -> list[Row]:
        return await self._call(shard, name, args)

    async def call_global_procedure(self, name: str, args: Args) -> list[Row]:
        return await self._call(None, name, args)

    async def ping(self, shard: ShardId | None) -> None:
        await self._database(shard).ping()

    async def close(self) -> None:
        await asyncio.gather(self._global.close(), *(database.close() for database in self._shards.values()))

    async def _call(self, shard: ShardId | None, name: str, args: Args) -> list[Row]:
        try:
            return await self._run(shard, self._newest[name], args)
        except NoSuchProcedure as error:
            raise StoreUnavailable(debug=f"{error}: run `parlor migrate`") from error

    async def _run(self, shard: ShardId | None, name: str, args: Args) -> list[Row]:
        home = home_of_shard(shard)
        if home is None:
            return await self._database(shard).call(name, args)
        for _ in range(ATTEMPTS):
            place = await self._place(home.partition)
            if place.shard == int(home) or not home.fixed:
                try:
                    return await self._database(place.shard).call(name, args, Gate(home.partition, place.generation))
                except PartitionElsewhere:
                    pass
            await self.refresh_shard_map()
        raise PartitionMoves(
            debug=f"partition {home.partition} is not on shard {home}, or moves all the time", retry_after=RETRY_AFTER
        )

    def _database(self, shard: ShardId | None) -> Database:
        found = self._global if shard is None else self._shards.get(shard)
        if found is None:
            raise StoreUnavailable(debug=f"shard {shard} is not configured")
        return found

    async def _place(self, partition: Partition) -> Place:
        return (await self._homes()).get(partition, Place(self._default_shard))

    async def _homes(self) -> dict[Partition, Place]:
        if self._map is None:
            async with self._map_lock:
                return self._map if self._map is not None else await self._load_map()
        return self._map

    async def _load_map(self) -> dict[Partition, Place]:
        meta, homes = await self._global.read_shard_map()
        check_meta(meta, self._partitions)
        self._map = {
            Partition(int(str(partition))): Place(ShardId(int(str(shard))), int(str(generation)))
            for partition, shard, generation in homes
        }
        return self._map


def check_meta(meta: list[Row], partitions: int) -> None:
    """Raises ``SchemaMismatch`` when the databases were made for other settings or by a newer program."""
    if not meta:
        raise StoreUnavailable(debug="the global database has no meta row: run `parlor migrate`")
    stored, compat = meta[0]
    try:
        require_compatible(int(str(compat)), "what last migrated the databases")
    except Incompatible as error:
        raise SchemaMismatch(str(error)) from error
    if stored != partitions:
        raise SchemaMismatch(f"The installation was created with {stored} partitions; the settings say {partitions}")

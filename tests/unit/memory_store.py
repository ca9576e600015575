"""The store on SQLite in memory, called without threads, with faults that a test chooses."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from parlor.errors import StoreUnavailable
from parlor.model.ids import Partition, ShardId
from parlor.settings import StoreSettings
from parlor.store.homes import Gate
from parlor.store.installation import READ_INSTALLATION
from parlor.store.migrations import migrate
from parlor.store.ports import Batch, RowRefused
from parlor.store.procedure_store import Database, NoSuchProcedure, ProcedureStore
from parlor.store.rows import Args, Row
from parlor.store.sqlite import checked_read, transaction
from parlor.store.sqlite_procedures import READS, WRITES, every_version
from parlor.store.sqlite_statements import META, SHARD_MAP

PARTITIONS = 4
SHARDS = 2


class Templates(dict[str, bytes]):
    """The databases of a migrated installation, which each test copies."""

    def __repr__(self) -> str:
        return "Templates()"  # Hypothesis prints arguments, and these have hundreds of kilobytes.


async def make_templates(directory: Path) -> Templates:
    names = ["global", *(f"shard{number}" for number in range(1, SHARDS + 1))]
    urls = [SecretStr(f"sqlite:///{directory}/{name}.db") for name in names]
    await migrate(StoreSettings(urls=tuple(urls[1:]), global_url=urls[0], partitions=PARTITIONS))
    templates = Templates()
    for name in names:
        connection = sqlite3.connect(directory / f"{name}.db")
        image = bytearray(connection.serialize())
        connection.close()
        # Bytes 18 and 19 of a SQLite file give its journal mode (2: WAL, 1: rollback); a database in memory has no WAL.
        image[18:20] = b"\x01\x01"
        templates[name] = bytes(image)
    return templates


class MemoryDatabase:
    """One database, whose procedures run in the event loop itself."""

    def __init__(self, template: bytes) -> None:
        self._reads, self._writes = every_version(READS), every_version(WRITES)
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.deserialize(template)
        self._connection.execute("PRAGMA foreign_keys = ON")

    async def call(self, name: str, args: Args, gate: Gate | None = None) -> list[Row]:
        await asyncio.sleep(0)  # A server never answers in the same iteration of the loop.
        try:
            if (read := self._reads.get(name)) is not None:
                return checked_read(self._connection, read, name, args, gate)
            if (write := self._writes.get(name)) is not None:
                return transaction(self._connection, write, name, args, gate)
        except (sqlite3.IntegrityError, sqlite3.DataError) as error:
            raise RowRefused(debug=str(error)) from error
        raise NoSuchProcedure(name)

    async def read_shard_map(self) -> tuple[list[Row], list[Row]]:
        return self._connection.execute(META).fetchall(), self._connection.execute(SHARD_MAP).fetchall()

    async def read_installation(self) -> list[Row]:
        return self._connection.execute(READ_INSTALLATION).fetchall()

    async def ping(self) -> None:
        self._connection.execute("SELECT 1")

    async def close(self) -> None:
        self._connection.close()


class MemoryStore(ProcedureStore):
    """``down`` makes it refuse everything; ``lost`` names procedures that run but whose answer gets lost, once each."""

    def __init__(self, templates: Templates) -> None:
        shards: dict[ShardId, Database] = {
            ShardId(n): MemoryDatabase(templates[f"shard{n}"]) for n in range(1, SHARDS + 1)
        }
        super().__init__(shards, MemoryDatabase(templates["global"]), partitions=PARTITIONS, default_shard=ShardId(1))
        self.down = False
        self.lost: list[str] = []
        self.calls: list[str] = []
        self.batches: list[Batch] = []
        """Every batch that was tried, whether accepted or not."""
        self.poison: Callable[[Batch], bool] = lambda _: False
        self.commit_gate: asyncio.Event | None = None
        """If set, batches wait for it before they are tried."""

    async def apply(self, shard: ShardId, batch: Batch) -> list[Partition]:
        self.batches.append(batch)
        if self.commit_gate is not None:
            await self.commit_gate.wait()
        if self.poison(batch):
            raise RowRefused("poison", debug="poison")
        return await super().apply(shard, batch)

    async def check_shard(self, shard: ShardId) -> None:
        if self.down:
            raise StoreUnavailable(debug="down")
        await super().check_shard(shard)

    async def call_shard_procedure(
        self, shard: ShardId, name: str, args: tuple[object, ...]
    ) -> list[tuple[object, ...]]:
        if self.down:
            raise StoreUnavailable(debug="down")
        found = await super().call_shard_procedure(shard, name, args)
        self._lose(name)
        return found

    async def _call(self, shard: ShardId | None, name: str, args: Args) -> list[Row]:
        if self.down:
            raise StoreUnavailable(debug="down")
        self.calls.append(name)
        found = await super()._call(shard, name, args)
        self._lose(name)
        return found

    def _lose(self, name: str) -> None:
        if name in self.lost:
            self.lost.remove(name)
            raise StoreUnavailable(debug=f"{name}: the answer was lost")

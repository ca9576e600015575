"""Writing kept rows into databases that have none."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

from asyncmy.connection import Connection

from parlor.store.addresses import Address, MySqlAddress
from parlor.store.mysql_errors import translated
from parlor.store.mysql_pool import CONNECT_TIMEOUT, open_connection
from parlor.store.sqlite import open_connection as open_file
from parlor.store.tables import Table, Values

STATEMENT_TIMEOUT = 3600.0
"""Seconds for one statement: the search's backlog is filled by one."""
BUSY_TIMEOUT = 60.0
FILL_BACKLOG = """
INSERT INTO search_backlog (partition_id, room_id, seq)
SELECT r.partition_id, m.room_id, m.seq
  FROM messages AS m JOIN rooms AS r ON r.room_id = m.room_id
 WHERE m.deleted_at IS NULL AND m.content <> '' AND r.deleted_at IS NULL
"""
ANY = {
    "global": ("accounts", "audit_log", "api_keys"),
    "shard": ("rooms", "messages", "partition_progress", "files"),
}
"""A database without rows in these holds nothing of anybody."""


class Filling(Protocol):
    """One database that is being filled. What was written counts when the block ends without an exception."""

    async def add(self, table: Table, columns: Sequence[str], rows: Sequence[Values]) -> None:
        """Inserts rows; one with the key of another takes its place."""

    async def run(self, statement: str) -> None: ...


async def is_empty(address: Address, role: str) -> bool:
    """Whether a migrated database holds nothing. Raises ``StoreUnavailable``."""
    async with _opened(address) as database:
        for table in ANY[role]:
            if await database.any(table):
                return False
    return True


@contextlib.asynccontextmanager
async def filling(address: Address) -> AsyncIterator[Filling]:
    """Raises ``StoreUnavailable``."""
    async with _opened(address) as database:
        yield database
        await database.commit()


@contextlib.asynccontextmanager
async def _opened(address: Address) -> AsyncIterator[_MySqlFilling | _SqliteFilling]:
    with translated(address.label):
        if isinstance(address, MySqlAddress):
            connection = await open_connection(address, connect_timeout=CONNECT_TIMEOUT)
            try:
                yield _MySqlFilling(connection)
            finally:
                connection.close()
        else:
            file = await asyncio.to_thread(open_file, address, busy_timeout=BUSY_TIMEOUT)
            try:
                database = _SqliteFilling(file)
                await database.run("BEGIN IMMEDIATE")
                yield database
            finally:
                await asyncio.to_thread(file.close)


def _replace(table: Table, columns: Sequence[str], quote: str, mark: str) -> str:
    names = ", ".join(f"{quote}{column}{quote}" for column in columns)
    return f"REPLACE INTO {table.name} ({names}) VALUES ({', '.join(mark for _ in columns)})"  # noqa: S608  # ours


def _bound(table: Table, columns: Sequence[str], rows: Iterable[Values]) -> list[tuple[str | int | bytes | None, ...]]:
    return [table.bound(row, list(columns)) for row in rows]


class _MySqlFilling:
    """Each call is a transaction: one for all of a large shard would be more than a server likes to keep."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, table: Table, columns: Sequence[str], rows: Sequence[Values]) -> None:
        async with asyncio.timeout(STATEMENT_TIMEOUT), self._connection.cursor() as cursor:
            await cursor.executemany(_replace(table, columns, "`", "%s"), _bound(table, columns, rows))

    async def run(self, statement: str) -> None:
        async with asyncio.timeout(STATEMENT_TIMEOUT), self._connection.cursor() as cursor:
            await cursor.execute(statement)

    async def any(self, table: str) -> bool:
        async with asyncio.timeout(STATEMENT_TIMEOUT), self._connection.cursor() as cursor:
            await cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608  # a name of ours
            return bool(await cursor.fetchall())

    async def commit(self) -> None:
        """Everything is committed already."""


class _SqliteFilling:
    """One transaction. No cursor leaves its thread: it would end in another one, while the next statement runs."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    async def add(self, table: Table, columns: Sequence[str], rows: Sequence[Values]) -> None:
        await asyncio.to_thread(self._add, _replace(table, columns, '"', "?"), _bound(table, columns, rows))

    async def run(self, statement: str) -> None:
        await asyncio.to_thread(self._all, statement)

    async def any(self, table: str) -> bool:
        return bool(await asyncio.to_thread(self._all, f"SELECT 1 FROM {table} LIMIT 1"))  # noqa: S608  # ours

    async def commit(self) -> None:
        await self.run("COMMIT")

    def _add(self, statement: str, rows: list[tuple[str | int | bytes | None, ...]]) -> None:
        self._file.executemany(statement, rows).close()

    def _all(self, statement: str) -> list[tuple[object, ...]]:
        with contextlib.closing(self._file.execute(statement)) as cursor:
            return cursor.fetchall()

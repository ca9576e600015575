"""Reading all of a database as it is at one moment, while others write to it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

from asyncmy.connection import Connection
from asyncmy.cursors import SSCursor

from parlor.store.addresses import Address, MySqlAddress, SqliteAddress
from parlor.store.mysql_errors import translated
from parlor.store.mysql_pool import CONNECT_TIMEOUT, open_connection
from parlor.store.sqlite import open_connection as open_file
from parlor.store.tables import Table, Values

ROWS_AT_ONCE = 100
"""Rows that are fetched together. A message may have megabytes, so there are not many."""
ROW_TIMEOUT = 60.0
"""Seconds that a database may take for them."""
READER_TIMEOUT = 3600
"""Seconds that MySQL waits for us to take more: what is read goes to a place that may be slow."""
BUSY_TIMEOUT = 10.0


class Snapshot(Protocol):
    """A database at one moment."""

    def rows(self, table: Table) -> AsyncGenerator[Values]:
        """Yields every row, in the order of the table's key."""


@contextlib.asynccontextmanager
async def snapshot(address: Address) -> AsyncIterator[Snapshot]:
    """The moment is when the block begins. Raises ``StoreUnavailable``, also while rows are read."""
    with translated(address.label):
        if isinstance(address, MySqlAddress):
            connection = await open_connection(address, connect_timeout=CONNECT_TIMEOUT)
            try:
                yield await _MySqlSnapshot.begin(connection)
            finally:
                connection.close()
        else:
            file = await asyncio.to_thread(_open, address)
            try:
                yield _SqliteSnapshot(file)
            finally:
                await asyncio.to_thread(file.close)


def _select(table: Table, quote: str) -> str:
    columns = ", ".join(f"{quote}{column}{quote}" for column in table.columns)
    return f"SELECT {columns} FROM {table.name} ORDER BY {', '.join(table.key)}"  # noqa: S608  # names of ours


class _MySqlSnapshot:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def begin(cls, connection: Connection) -> _MySqlSnapshot:
        async with asyncio.timeout(ROW_TIMEOUT), connection.cursor() as cursor:
            await cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            await cursor.execute(f"SET SESSION net_write_timeout = {READER_TIMEOUT}")
            await cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        return cls(connection)

    async def rows(self, table: Table) -> AsyncGenerator[Values]:
        async with self._connection.cursor(SSCursor) as cursor:
            async with asyncio.timeout(READER_TIMEOUT):
                await cursor.execute(_select(table, "`"))
            while True:
                async with asyncio.timeout(ROW_TIMEOUT):
                    found = await cursor.fetchmany(ROWS_AT_ONCE)
                if not found:
                    return
                for row in found:
                    yield table.plain(row)


def _open(address: SqliteAddress) -> sqlite3.Connection:
    file = open_file(address, busy_timeout=BUSY_TIMEOUT)
    try:
        file.execute("BEGIN")
        # The moment is that of the first read.
        file.execute("SELECT version FROM schema_migrations LIMIT 1").fetchall()
    except BaseException:
        file.close()
        raise
    return file


class _SqliteSnapshot:
    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    async def rows(self, table: Table) -> AsyncGenerator[Values]:
        cursor = await asyncio.to_thread(self._file.execute, _select(table, '"'))
        while found := await asyncio.to_thread(cursor.fetchmany, ROWS_AT_ONCE):
            for row in found:
                yield table.plain(row)

"""Statements on one database, for whoever moves rows between databases of one kind.

Statements are written with ``?`` for each value; values and rows are the driver's own, so that they go from one
database into the other as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeAlias

from asyncmy.connection import Connection
from asyncmy.cursors import Cursor

from parlor.errors import PartitionMoves
from parlor.model.ids import Partition
from parlor.store.addresses import Address, MySqlAddress
from parlor.store.mysql_errors import LOST, number_of, translated
from parlor.store.mysql_gate import LOCK_WAIT, lock_name
from parlor.store.mysql_pool import CONNECT_TIMEOUT, open_connection
from parlor.store.rows import Row
from parlor.store.sqlite import open_connection as open_file

Kind: TypeAlias = Literal["mysql", "sqlite"]
STATEMENT_TIMEOUT = 600.0
"""Seconds for one statement: some read all of a table."""
BUSY_TIMEOUT = 30.0


class Session(Protocol):
    """One connection; each statement is a transaction, unless it stands in one."""

    kind: Kind

    async def rows(self, statement: str, args: Sequence[object] = ()) -> list[Row]: ...

    async def many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Runs a statement that changes rows, for each of these."""

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Commits when the block ends without an exception."""

    def writing(self, partition: Partition) -> AbstractAsyncContextManager[None]:
        """In the block nobody else writes for the partition past the writers (``mysql_gate``)."""

    def quoted(self, name: str) -> str: ...

    def upsert(self, key: str) -> str:
        """What begins the end of an INSERT that changes a row with the same key; assignments follow."""

    async def locked(self, select: str, args: Sequence[object]) -> list[Row]:
        """The rows of a SELECT, which nobody else changes until the transaction ends."""


@contextlib.asynccontextmanager
async def open_session(address: Address) -> AsyncIterator[Session]:
    """Raises ``StoreUnavailable``, as each statement does."""
    if isinstance(address, MySqlAddress):
        with translated(address.label):
            connection = await open_connection(address, connect_timeout=CONNECT_TIMEOUT)
        try:
            yield _MySqlSession(connection, address)
        finally:
            connection.close()
    else:
        with translated(address.label):
            file = await asyncio.to_thread(open_file, address, busy_timeout=BUSY_TIMEOUT)
        try:
            yield _SqliteSession(file, address.label)
        finally:
            await asyncio.to_thread(file.close)


class _MySqlSession:
    kind: Kind = "mysql"

    def __init__(self, connection: Connection, address: MySqlAddress) -> None:
        self._connection = connection
        self._address = address
        self._known = True
        """Whether the connection can be used: no statement was left half done."""

    async def rows(self, statement: str, args: Sequence[object] = ()) -> list[Row]:
        async with self._statement() as cursor:
            await cursor.execute(statement.replace("?", "%s"), tuple(args) or None)
            return list(await cursor.fetchall())

    async def locked(self, select: str, args: Sequence[object]) -> list[Row]:
        return await self.rows(f"{select} FOR UPDATE", args)

    async def many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        if not rows:
            return
        async with self._statement() as cursor:
            await cursor.executemany(statement.replace("?", "%s"), list(rows))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self.rows("START TRANSACTION")
        try:
            yield
        except BaseException:
            if self._known:
                await self.rows("ROLLBACK")
            raise
        await self.rows("COMMIT")

    @contextlib.asynccontextmanager
    async def _statement(self) -> AsyncIterator[Cursor]:
        with translated(self._address.label):
            try:
                async with asyncio.timeout(STATEMENT_TIMEOUT), self._connection.cursor() as cursor:
                    yield cursor
            except BaseException as error:
                if number_of(error) == 0 or number_of(error) in LOST:
                    # Whatever was under way on it is not known: the server rolls back when it ends.
                    self._known = False
                    self._connection.close()
                raise

    @contextlib.asynccontextmanager
    async def writing(self, partition: Partition) -> AsyncIterator[None]:
        name = lock_name(self._address.database, partition)
        ((got,),) = await self.rows("SELECT GET_LOCK(?, ?)", (name, LOCK_WAIT))
        if got != 1:
            raise PartitionMoves(debug=f"{name} is held")
        try:
            yield
        finally:
            if self._known:
                await self.rows("SELECT RELEASE_LOCK(?)", (name,))

    def quoted(self, name: str) -> str:
        return f"`{name}`"

    def upsert(self, key: str) -> str:  # MySQL looks at every key
        return "ON DUPLICATE KEY UPDATE"


class _SqliteSession:
    """No cursor leaves its thread."""

    kind: Kind = "sqlite"

    def __init__(self, file: sqlite3.Connection, label: str) -> None:
        self._file = file
        self._label = label

    async def rows(self, statement: str, args: Sequence[object] = ()) -> list[Row]:
        with translated(self._label):
            return await asyncio.to_thread(self._rows, statement, args)

    async def locked(self, select: str, args: Sequence[object]) -> list[Row]:
        # A transaction here is the only one.
        return await self.rows(select, args)

    async def many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        with translated(self._label):
            await asyncio.to_thread(self._many, statement, rows)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self.rows("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            await self.rows("ROLLBACK")
            raise
        await self.rows("COMMIT")

    @contextlib.asynccontextmanager
    async def writing(self, partition: Partition) -> AsyncIterator[None]:  # one writer at a time anyway
        yield

    def quoted(self, name: str) -> str:
        return f'"{name}"'

    def upsert(self, key: str) -> str:
        return f"ON CONFLICT ({key}) DO UPDATE SET"

    def _rows(self, statement: str, args: Sequence[object]) -> list[Row]:
        return self._file.execute(statement, tuple(args)).fetchall()

    def _many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        self._file.executemany(statement, [tuple(row) for row in rows]).close()

"""The store on SQLite: one file for each shard and a global one, for an installation on one machine.

Several processes may use the files at once: WAL lets readers and one writer work side by side, and writers wait for
each other inside ``BEGIN IMMEDIATE``. ``synchronous = FULL`` syncs each commit, so that what is acknowledged as stored
survives a power cut.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from parlor.errors import InvalidRequest, StoreUnavailable
from parlor.model.ids import ShardId
from parlor.settings import StoreSettings
from parlor.store import sqlite_statements as sql
from parlor.store.addresses import SqliteAddress, StoreAddresses
from parlor.store.homes import READ_HOME, Gate
from parlor.store.installation import READ_INSTALLATION
from parlor.store.ports import RowRefused
from parlor.store.procedure_store import Database, NoSuchProcedure, ProcedureStore
from parlor.store.rows import Args, Row
from parlor.store.sqlite_procedures import READS, WRITES, FenceRefused, Procedure, every_version

RETRY_AFTER = 1.0
"""Seconds that a client is told to wait while a file is busy or not there."""

_T = TypeVar("_T")


def open_connection(address: SqliteAddress, *, busy_timeout: float, create: bool = False) -> sqlite3.Connection:
    """A connection that leaves transactions to its caller; ``busy_timeout`` in seconds. Raises ``sqlite3.Error``."""
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"{address.path.as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_timeout,
        isolation_level=None,
        check_same_thread=False,  # a worker opens it, close() closes it after the worker has ended
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


class _Worker:
    """Threads with a SQLite connection each."""

    def __init__(self, address: SqliteAddress, threads: int, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"sqlite-{address.path.stem}")

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Runs ``work`` in a thread. A cancelled caller stops waiting; the work itself goes on to its end."""
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, self._with_connection, work)
        except RuntimeError as error:  # the executor was shut down
            raise StoreUnavailable(debug=f"{self._address.label}: closed") from error
        try:
            async with asyncio.timeout(self._timeout):
                return await future
        except TimeoutError as error:
            raise StoreUnavailable(debug=f"{self._address.label}: timed out", retry_after=RETRY_AFTER) from error

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown)
        while self._connections:
            self._connections.pop().close()

    def _with_connection(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = open_connection(self._address, busy_timeout=self._timeout)
                self._local.connection = connection
                self._connections.append(connection)
            return work(connection)
        except (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeError) as error:
            raise RowRefused(debug=f"{self._address.label}: {error}") from error
        except sqlite3.Error as error:
            raise StoreUnavailable(debug=f"{self._address.label}: {error}", retry_after=RETRY_AFTER) from error


class SqliteDatabase:
    """One file: a writer thread, and readers beside it."""

    def __init__(self, address: SqliteAddress, settings: StoreSettings) -> None:
        timeout = settings.query_timeout.total_seconds()
        self._name = address.label
        self._reads = every_version(READS)
        self._writes = every_version(WRITES)
        self._writer = _Worker(address, 1, timeout)
        self._readers = _Worker(address, settings.pool_size, timeout)

    async def call(self, name: str, args: Args, gate: Gate | None = None) -> list[Row]:
        try:
            if (read := self._reads.get(name)) is not None:
                return await self._readers.run(lambda connection: checked_read(connection, read, name, args, gate))
            if (write := self._writes.get(name)) is not None:
                return await self._writer.run(lambda connection: transaction(connection, write, name, args, gate))
        except ValueError as error:
            raise InvalidRequest("The procedure takes other arguments", debug=f"{name}: {error}") from error
        raise NoSuchProcedure(f"{self._name}: {name}")

    async def read_shard_map(self) -> tuple[list[Row], list[Row]]:
        return await self._readers.run(
            lambda connection: (connection.execute(sql.META).fetchall(), connection.execute(sql.SHARD_MAP).fetchall())
        )

    async def read_installation(self) -> list[Row]:
        return await self._readers.run(lambda connection: connection.execute(READ_INSTALLATION).fetchall())

    async def ping(self) -> None:
        await self._readers.run(lambda connection: connection.execute("SELECT 1 FROM schema_migrations").fetchone())

    async def close(self) -> None:
        await self._writer.close()
        await self._readers.close()


def checked_read(
    connection: sqlite3.Connection, procedure: Procedure, name: str, args: Args, gate: Gate | None
) -> list[Row]:
    """What a reading procedure finds, if the gate lets it."""
    found = procedure(connection, args)
    if gate is not None:
        # Afterwards: a partition that is still here was here when it was read.
        gate.check(name, _home(connection, gate))
    return found


def _home(connection: sqlite3.Connection, gate: Gate) -> list[Row]:
    return connection.execute(READ_HOME.format("?"), (gate.partition,)).fetchall()


def transaction(
    connection: sqlite3.Connection, procedure: Procedure, name: str, args: Args, gate: Gate | None
) -> list[Row]:
    """Runs a procedure that writes, if the gate lets it: all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if gate is not None:
            gate.check(name, _home(connection, gate))
        found = procedure(connection, args)
        connection.execute("COMMIT")
    except FenceRefused as refusal:
        connection.execute("ROLLBACK")
        return [(msgspec.json.encode(refusal.partitions).decode(),)]
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return found


class SqliteStore(ProcedureStore):
    """``ChatStore`` on SQLite. ``call_shard_procedure`` knows every name in ``sql/procedures``."""

    def __init__(self, settings: StoreSettings, addresses: StoreAddresses) -> None:
        def database(address: object) -> Database:
            if not isinstance(address, SqliteAddress):
                raise TypeError("SqliteStore needs SQLite addresses")
            return SqliteDatabase(address, settings)

        super().__init__(
            {shard: database(address) for shard, address in addresses.shards.items()},
            database(addresses.global_),
            partitions=settings.partitions,
            default_shard=ShardId(settings.default_shard),
        )

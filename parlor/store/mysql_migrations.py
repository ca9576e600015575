"""Bringing one MySQL database up to date.

A named lock (``GET_LOCK``) lets one process at a time work on a database. MySQL commits each DDL statement by itself,
so a migration can stop half-way: how many of its statements are done is written down after each one, and the next run
goes on from there. A statement that was done but not yet written down is done again, so each must be safe to repeat:
it says IF NOT EXISTS, or it is an ``ALTER TABLE ... ADD COLUMN``, which is refused when its columns are there.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable

from asyncmy.connection import Connection
from asyncmy.errors import MySQLError

from parlor.clock import Clock
from parlor.errors import StoreUnavailable
from parlor.model.release import COMPATIBILITY
from parlor.store.addresses import MySqlAddress
from parlor.store.installation import (
    ANY_ACCOUNT,
    ANY_ROOM,
    GLOBAL,
    READ_INSTALLATION,
    Belonging,
    GlobalRole,
    Migrated,
    ShardRole,
    belonging,
    require_own,
    require_unused,
)
from parlor.store.mysql_errors import COLUMN_EXISTS, UNKNOWN_DATABASE, number_of, translate
from parlor.store.mysql_grants import grant_calls, user_of
from parlor.store.mysql_pool import CONNECT_TIMEOUT, open_connection
from parlor.store.procedure_store import check_meta
from parlor.store.rows import Args, Row
from parlor.store.shard_map import MAP, ShardMap, missing_homes
from parlor.store.sql_files import SqlFile, check_unchanged, read_migrations, read_procedures

LOCK_TIMEOUT = 60
"""Seconds to wait for another process that migrates the same database."""
STATEMENT_TIMEOUT = 3600.0
"""Seconds that one DDL statement may take: a large table is rebuilt in one."""

_BOOK = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  version         INT          NOT NULL,
  name            VARCHAR(190) NOT NULL,
  checksum        CHAR(64)     NOT NULL,
  statements_done INT          NOT NULL,
  started_at      BIGINT       NOT NULL,
  finished_at     BIGINT       NULL,
  PRIMARY KEY (version)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
"""
META = "SELECT partitions, schema_compat FROM meta"
RAISE_COMPATIBILITY = "UPDATE meta SET schema_compat = %s WHERE schema_compat < %s"
_PROCEDURE_BOOK = """
CREATE TABLE IF NOT EXISTS schema_procedures (
  name       VARCHAR(64) NOT NULL,
  checksum   CHAR(64)    NOT NULL,
  created_at BIGINT      NOT NULL,
  PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
"""

MARIADB_ONLY = frozenset({"fp_search_save"})
"""Published procedures that MySQL refuses. No program on MySQL has ever called them: each has a later version."""


async def migrate_mysql(
    address: MySqlAddress,
    role: GlobalRole | ShardRole,
    on_step: Callable[[str], None],
    clock: Clock,
    *,
    program: MySqlAddress | None = None,
) -> Migrated:
    """Brings the database up to date. ``program`` is the address with a user that is to call procedures and nothing
    else. Raises ``StoreUnavailable`` and ``SchemaMismatch``."""
    try:
        async with _locked(address) as connection:
            session = _Session(connection, on_step, clock)
            await session.run(_BOOK)
            await session.run(_PROCEDURE_BOOK)
            applied = [file.name for file in read_migrations("mysql", role.name) if await session.migrate(file)]
            applied += await session.create_procedures(read_procedures(role.name))
            if program is not None:
                await grant_calls(session.run, address.database, await user_of(program), role.name)
            if isinstance(role, ShardRole):
                await session.join(role)
                return Migrated(applied, role.belonging.installation)
            is_new = await session.fill_shard_map(role.homes)
            own = await session.belong(Belonging(role.proposal.choose(is_new=is_new), GLOBAL))
            return Migrated(applied, own.installation, is_empty=not await session.run(ANY_ACCOUNT))
    except (MySQLError, OSError, TimeoutError) as error:
        raise translate(error, address.label) from error


@contextlib.asynccontextmanager
async def _locked(address: MySqlAddress) -> AsyncIterator[Connection]:
    """A connection that holds the database's lock; closing it lets the lock go, whatever happened."""
    connection = await _connect_or_create(address)
    try:
        name = "parlor.migrate." + hashlib.sha256(address.database.encode()).hexdigest()[:32]
        async with asyncio.timeout(LOCK_TIMEOUT + CONNECT_TIMEOUT), connection.cursor() as cursor:
            await cursor.execute("SELECT GET_LOCK(%s, %s)", (name, LOCK_TIMEOUT))
            (got,) = await cursor.fetchone()
        if got != 1:
            raise StoreUnavailable(debug=f"{address.label}: another process has been migrating for {LOCK_TIMEOUT} s")
        yield connection
    finally:
        connection.close()


async def _connect_or_create(address: MySqlAddress) -> Connection:
    """Creates the database only when it is missing: a hosted server's user may not have the right to."""
    try:
        return await open_connection(address, connect_timeout=CONNECT_TIMEOUT)
    except MySQLError as error:
        if number_of(error) != UNKNOWN_DATABASE:
            raise
    server = await open_connection(address, connect_timeout=CONNECT_TIMEOUT, database=False)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT), server.cursor() as cursor:
            # parse_address refuses names with backticks.
            await cursor.execute(
                f"CREATE DATABASE IF NOT EXISTS `{address.database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )
    finally:
        server.close()
    return await open_connection(address, connect_timeout=CONNECT_TIMEOUT)


class _Session:
    """One run on one locked connection."""

    def __init__(self, connection: Connection, on_step: Callable[[str], None], clock: Clock) -> None:
        self._connection = connection
        self._on_step = on_step
        self._clock = clock

    async def run(self, statement: str, args: Args = ()) -> list[Row]:
        async with asyncio.timeout(STATEMENT_TIMEOUT), self._connection.cursor() as cursor:
            await cursor.execute(statement, args or None)
            return list(await cursor.fetchall())

    async def migrate(self, file: SqlFile) -> bool:
        version = int(file.name[:4])
        found = await self.run(
            "SELECT checksum, statements_done, finished_at FROM schema_migrations WHERE version = %s", (version,)
        )
        done = 0
        if found:
            checksum, statements_done, finished_at = found[0]
            if finished_at is not None:
                check_unchanged(file, str(checksum))
                return False
            # A repaired file may have other statements: then from the start, which is safe.
            done = int(str(statements_done)) if checksum == file.checksum else 0
        await self.run(
            "INSERT INTO schema_migrations (version, name, checksum, statements_done, started_at)"
            " VALUES (%s, %s, %s, %s, %s)"
            " ON DUPLICATE KEY UPDATE checksum = VALUES(checksum), statements_done = VALUES(statements_done)",
            (version, file.name, file.checksum, done, self._clock.now_ms()),
        )
        self._on_step(f"{file.name}" + (f" from statement {done + 1}" if done else ""))
        for number, statement in enumerate(file.statements[done:], done + 1):
            await self._define(statement)
            await self.run("UPDATE schema_migrations SET statements_done = %s WHERE version = %s", (number, version))
        await self.run(
            "UPDATE schema_migrations SET finished_at = %s WHERE version = %s", (self._clock.now_ms(), version)
        )
        return True

    async def _define(self, statement: str) -> None:
        try:
            await self.run(statement)
        except MySQLError as error:
            # MariaDB has ADD COLUMN IF NOT EXISTS, MySQL has not. One ALTER TABLE adds all of its columns or none.
            if number_of(error) != COLUMN_EXISTS or not statement.startswith("ALTER TABLE"):
                raise

    async def create_procedures(self, files: list[SqlFile]) -> list[str]:
        """Those that are missing or whose file changed; each file drops the old one first."""
        there = await self.run("SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE()")
        names = {name for (name,) in there}
        known = set(await self.run("SELECT name, checksum FROM schema_procedures"))
        ((version,),) = await self.run("SELECT VERSION()")
        left_out = frozenset[str]() if "MariaDB" in str(version) else MARIADB_ONLY
        wanted = [file for file in files if file.name not in left_out]
        stale = [file for file in wanted if file.name not in names or (file.name, file.checksum) not in known]
        for file in stale:
            self._on_step(file.name)
            for statement in file.statements:
                await self.run(statement)
            await self.run(
                "INSERT INTO schema_procedures (name, checksum, created_at) VALUES (%s, %s, %s)"
                " ON DUPLICATE KEY UPDATE checksum = VALUES(checksum), created_at = VALUES(created_at)",
                (file.name, file.checksum, self._clock.now_ms()),
            )
        return [file.name for file in stale]

    async def fill_shard_map(self, wanted: ShardMap) -> bool:
        """Whether the database is new."""
        is_new = not await self.run(META)
        await self.run(
            "INSERT INTO meta (id, partitions, schema_compat) VALUES (1, %s, %s) ON DUPLICATE KEY UPDATE id = meta.id",
            (wanted.partitions, COMPATIBILITY),
        )
        check_meta(await self.run(META), wanted.partitions)
        await self.run(RAISE_COMPATIBILITY, (COMPATIBILITY, COMPATIBILITY))
        missing = missing_homes(wanted, await self.run(MAP))
        if missing:
            values = ", ".join(f"({partition}, {shard})" for partition, shard in missing)
            await self.run(f"INSERT INTO shard_map (partition_id, shard_id) VALUES {values}")  # noqa: S608  # numbers
        return is_new

    async def join(self, role: ShardRole) -> None:
        """Makes a shard without an installation one of this installation's."""
        if role.must_be_unused:
            require_unused(await self.run(ANY_ROOM), role.belonging.shard)
        require_own(await self.run(READ_INSTALLATION), role.belonging)
        await self.belong(role.belonging)

    async def belong(self, proposed: Belonging) -> Belonging:
        """Writes the row unless there is one; returns the one that holds."""
        await self.run(
            "INSERT INTO installation (id, installation_id, shard_id) VALUES (1, %s, %s)"
            " ON DUPLICATE KEY UPDATE id = installation.id",
            (proposed.installation, proposed.shard),
        )
        return belonging(await self.run(READ_INSTALLATION)) or proposed

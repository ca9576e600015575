"""Bringing one SQLite file up to date: the books that MySQL has too, and one transaction, so nothing stops half-way."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

from parlor.clock import Clock
from parlor.errors import StoreUnavailable
from parlor.model.release import COMPATIBILITY
from parlor.store import sqlite_statements as sql
from parlor.store.addresses import SqliteAddress
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
from parlor.store.procedure_store import check_meta
from parlor.store.shard_map import MAP, ShardMap, missing_homes
from parlor.store.sql_files import Role, check_unchanged, read_migrations
from parlor.store.sqlite import open_connection

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that migrates the same file."""

_BOOK = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, statements_done INTEGER NOT NULL,
  started_at INTEGER NOT NULL, finished_at INTEGER
) STRICT
"""


def migrate_sqlite(
    address: SqliteAddress, role: GlobalRole | ShardRole, on_step: Callable[[str], None], clock: Clock
) -> Migrated:
    """Brings the file up to date, in the calling thread. Raises ``StoreUnavailable`` and ``SchemaMismatch``."""
    try:
        address.path.parent.mkdir(parents=True, exist_ok=True)
        connection = open_connection(address, busy_timeout=LOCK_TIMEOUT, create=True)
        try:
            _switch_to_wal(connection, clock)
            connection.execute("BEGIN EXCLUSIVE")
            try:
                applied = _migrate(connection, role.name, on_step, clock)
                if isinstance(role, ShardRole):
                    _join(connection, role)
                    done = Migrated(applied, role.belonging.installation)
                else:
                    is_new = _fill_shard_map(connection, role.homes)
                    own = _belong(connection, Belonging(role.proposal.choose(is_new=is_new), GLOBAL))
                    is_empty = not connection.execute(ANY_ACCOUNT).fetchall()
                    done = Migrated(applied, own.installation, is_empty)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return done
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(debug=f"{address.label}: {error}") from error


def _switch_to_wal(connection: sqlite3.Connection, clock: Clock) -> None:
    """The file remembers it. Two processes that switch at once get SQLITE_BUSY without waiting: try again."""
    deadline = clock.monotonic() + LOCK_TIMEOUT
    pause = threading.Event()
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or clock.monotonic() > deadline:
                raise
            pause.wait(0.05)
        else:
            return


def _migrate(connection: sqlite3.Connection, role: Role, on_step: Callable[[str], None], clock: Clock) -> list[str]:
    connection.execute(_BOOK)
    applied = []
    for file in read_migrations("sqlite", role):
        version = int(file.name[:4])
        found = connection.execute("SELECT checksum FROM schema_migrations WHERE version = ?", (version,)).fetchone()
        if found:
            check_unchanged(file, str(found[0]))
            continue
        on_step(file.name)
        started = clock.now_ms()
        for statement in file.statements:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_migrations VALUES (?, ?, ?, ?, ?, ?)",
            (version, file.name, file.checksum, len(file.statements), started, clock.now_ms()),
        )
        applied.append(file.name)
    return applied


def _fill_shard_map(connection: sqlite3.Connection, wanted: ShardMap) -> bool:
    """Whether the database is new."""
    is_new = not connection.execute(sql.META).fetchall()
    connection.execute(
        "INSERT INTO meta (id, partitions, schema_compat) VALUES (1, ?, ?) ON CONFLICT (id) DO NOTHING",
        (wanted.partitions, COMPATIBILITY),
    )
    check_meta(connection.execute(sql.META).fetchall(), wanted.partitions)
    connection.execute(sql.RAISE_COMPATIBILITY, (COMPATIBILITY, COMPATIBILITY))
    missing = missing_homes(wanted, connection.execute(MAP).fetchall())
    connection.executemany("INSERT INTO shard_map (partition_id, shard_id) VALUES (?, ?)", missing)
    return is_new


def _join(connection: sqlite3.Connection, role: ShardRole) -> None:
    """Makes a shard without an installation one of this installation's."""
    if role.must_be_unused:
        require_unused(connection.execute(ANY_ROOM).fetchall(), role.belonging.shard)
    require_own(connection.execute(READ_INSTALLATION).fetchall(), role.belonging)
    _belong(connection, role.belonging)


def _belong(connection: sqlite3.Connection, proposed: Belonging) -> Belonging:
    """Writes the row unless there is one; returns the one that holds."""
    connection.execute(
        "INSERT INTO installation (id, installation_id, shard_id) VALUES (1, ?, ?) ON CONFLICT (id) DO NOTHING",
        (proposed.installation, proposed.shard),
    )
    return belonging(connection.execute(READ_INSTALLATION).fetchall()) or proposed

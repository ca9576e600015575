"""Creating the databases and bringing them up to date, and opening the store.

The runner is our own: it works on many shards at once, knows procedures, and several processes may start it together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from parlor.clock import Clock, SystemClock
from parlor.settings import StoreSettings
from parlor.store.addresses import Address, MySqlAddress, store_addresses
from parlor.store.mysql import MySqlStore
from parlor.store.mysql_migrations import migrate_mysql
from parlor.store.ports import ChatStore
from parlor.store.shard_map import ShardMap
from parlor.store.sql_files import Role
from parlor.store.sqlite import SqliteStore
from parlor.store.sqlite_migrations import migrate_sqlite


class DatabaseReport(msgspec.Struct, frozen=True):
    """What was done to one database."""

    database: str
    """``global`` or ``shard 1``, ``shard 2``, ..."""
    applied: list[str]
    """Names of migrations and procedures; empty when it was up to date."""


class MigrationReport(msgspec.Struct, frozen=True):
    """What was done to all of them, the global one first."""

    databases: list[DatabaseReport]

    @property
    def changed(self) -> bool:
        return any(database.applied for database in self.databases)


def _silent(_: str) -> None:
    pass


async def migrate(
    settings: StoreSettings, on_step: Callable[[str], None] = _silent, *, clock: Clock | None = None
) -> MigrationReport:
    """Creates what is missing in all databases, at the same time; harmless when repeated.

    ``on_step`` gets a line for each step, maybe from another thread. Raises ``StoreUnavailable``, ``SchemaMismatch`` (a
    migration that was applied has changed, or the partitions differ), ``InvalidRequest`` (a URL is wrong).
    """
    addresses = store_addresses(settings)
    wanted = ShardMap(settings.partitions, len(addresses.shards))
    now = clock or SystemClock()

    async def one(label: str, address: Address, role: Role) -> DatabaseReport:
        def step(line: str) -> None:
            on_step(f"{label}: {line}")

        homes = wanted if role == "global" else None
        if isinstance(address, MySqlAddress):
            return DatabaseReport(label, await migrate_mysql(address, role, homes, step, now))
        return DatabaseReport(label, await asyncio.to_thread(migrate_sqlite, address, role, homes, step, now))

    # The global database goes first: when it refuses the settings, no shard is touched.
    first = await one("global", addresses.global_, "global")
    # All of them end before the first failure is raised, so that no migration goes on behind the caller's back.
    others = await asyncio.gather(
        *(one(f"shard {shard}", address, "shard") for shard, address in addresses.shards.items()),
        return_exceptions=True,
    )
    for other in others:
        if isinstance(other, BaseException):
            raise other
    return MigrationReport([first, *(other for other in others if isinstance(other, DatabaseReport))])


async def open_store(settings: StoreSettings) -> ChatStore:
    """The store that the URLs name. It connects when it is first used, so a database that is down does not stop it.

    Raises ``InvalidRequest``. That the databases fit is checked when the partition map is first read
    (``SchemaMismatch``).
    """
    addresses = store_addresses(settings)
    if isinstance(addresses.global_, MySqlAddress):
        return MySqlStore(settings, addresses)
    return SqliteStore(settings, addresses)

"""Creating the databases and bringing them up to date, and opening the store.

The runner is our own: it works on many shards at once, knows procedures, and several processes may start it together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from parlor.clock import Clock, Entropy, SystemClock, SystemEntropy
from parlor.model.ids import IdMint, InstallationId
from parlor.settings import StoreSettings
from parlor.store.addresses import Address, MySqlAddress, StoreAddresses, store_addresses
from parlor.store.installation import Belonging, GlobalRole, Migrated, Proposal, ShardRole
from parlor.store.mysql import MySqlStore
from parlor.store.mysql_migrations import migrate_mysql
from parlor.store.ports import ChatStore
from parlor.store.shard_map import ShardMap
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
    installation: InstallationId
    """The id that they have."""

    @property
    def changed(self) -> bool:
        return any(database.applied for database in self.databases)


def _silent(_: str) -> None:
    pass


async def migrate(
    settings: StoreSettings,
    on_step: Callable[[str], None] = _silent,
    *,
    known: InstallationId | None = None,
    new: InstallationId | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> MigrationReport:
    """Creates what is missing in all databases, at the same time; harmless when repeated.

    ``on_step`` gets a line for each step, maybe from another thread. ``known`` is the id that somebody remembers, for
    databases from before there were ids; ``new`` is the id of databases that are made now. Raises ``StoreUnavailable``,
    ``SchemaMismatch`` (a migration that was applied has changed, the partitions differ, or a shard is not this
    installation's), ``InvalidRequest`` (a URL is wrong).
    """
    addresses = store_addresses(settings)
    wanted = ShardMap(settings.partitions, len(addresses.shards))
    now = clock or SystemClock()
    proposal = Proposal(new or IdMint(now, entropy or SystemEntropy()).installation_id(), known)

    async def one(label: str, address: Address, role: GlobalRole | ShardRole) -> Migrated:
        def step(line: str) -> None:
            on_step(f"{label}: {line}")

        if isinstance(address, MySqlAddress):
            return await migrate_mysql(_owner(settings, address), role, step, now, program=_program(settings, address))
        return await asyncio.to_thread(migrate_sqlite, address, role, step, now)

    # The global database goes first: when it refuses the settings, no shard is touched.
    first = await one("global", addresses.global_, GlobalRole(wanted, proposal))
    # All of them end before the first failure is raised, so that no migration goes on behind the caller's back.
    others = await asyncio.gather(
        *(
            one(f"shard {shard}", address, ShardRole(Belonging(first.installation, shard), first.is_empty))
            for shard, address in addresses.shards.items()
        ),
        return_exceptions=True,
    )
    reports = [DatabaseReport("global", first.applied)]
    for shard, other in zip(addresses.shards, others, strict=True):
        if isinstance(other, BaseException):
            raise other
        reports.append(DatabaseReport(f"shard {shard}", other.applied))
    return MigrationReport(reports, first.installation)


def owner_addresses(settings: StoreSettings) -> StoreAddresses:
    """The databases with the user that migrates: it may read and write tables. Raises ``InvalidRequest``."""
    addresses = store_addresses(settings)

    def owner(address: Address) -> Address:
        return _owner(settings, address) if isinstance(address, MySqlAddress) else address

    shards = {shard: owner(address) for shard, address in addresses.shards.items()}
    return StoreAddresses(shards, owner(addresses.global_))


def _owner(settings: StoreSettings, address: MySqlAddress) -> MySqlAddress:
    """The address with the user that migrates."""
    if not settings.migration_user:
        return address
    password = settings.migration_password.get_secret_value()
    return msgspec.structs.replace(address, user=settings.migration_user, password=password)


def _program(settings: StoreSettings, address: MySqlAddress) -> MySqlAddress | None:
    """The address with the user that only calls procedures; None when it migrates too."""
    return address if settings.migration_user not in ("", address.user) else None


async def open_store(settings: StoreSettings) -> ChatStore:
    """The store that the URLs name. It connects when it is first used, so a database that is down does not stop it.

    Raises ``InvalidRequest``. That the databases fit is checked when the partition map is first read
    (``SchemaMismatch``).
    """
    addresses = store_addresses(settings)
    if isinstance(addresses.global_, MySqlAddress):
        return MySqlStore(settings, addresses)
    return SqliteStore(settings, addresses)

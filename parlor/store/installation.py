"""Which installation a database belongs to: the one row of its table ``installation``, written by the first migration.

The global database decides the id; each shard has the same one, with the number under which it was first configured. So
a shard of another installation is refused, and so are URLs in another order.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from parlor.errors import ForeignStore, StoreUnavailable
from parlor.model.ids import InstallationId, ShardId
from parlor.store.ports import SchemaMismatch
from parlor.store.rows import Row
from parlor.store.shard_map import ShardMap
from parlor.store.sql_files import Role

ANY_ACCOUNT = "SELECT account_db_key FROM accounts LIMIT 1"
ANY_ROOM = "SELECT partition_id FROM rooms LIMIT 1"
READ_INSTALLATION = "SELECT installation_id, shard_id FROM installation WHERE id = 1"
GLOBAL = ShardId(0)
"""What stands in the global database in place of a shard's number."""


class Belonging(msgspec.Struct, frozen=True):
    """The row."""

    installation: InstallationId
    shard: ShardId


class Migrated(msgspec.Struct, frozen=True):
    """What was done to one database."""

    applied: list[str]
    """Names of migrations and procedures."""
    installation: InstallationId
    is_empty: bool = False
    """Of the global one: it has no account."""


class Proposal(msgspec.Struct, frozen=True):
    """The ids for global databases without one."""

    new: InstallationId
    """For a database that is made now."""
    known: InstallationId | None = None
    """For one that is older than ids, or was restored from a backup of that time: the data directory's. None: it gets
    the new one too."""

    def choose(self, *, is_new: bool) -> InstallationId:
        return self.new if is_new else self.known or self.new


class GlobalRole(msgspec.Struct, frozen=True):
    """What the global database has to hold."""

    homes: ShardMap
    proposal: Proposal
    name: ClassVar[Role] = "global"


class ShardRole(msgspec.Struct, frozen=True):
    """What a shard has to hold."""

    belonging: Belonging
    must_be_unused: bool
    """The global database has no account."""
    name: ClassVar[Role] = "shard"


def belonging(found: list[Row]) -> Belonging | None:
    """What the row says; None when there is none."""
    if not found:
        return None
    installation, shard = found[0]
    return Belonging(InstallationId(str(installation)), ShardId(int(str(shard))))


def require_own(found: list[Row], wanted: Belonging) -> None:
    """Raises ``SchemaMismatch`` when the database is another installation's, or another one of its shards."""
    stored = belonging(found)
    if stored is not None and stored.installation != wanted.installation:
        raise SchemaMismatch(
            f"Shard {wanted.shard} belongs to installation {stored.installation}, the global database to "
            f"{wanted.installation}: one of the URLs is wrong"
        )
    if stored is not None and stored.shard != wanted.shard:
        raise SchemaMismatch(
            f"The database of shard {wanted.shard} is that of shard {stored.shard}: the URLs are in another order"
        )


def require_unused(rooms: list[Row], shard: ShardId) -> None:
    """Raises ``SchemaMismatch`` for a shard with rooms beside a global database without accounts: it is not the one
    that these rooms had, and would give the numbers of their accounts to others."""
    if rooms:
        raise SchemaMismatch(
            f"Shard {shard} has rooms, and the global database has no accounts: it was lost, restore it"
        )


def check_shard(found: list[Row], wanted: Belonging) -> None:
    """The same while Parlor runs. Raises ``ForeignStore``, ``StoreUnavailable``."""
    try:
        require_own(found, wanted)
    except SchemaMismatch as error:
        raise ForeignStore(f"Shard {wanted.shard} is another database", debug=error.detail) from error
    if not found:
        raise StoreUnavailable(debug=f"shard {wanted.shard} has no installation: run `parlor migrate`")

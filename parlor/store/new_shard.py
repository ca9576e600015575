"""Whether a database may become an installation's next shard: it holds nothing, or it was begun as that shard."""

from __future__ import annotations

import re

from parlor.errors import StoreUnavailable
from parlor.store.addresses import Address, SqliteAddress
from parlor.store.installation import READ_INSTALLATION, Belonging, belonging
from parlor.store.ports import SchemaMismatch
from parlor.store.sessions import Session, open_session

_MISSING = re.compile(r"\(1049\b")
"""MySQL's number for a database that does not exist: the migration makes it."""
_TABLES = {
    "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
}


async def require_new(address: Address, wanted: Belonging) -> None:
    """Raises ``SchemaMismatch`` for a database that holds something, ``StoreUnavailable`` for one that does not
    answer."""
    if isinstance(address, SqliteAddress) and not address.path.exists():
        return
    try:
        async with open_session(address) as session:
            await _require_new(session, address.label, wanted)
    except StoreUnavailable as error:
        if not _MISSING.search(error.debug):
            raise


async def _require_new(session: Session, label: str, wanted: Belonging) -> None:
    tables = {str(name) for (name,) in await session.rows(_TABLES[session.kind])}
    # One whose migration was stopped has its book, and is nobody's yet.
    if "installation" in tables:
        found = belonging(await session.rows(READ_INSTALLATION))
        if found == wanted:
            return
        if found is not None:
            whose = "of this installation" if found.installation == wanted.installation else "of another installation"
            what = f"shard {found.shard}" if found.shard else "the global database"
            raise SchemaMismatch(f"{label} is {what} {whose}")
    if tables and "schema_migrations" not in tables:
        raise SchemaMismatch(f"{label} is not empty: it has {len(tables)} tables, {min(tables)} among them")

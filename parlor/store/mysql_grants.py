"""Rights of a user that calls stored procedures and may do nothing else.

The procedures then run with the rights of the user that made them (``SQL SECURITY DEFINER``): a program that is taken
over can do what they do, and cannot read, change or drop a table in another way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from parlor.store.addresses import MySqlAddress
from parlor.store.mysql_pool import CONNECT_TIMEOUT, open_connection
from parlor.store.rows import Row
from parlor.store.sql_files import Role

READABLE: dict[Role, tuple[str, ...]] = {
    "global": ("installation", "meta", "shard_map"),
    "shard": ("installation", "partition_homes"),
}
"""Tables that are read without a procedure: the installation's id, and where partitions live."""

_INVOKERS = """
SELECT routine_name FROM information_schema.routines
 WHERE routine_schema = DATABASE() AND routine_type = 'PROCEDURE' AND security_type = 'INVOKER'
   AND routine_name LIKE 'fp\\_%'
"""


class User(msgspec.Struct, frozen=True):
    """An account of the server."""

    name: str
    host: str

    @property
    def quoted(self) -> str:
        return "@".join("'" + part.replace("\\", "\\\\").replace("'", "''") + "'" for part in (self.name, self.host))


async def user_of(address: MySqlAddress) -> User:
    """Whom the server takes this address's user for. Raises asyncmy's errors, ``OSError`` or ``TimeoutError``."""
    connection = await open_connection(address, connect_timeout=CONNECT_TIMEOUT, database=False)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT CURRENT_USER()")
            ((found,),) = await cursor.fetchall()
    finally:
        connection.close()
    name, _, host = str(found).rpartition("@")
    return User(name, host)


async def grant_calls(run: Callable[[str], Awaitable[list[Row]]], database: str, user: User, role: Role) -> None:
    """Lets the user call every procedure of the database. Harmless when repeated; raises asyncmy's errors."""
    for (name,) in await run(_INVOKERS):
        await run(f"ALTER PROCEDURE `{name}` SQL SECURITY DEFINER")
    # In a grant on a whole database, its name is a pattern.
    pattern = database.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")
    await run(f"GRANT EXECUTE ON `{pattern}`.* TO {user.quoted}")
    for table in READABLE[role]:
        await run(f"GRANT SELECT ON `{database}`.`{table}` TO {user.quoted}")

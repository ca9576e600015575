"""Calls on MySQL for a partition that may be moving: checked where the call runs, on its connection."""

from __future__ import annotations

import hashlib

import msgspec
from asyncmy.connection import Connection

from parlor.errors import PartitionMoves
from parlor.model.ids import Partition
from parlor.store.homes import READ_HOME, Gate, writes
from parlor.store.rows import Args, Row

LOCK_WAIT = 2
"""Seconds that a write waits for another one of its partition, or for the moment in which the partition is fenced."""


def lock_name(database: str, partition: Partition) -> str:
    """Names the lock that whoever writes past the writers has meanwhile, and whoever fences the partition."""
    return f"parlor.home.{hashlib.sha256(database.encode()).hexdigest()[:32]}.{partition}"


async def run(connection: Connection, statement: str, args: Args) -> list[Row]:
    """Runs a statement; returns the first result set."""
    async with connection.cursor() as cursor:
        # Not callproc, which takes two round trips; and without arguments nothing is interpolated.
        await cursor.execute(statement, args or None)
        found: list[Row] = list(await cursor.fetchall())
        # A CALL ends with a result set of its own: the next call would read it as its answer.
        while await cursor.nextset():
            pass
        return found


class GatedCall(msgspec.Struct, frozen=True):
    """A call of a procedure for a partition. ``database`` names the locks, which are the server's."""

    gate: Gate
    procedure: str
    database: str

    async def run(self, connection: Connection, statement: str, args: Args) -> list[Row]:
        """Raises ``PartitionElsewhere``, ``PartitionMoves``; the connection is not to be used again then, and its end
        lets the lock go."""
        if not writes(self.procedure):
            found = await run(connection, statement, args)
            # Afterwards: a partition that is still here was here when it was read.
            await self._check(connection)
            return found
        name = lock_name(self.database, self.gate.partition)
        ((got,),) = await run(connection, "SELECT GET_LOCK(%s, %s)", (name, LOCK_WAIT))
        if got != 1:
            raise PartitionMoves(debug=f"{name} is held", retry_after=1.0)
        await self._check(connection)
        found = await run(connection, statement, args)
        await run(connection, "SELECT RELEASE_LOCK(%s)", (name,))
        return found

    async def _check(self, connection: Connection) -> None:
        self.gate.check(self.procedure, await run(connection, READ_HOME.format("%s"), (self.gate.partition,)))

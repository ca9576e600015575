"""The store on MySQL >= 8.0 or MariaDB >= 10.6."""

from __future__ import annotations

import asyncio

from asyncmy.connection import Connection
from asyncmy.errors import MySQLError

from parlor.clock import Clock, Entropy, SystemClock, SystemEntropy
from parlor.errors import StoreUnavailable
from parlor.model.ids import ShardId
from parlor.settings import StoreSettings
from parlor.store.addresses import MySqlAddress, StoreAddresses
from parlor.store.homes import Gate
from parlor.store.installation import READ_INSTALLATION
from parlor.store.mysql_errors import LOST, REPEAT, RETRY_AFTER, number_of, translate
from parlor.store.mysql_gate import GatedCall, run
from parlor.store.mysql_pool import MySqlPool
from parlor.store.ports import RowRefused
from parlor.store.procedure_store import Database, ProcedureStore
from parlor.store.rows import Args, Row
from parlor.store.sql_files import base_name

ATTEMPTS = 5
"""Runs of one call that meets deadlocks or lock waits; each took its locks in the same order, so few meet any."""
PAUSE = 0.02
"""Seconds before the second run at most; doubled for each further one."""

LONG = 1000
"""Characters from which on a text is sent as hexadecimal digits."""
SMALLEST_PACKET_LIMIT = 2**20
"""Bytes that any server takes in one packet; the real limit is asked for when a statement is longer."""


BATCH = "fp_writer_apply"
"""The one call that nobody waits for at a front door: it has more time."""


class MySqlDatabase:
    """One database: procedures by ``CALL``, each in one round trip."""

    def __init__(self, address: MySqlAddress, settings: StoreSettings, *, clock: Clock, entropy: Entropy) -> None:
        self._name = address.label
        self._locks = address.database
        self._batch_timeout = settings.query_timeout.total_seconds()
        self._answer_timeout = min(settings.read_timeout, settings.query_timeout).total_seconds()
        self._clock = clock
        self._entropy = entropy
        self._packet_limit: int | None = None
        self._pool = MySqlPool(
            address,
            size=settings.pool_size,
            acquire_timeout=settings.acquire_timeout.total_seconds(),
            clock=clock,
        )

    async def call(self, name: str, args: Args, gate: Gate | None = None) -> list[Row]:
        # A long text goes as a hexadecimal literal: asyncmy escapes at 35 MB/s (measured: 12 ms for a batch of 500,
        # against 2 ms), and hexadecimal digits cannot break out of a statement.
        marks = [_literal(arg) if isinstance(arg, str) and len(arg) > LONG else "%s" for arg in args]
        short = tuple(arg for arg, mark in zip(args, marks, strict=True) if mark == "%s")
        timeout = self._batch_timeout if base_name(name) == BATCH else self._answer_timeout
        statement = f"CALL {name}({', '.join(marks)})"
        return await self._run(statement, short, timeout, None if gate is None else GatedCall(gate, name, self._locks))

    async def read_shard_map(self) -> tuple[list[Row], list[Row]]:
        meta = await self._run("SELECT partitions, schema_compat FROM meta", ())
        homes = await self._run("SELECT partition_id, shard_id, generation FROM shard_map ORDER BY partition_id", ())
        return meta, homes

    async def read_installation(self) -> list[Row]:
        return await self._run(READ_INSTALLATION, ())

    async def ping(self) -> None:
        await self._run("SELECT 1", ())

    async def close(self) -> None:
        await self._pool.close()

    async def _run(
        self, statement: str, args: Args, timeout: float | None = None, gated: GatedCall | None = None
    ) -> list[Row]:
        """All of one call, repeats and connecting included, within the time limit."""
        lost = False
        try:
            async with asyncio.timeout(timeout or self._answer_timeout):
                for attempt in range(1, ATTEMPTS):
                    try:
                        return await self._attempt(statement, args, gated)
                    except MySQLError as error:
                        if number_of(error) in LOST and not lost:
                            # A kept connection that died unnoticed. It may have happened all the same: procedures are
                            # safe to repeat, and a batch that was committed is refused by its fences.
                            lost = True
                            self._pool.drop_idle()
                            continue
                        if number_of(error) not in REPEAT:
                            raise
                    await self._clock.sleep(PAUSE * 2**attempt * self._entropy.bits(16) / 2**17)
                return await self._attempt(statement, args, gated)
        except TimeoutError as error:
            raise StoreUnavailable(debug=f"{self._name}: timed out", retry_after=RETRY_AFTER) from error
        except (MySQLError, OSError, UnicodeError) as error:
            raise translate(error, self._name) from error

    async def _attempt(self, statement: str, args: Args, gated: GatedCall | None) -> list[Row]:
        async with self._pool.connection() as connection:
            await self._check_size(connection, statement)
            if gated is None:
                return await run(connection, statement, args)
            return await gated.run(connection, statement, args)

    async def _check_size(self, connection: Connection, statement: str) -> None:
        """The server drops a connection over a packet that is too big: refuse it here, so that the batch is split."""
        if len(statement) < SMALLEST_PACKET_LIMIT:
            return
        if self._packet_limit is None:
            async with connection.cursor() as cursor:
                await cursor.execute("SELECT @@max_allowed_packet")
                (self._packet_limit,) = await cursor.fetchone()
        if len(statement) + 1024 > self._packet_limit:
            raise RowRefused(
                "The batch is larger than the database takes",
                debug=f"{self._name}: {len(statement)} bytes, max_allowed_packet {self._packet_limit}",
            )


def _literal(text: str) -> str:
    try:
        return f"_utf8mb4 0x{text.encode().hex()}"
    except UnicodeError as error:
        raise RowRefused(debug=str(error)) from error


class MySqlStore(ProcedureStore):
    """``ChatStore`` on MySQL. It connects when it is first used; a shard that is down does not hold up the others."""

    def __init__(
        self,
        settings: StoreSettings,
        addresses: StoreAddresses,
        *,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        def database(address: object) -> Database:
            if not isinstance(address, MySqlAddress):
                raise TypeError("MySqlStore needs MySQL addresses")
            return MySqlDatabase(address, settings, clock=clock or SystemClock(), entropy=entropy or SystemEntropy())

        super().__init__(
            {shard: database(address) for shard, address in addresses.shards.items()},
            database(addresses.global_),
            partitions=settings.partitions,
            default_shard=ShardId(settings.default_shard),
        )

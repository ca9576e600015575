"""What is done to databases that go on running: scripts forgotten, connections killed, locks held, deadlocks made."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from asyncmy.errors import MySQLError
from redis.asyncio import Redis

from parlor.cache.keys import Keys
from parlor.model.ids import Partition
from parlor.store.addresses import MySqlAddress, SqliteAddress
from parlor_cli.servers import mariadb, redis
from parlor_cli.servers.process import Server
from tests.chaos.checker import Foreign
from tests.chaos.system.faults import Blow
from tests.installation import Installation
from tests.mysql import connect_mysql

STORM_SECONDS = 5.0
STORM_PAUSE = 0.05
LOCKED_SECONDS = 8.0
STRANGER = "00000000-0000-4000-8000-00000000000b"
BALLAST = "INSERT INTO parlor_chaos.ballast SELECT seq FROM seq_1_to_5000"
"""Rows that the suite's transaction has changed: InnoDB rolls back the one that has changed fewer."""


class FlushScripts(Blow):
    """SCRIPT FLUSH again and again: every script has to be sent anew."""

    name, within = "flush-scripts", 5.0

    async def apply(self) -> None:
        url = Installation(self.target.kind, self.target.data_dir).redis_admin_url
        client: Redis = Redis.from_url(url, protocol=2)
        try:
            until = time.monotonic() + STORM_SECONDS
            while time.monotonic() < until:
                await client.script_flush()
                await asyncio.sleep(STORM_PAUSE)
        finally:
            await client.aclose()
        self.back_at = time.monotonic()


class ForeignRedis(Blow):
    """The address leads to the Redis of another installation for a while. Every other time the connections that there
    are break by it, as in a failover; else only new ones get there, as behind a changed name."""

    name = "foreign-redis"

    async def aim(self) -> None:
        binary, _ = redis.embedded_binary() if self.target.kind == "embedded" else redis.installed_binary()
        self._directory = Path(tempfile.mkdtemp(prefix="plf", dir="/tmp"))
        socket, log = self._directory / "redis.sock", self._directory / "redis.log"
        # In the main thread, which it ends with.
        # It lets the same users in.
        users = self.target.data_dir / "redis-users.acl"
        plan = redis.plan(
            binary,
            directory=self._directory / "d",
            socket_path=socket,
            log=log,
            users_file=users,
            password=self.target.redis_password(redis.USER),
        )
        self._server = Server.start(plan)
        self._theirs: Redis = Redis.from_url(self._url(socket), protocol=2)
        settings = Installation(self.target.kind, self.target.data_dir).settings
        keys = Keys(settings.redis.prefix)
        for partition in map(Partition, range(settings.store.partitions)):
            known = {"installation": STRANGER, "incarnation": "9", "next": "3", "applied": "9-2"}
            for field, value in known.items():
                await self._theirs.hset(keys.partition(partition), field, value)
            await self._theirs.xadd(keys.queue(partition), {"op": "CHAT_ROOM_DELETE"}, id="9-3")
        self._before = await _keyspace(self._theirs)

    async def apply(self) -> None:
        self._address = self.target.runtime_dir / "redis.sock"
        self._aside = self._address.with_name("redis.aside")
        self._address.rename(self._aside)
        (self._directory / "redis.sock").rename(self._address)
        breaks = self.chance.random() < 0.5
        self.notes = "connections were broken" if breaks else "connections lived on"
        if breaks:
            ours: Redis = Redis.from_url(self._url(self._aside), protocol=2)
            for kind in ("normal", "pubsub"):
                await ours.client_kill_filter(_type=kind, skipme=True)
            await ours.aclose()

    def _url(self, socket: Path) -> str:
        """As an administrator."""
        return redis.socket_url(socket, redis.ADMIN, self.target.redis_password(redis.ADMIN))

    async def heal(self) -> None:
        try:
            await asyncio.sleep(self.chance.uniform(*self.stopped))
        finally:
            self._aside.rename(self._address)
            self.back_at = time.monotonic()
            self.foreign = Foreign(self._before, await _keyspace(self._theirs))
            await self._theirs.aclose()
            self._server.stop()
            shutil.rmtree(self._directory)


class MySqlBlow(Blow):
    kinds = ("private",)

    def addresses(self) -> list[MySqlAddress]:
        found = Installation(self.target.kind, self.target.data_dir).shards
        return [address for address in found if isinstance(address, MySqlAddress)]

    async def is_healed(self) -> bool:
        return mariadb.answers(self.target.runtime_dir / "mariadb.sock")


class KillConnections(MySqlBlow):
    """KILL of every connection that is not the suite's own, for some seconds."""

    name, within = "kill-connections", 5.0

    async def apply(self) -> None:
        killed = 0
        link = await connect_mysql(self.addresses()[0])
        try:
            until = time.monotonic() + STORM_SECONDS
            while time.monotonic() < until:
                for number in await _column(link, "SELECT id FROM information_schema.processlist WHERE db IS NOT NULL"):
                    if number != link.thread_id():
                        killed += await _kill(link, number)
                await asyncio.sleep(STORM_PAUSE)
        finally:
            self.notes = f"{killed} connections killed"
            await link.ensure_closed()
        self.back_at = time.monotonic()


class HoldLocks(MySqlBlow):
    """Every partition's row of every shard is locked: each batch waits, or times out."""

    name, within = "hold-locks", 5.0

    async def apply(self) -> None:
        self._links = [await connect_mysql(address) for address in self.addresses()]
        for link in self._links:
            await _run(link, "BEGIN")
            await _run(link, "SELECT partition_id FROM partition_progress FOR UPDATE")

    async def heal(self) -> None:
        try:
            await asyncio.sleep(LOCKED_SECONDS)
        finally:
            for link in self._links:
                await link.ensure_closed()
        self.back_at = time.monotonic()


class MakeDeadlocks(MySqlBlow):
    """A heavy transaction takes the rooms' rows and then the partitions', a batch the other way round: the batch is
    the lighter one, so it is rolled back (error 1213)."""

    name, within = "make-deadlocks", 5.0

    async def apply(self) -> None:
        link = await connect_mysql(self.addresses()[0])
        try:
            before = await _deadlocks(link)
            await _run(link, "CREATE DATABASE IF NOT EXISTS parlor_chaos")
            await _run(link, "CREATE TABLE IF NOT EXISTS parlor_chaos.ballast (n BIGINT PRIMARY KEY) ENGINE = InnoDB")
            until = time.monotonic() + STORM_SECONDS
            while time.monotonic() < until:
                await self._collide(link)
            self.notes = f"{await _deadlocks(link) - before} deadlocks"
        finally:
            await link.ensure_closed()
        self.back_at = time.monotonic()

    async def _collide(self, link: Any) -> None:
        await _run(link, "BEGIN")
        await _run(link, BALLAST)
        await _run(link, "SELECT room_id FROM rooms FOR UPDATE")
        try:
            # Time for a batch to take its fences and to wait for the rooms.
            await asyncio.sleep(1.0)
            await _run(link, "SELECT partition_id FROM partition_progress FOR UPDATE")
        except MySQLError as error:
            if error.args[0] not in (1205, 1213):
                raise
        await _run(link, "ROLLBACK")


class LockSqlite(Blow):
    """Another program holds the write lock of every SQLite shard."""

    name, kinds, within = "lock-sqlite", ("embedded",), 5.0

    async def apply(self) -> None:
        found = Installation(self.target.kind, self.target.data_dir).shards
        paths = [address.path for address in found if isinstance(address, SqliteAddress)]
        self._links = [
            sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False) for path in paths
        ]
        for link in self._links:
            await asyncio.to_thread(link.execute, "BEGIN IMMEDIATE")

    async def heal(self) -> None:
        try:
            await asyncio.sleep(LOCKED_SECONDS)
        finally:
            for link in self._links:
                link.close()
        self.back_at = time.monotonic()


async def _run(link: Any, sql: str) -> list[tuple[Any, ...]]:
    async with link.cursor() as cursor:
        await cursor.execute(sql)
        return list(await cursor.fetchall())


async def _column(link: Any, sql: str) -> list[int]:
    return [int(row[0]) for row in await _run(link, sql)]


async def _kill(link: Any, number: int) -> int:
    try:
        await _run(link, f"KILL CONNECTION {number}")
    except MySQLError as error:
        if error.args[0] != 1094:  # it has gone by itself
            raise
        return 0
    return 1


async def _deadlocks(link: Any) -> int:
    return int((await _run(link, "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'"))[0][1])


async def _keyspace(client: Redis) -> dict[str, str]:
    """Every key, and what it has."""
    return {key.decode(): repr(await client.dump(key)) for key in sorted([key async for key in client.scan_iter()])}

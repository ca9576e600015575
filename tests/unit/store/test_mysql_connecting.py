"""Connecting to MySQL has an end, also when a server accepts and says nothing."""

from __future__ import annotations

import asyncio

import pytest

from parlor.clock import SystemClock
from parlor.errors import StoreUnavailable
from parlor.model.ids import InstallationId
from parlor.store import mysql_migrations
from parlor.store.addresses import MySqlAddress, parse_address
from parlor.store.installation import GlobalRole, Proposal
from parlor.store.mysql_migrations import migrate_mysql
from parlor.store.mysql_pool import open_connection
from parlor.store.shard_map import ShardMap

pytestmark = pytest.mark.unit
SHORT = 0.05


class SilentServer:
    """Accepts, and waits."""

    async def __aenter__(self) -> MySqlAddress:
        self._over = asyncio.Event()
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        address = parse_address(f"mysql://ada:secret@127.0.0.1:{port}/chats")
        assert isinstance(address, MySqlAddress)
        return address

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._over.wait()
        writer.close()
        await writer.wait_closed()

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        self._server.close()
        await self._server.wait_closed()


@pytest.mark.parametrize("database", [True, False])
async def test_a_silent_server_is_given_up(database: bool) -> None:
    async with SilentServer() as address:
        with pytest.raises(TimeoutError):
            await open_connection(address, connect_timeout=SHORT, database=database)


async def test_a_migration_names_the_database_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_migrations, "CONNECT_TIMEOUT", SHORT)
    async with SilentServer() as address:
        role = GlobalRole(ShardMap(1, 1), Proposal(InstallationId("new")))
        with pytest.raises(StoreUnavailable) as refused:
            await migrate_mysql(address, role, lambda _: None, SystemClock())
    assert refused.value.debug == f"{address.label}: timed out"

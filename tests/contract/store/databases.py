"""The databases themselves, behind the store's back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from parlor.settings import StoreSettings
from parlor.store.addresses import MySqlAddress, store_addresses
from parlor.store.mysql_pool import open_connection
from parlor.store.sqlite import open_connection as open_sqlite

NewSettings: TypeAlias = Callable[..., StoreSettings]


async def sql(settings: StoreSettings, shard: int | None, *statements: str) -> list[tuple[object, ...]]:
    """Runs statements on a database; returns the last one's rows."""
    addresses = store_addresses(settings)
    address = addresses.global_ if shard is None else list(addresses.shards.values())[shard - 1]
    rows: list[tuple[object, ...]] = []
    if isinstance(address, MySqlAddress):
        connection = await open_connection(address, connect_timeout=5)
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
                rows = list(await cursor.fetchall())
        await connection.ensure_closed()
        return rows
    file = open_sqlite(address, busy_timeout=5)
    for statement in statements:
        rows = file.execute(statement).fetchall()
    file.close()
    return rows


def is_sqlite(settings: StoreSettings) -> bool:
    return settings.urls[0].get_secret_value().startswith("sqlite")

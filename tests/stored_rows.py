"""Rows as they are stored, read past all of Parlor: from SQLite files or MariaDB databases."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any, TypeAlias
from urllib.parse import quote

from parlor.store.addresses import Address, MySqlAddress, SqliteAddress
from tests.mysql import connect_mysql

Rows: TypeAlias = list[tuple[Any, ...]]


async def select(address: Address, sql: str, *values: bytes | str) -> Rows:
    """``{}`` in the statement stands for the next of the values. Raises ``AssertionError`` when the database does not
    answer."""
    match address:
        case SqliteAddress():
            return await asyncio.to_thread(_select_sqlite, address, sql.replace("{}", "?"), values)
        case MySqlAddress():
            return await _select_mysql(address, sql.replace("{}", "%s"), values)


def _select_sqlite(address: SqliteAddress, sql: str, values: tuple[bytes | str, ...]) -> Rows:
    link = sqlite3.connect(f"file:{quote(str(address.path))}?mode=ro", uri=True, timeout=10)
    try:
        return link.execute(sql, values).fetchall()
    finally:
        link.close()


async def _select_mysql(address: MySqlAddress, sql: str, values: tuple[bytes | str, ...]) -> Rows:
    # A server that is away is an OperationalError: some tests wait for it to come back.
    link = await connect_mysql(address)
    try:
        async with link.cursor() as cursor:
            # Without values a % in the statement is left alone.
            await cursor.execute(sql, values or None)
            return list(await cursor.fetchall())
    finally:
        await link.ensure_closed()

"""The rows themselves, read past all of Parlor: SQLite files or MariaDB databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

import asyncmy
import msgspec

from parlor.store.addresses import Address, MySqlAddress, SqliteAddress


class StoredRoom(msgspec.Struct, frozen=True):
    shard: int
    account_id: str
    title: str
    ai_persona: str
    message_count: int
    last_seq: int
    deleted: bool


class StoredMessage(msgspec.Struct, frozen=True):
    seq: int
    message_id: str
    sender_type: str
    content: str
    finish_reason: str | None
    error_code: str | None
    version: int
    deleted: bool


class Shards:
    """All shards of an installation."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses

    async def room(self, room_id: str) -> StoredRoom | None:
        """None when no shard has it; it must not be in two."""
        sql = "SELECT account_id, title, ai_persona, message_count, last_seq, deleted_at FROM rooms WHERE room_id = {}"
        found = [
            StoredRoom(shard, row[0], row[1], row[2], row[3], row[4], row[5] is not None)
            for shard, address in enumerate(self._addresses, 1)
            for row in await _select(address, sql, UUID(room_id).bytes)
        ]
        assert len(found) <= 1
        return found[0] if found else None

    async def messages(self, room_id: str) -> list[StoredMessage]:
        """In the order of seq; those of a room must be in one shard."""
        sql = (
            "SELECT seq, message_id, sender_type, content, finish_reason, error_code, version, deleted_at "
            "FROM messages WHERE room_id = {} ORDER BY seq"
        )
        by_shard = [await _select(address, sql, UUID(room_id).bytes) for address in self._addresses]
        with_rows = [rows for rows in by_shard if rows]
        assert len(with_rows) <= 1
        return [_message(row) for rows in with_rows for row in rows]


def _message(row: tuple[Any, ...]) -> StoredMessage:
    seq, message_id, *rest, deleted_at = row
    sender_type, content, finish_reason, error_code, version = rest
    return StoredMessage(
        seq,
        str(UUID(bytes=bytes(message_id))),
        sender_type,
        content,
        finish_reason,
        error_code,
        version,
        deleted_at is not None,
    )


async def _select(address: Address, sql: str, key: bytes) -> list[tuple[Any, ...]]:
    match address:
        case SqliteAddress():
            connection = sqlite3.connect(f"file:{quote(str(address.path))}?mode=ro", uri=True, timeout=10)
            try:
                return connection.execute(sql.format("?"), (key,)).fetchall()
            finally:
                connection.close()
        case MySqlAddress():
            link = await asyncmy.connect(
                user=address.user,
                password=address.password,
                unix_socket=address.unix_socket,
                db=address.database,
                charset="utf8mb4",
                connect_timeout=5,
                autocommit=True,
            )
            try:
                async with link.cursor() as cursor:
                    await cursor.execute(sql.format("%s"), (key,))
                    return list(await cursor.fetchall())
            finally:
                await link.ensure_closed()

"""The rows themselves, read past all of Parlor: SQLite files or MariaDB databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from parlor.store.addresses import Address, MySqlAddress, SqliteAddress
from tests.mysql import connect_mysql
from tests.stored_rows import select


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


class StoredVersion(msgspec.Struct, frozen=True):
    """What a message said before."""

    seq: int
    version: int
    attempt: int
    content: str
    finish_reason: str | None


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
            for row in await select(address, sql, UUID(room_id).bytes)
        ]
        assert len(found) <= 1
        return found[0] if found else None

    async def messages(self, room_id: str) -> list[StoredMessage]:
        """In the order of seq; those of a room must be in one shard."""
        sql = (
            "SELECT seq, message_id, sender_type, content, finish_reason, error_code, version, deleted_at "
            "FROM messages WHERE room_id = {} ORDER BY seq"
        )
        by_shard = [await select(address, sql, UUID(room_id).bytes) for address in self._addresses]
        with_rows = [rows for rows in by_shard if rows]
        assert len(with_rows) <= 1
        return [_message(row) for rows in with_rows for row in rows]

    async def versions(self, room_id: str) -> list[StoredVersion]:
        """The versions of all messages of the room, in the order of seq and version."""
        sql = (
            "SELECT seq, version, attempt, content, finish_reason FROM message_versions "
            "WHERE room_id = {} ORDER BY seq, version"
        )
        found = [await select(address, sql, UUID(room_id).bytes) for address in self._addresses]
        return [StoredVersion(*row) for rows in found for row in rows]

    async def tables_with(self, text: str) -> list[str]:
        """The names of the tables that have the text anywhere, whatever their columns are."""
        return sorted({name for address in self._addresses for name in await _tables_with(address, text)})

    async def put_message(self, room_id: str, seq: int, message_id: str) -> None:
        """A row where none should be, beside the room's others."""
        sql = (
            "INSERT INTO messages "
            "(room_id, seq, message_id, sender_type, content, sent_at, version, attempt, metadata) "
            "VALUES ({0}, {0}, {0}, 'USER', 'another', 1, 1, 0, '{{}}')"
        )
        values = (UUID(room_id).bytes, seq, UUID(message_id).bytes)
        await _execute(await self._home(room_id), sql, values)

    async def remove_message(self, room_id: str, seq: int) -> None:
        sql = "DELETE FROM messages WHERE room_id = {0} AND seq = {0}"
        await _execute(await self._home(room_id), sql, (UUID(room_id).bytes, seq))

    async def waiting(self, room_id: str) -> list[int]:
        """The seqs of its replies that are listed as waiting for people."""
        sql = "SELECT seq FROM waiting_replies WHERE room_id = {} ORDER BY seq"
        return [seq for (seq,) in await select(await self._home(room_id), sql, UUID(room_id).bytes)]

    async def approved(self, room_id: str) -> list[str]:
        """The digests of calls that are noted as approved once for the room."""
        sql = "SELECT digest FROM approved_calls WHERE room_id = {} ORDER BY digest"
        return [digest for (digest,) in await select(await self._home(room_id), sql, UUID(room_id).bytes)]

    async def unlist(self, room_id: str, seq: int) -> None:
        """Forgets that the reply waits."""
        sql = "DELETE FROM waiting_replies WHERE room_id = {0} AND seq = {0}"
        await _execute(await self._home(room_id), sql, (UUID(room_id).bytes, seq))

    async def approve(self, room_id: str, digest: str) -> None:
        """As if somebody had approved it."""
        sql = "INSERT INTO approved_calls (room_id, digest) VALUES ({0}, {0})"
        await _execute(await self._home(room_id), sql, (UUID(room_id).bytes, digest))

    async def age_file(self, file_id: str, seconds: int) -> None:
        """Makes the file older than it is."""
        sql = "UPDATE files SET created_at = created_at - {0} WHERE file_id = {0}"
        for address in self._addresses:
            if await select(address, "SELECT 1 FROM files WHERE file_id = {}", UUID(file_id).bytes):
                return await _execute(address, sql, (seconds * 1000, UUID(file_id).bytes))
        raise AssertionError(f"no shard has file {file_id}")

    async def _home(self, room_id: str) -> Address:
        """The shard of a room that has a row."""
        room = await self.room(room_id)
        assert room is not None
        return self._addresses[room.shard - 1]


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


async def _tables_with(address: Address, text: str) -> list[str]:
    match address:
        case SqliteAddress():
            tables = "SELECT name FROM sqlite_schema WHERE type = {} AND name NOT LIKE 'sqlite_%'"
            found = await select(address, tables, "table")
        case MySqlAddress():
            tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = {}"
            found = await select(address, tables, address.database)
    names = [name for (name,) in found]
    assert {"messages", "message_versions", "rooms"} <= set(names)
    # The condition is always true: all rows are looked at, in all of their columns.
    rows = {name: await select(address, f"SELECT * FROM {name} WHERE {{}} IS NOT NULL", "") for name in names}  # noqa: S608 - names that the database gave
    return [name for name, lines in rows.items() if any(text in str(value) for line in lines for value in line)]


async def _execute(address: Address, sql: str, values: tuple[Any, ...]) -> None:
    """One statement, committed; it has to change a row."""
    match address:
        case SqliteAddress():
            connection = sqlite3.connect(address.path, timeout=10)
            try:
                with connection:
                    changed = connection.execute(sql.format("?"), values).rowcount
            finally:
                connection.close()
        case MySqlAddress():
            link = await connect_mysql(address)
            try:
                async with link.cursor() as cursor:
                    changed = await cursor.execute(sql.format("%s"), values)
            finally:
                await link.ensure_closed()
    assert changed == 1

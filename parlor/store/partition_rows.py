"""The rows of one partition in a shard, read, written and taken away in pages.

Rows belong to a partition by their ids, which carry it in bits 52 to 63, or by their account. No index begins with it,
so that each table is read through once, in the order of its key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TypeAlias

from parlor.model.ids import Partition
from parlor.store.rows import Row
from parlor.store.sessions import Session
from parlor.store.tables import SHARD_TABLES, Table

PAGE = 200
"""Rows of one read or write. A message may have megabytes."""
ACCOUNTS = 20
"""Accounts whose use is read at a time."""
_NOTE = "INSERT INTO search_backlog (partition_id, room_id, seq) VALUES (?, ?, ?)"
_NOTED = "mark = search_backlog.mark + 1"
Key: TypeAlias = tuple[object, ...]

_BY_NAME = {table.name: table for table in SHARD_TABLES}
COPIED = tuple(
    _BY_NAME[name]
    for name in (
        "rooms",
        "messages",
        "message_versions",
        "account_daily",
        "account_use",
        "files",
        "file_uses",
        "waiting_replies",
        "approved_calls",
    )
)
"""What is copied while others write."""
FENCED = tuple(_BY_NAME[name] for name in ("file_releases", "file_removals"))
"""What somebody works off wherever it stands: it is there once the partition is."""
ROOMS, MESSAGES, VERSIONS = COPIED[:3]
USE, WAITING, APPROVED = _BY_NAME["account_use"], _BY_NAME["waiting_replies"], _BY_NAME["approved_calls"]
FILES, FILE_USES = _BY_NAME["files"], _BY_NAME["file_uses"]
PROGRESS = _BY_NAME["partition_progress"]


def key_of(table: Table, row: Row) -> Key:
    """A row's key; rows are read with the key's columns first."""
    return row[: len(table.key)]


class PartitionRows:
    """One partition in one shard. ``accounts`` are those of the partition, ascending."""

    def __init__(self, session: Session, partition: Partition, accounts: Sequence[int]) -> None:
        self._session = session
        self._mark = (0x8000 | partition).to_bytes(2, "big")
        self._partition = partition
        self._accounts = accounts

    async def page(self, table: Table, after: Key | None) -> list[Row]:
        """Up to about ``PAGE`` rows behind a key, in the order of the key; none: there are no more."""
        if table.home == "account":
            return await self._page_of_accounts(table, after)
        first, *rest = map(self._session.quoted, table.key)
        found: list[Row] = []
        if after is not None and rest:
            behind, args = _behind(rest, after[1:])
            where = f"{first} = ? AND ({behind}) ORDER BY {', '.join(rest)} LIMIT {PAGE}"
            found = await self._select(table, where, (after[0], *args))
        if len(found) < PAGE:
            where = f"{first} > ? AND SUBSTR({first}, 7, 2) = ? ORDER BY {', '.join([first, *rest])}"
            limit = f" LIMIT {PAGE - len(found)}"
            found += await self._select(table, where + limit, (b"" if after is None else after[0], self._mark))
        return found

    async def all(self, table: Table) -> AsyncIterator[Row]:
        """Every row, in the order of the key."""
        after: Key | None = None
        while page := await self.page(table, after):
            for row in page:
                yield row
            after = key_of(table, page[-1])

    async def matching(self, table: Table, start: Key) -> list[Row]:
        """The rows whose key begins so."""
        names = [self._session.quoted(name) for name in table.key[: len(start)]]
        return await self._select(table, " AND ".join(f"{name} = ?" for name in names), start)

    async def of_room(self, table: Table, room_id: bytes, seqs: Sequence[int]) -> list[Row]:
        """The rows of some messages of a room."""
        if not seqs:
            return []
        return await self._select(table, f"room_id = ? AND seq IN ({', '.join('?' for _ in seqs)})", (room_id, *seqs))

    async def put(self, table: Table, rows: Sequence[Row]) -> None:
        """Writes rows; one with the key of another takes its place."""
        names = ", ".join(map(self._session.quoted, table.columns))
        marks = ", ".join("?" for _ in table.columns)
        await self._session.many(f"REPLACE INTO {table.name} ({names}) VALUES ({marks})", rows)  # noqa: S608  # ours

    async def drop(self, table: Table, start: Key) -> None:
        """Takes away the rows whose key begins so."""
        names = [self._session.quoted(name) for name in table.key[: len(start)]]
        where = " AND ".join(f"{name} = ?" for name in names)
        await self._session.rows(f"DELETE FROM {table.name} WHERE {where}", start)  # noqa: S608  # names of ours

    async def note_for_search(self, keys: Sequence[Key]) -> None:
        """Has messages read for the search, by room and seq."""
        upsert = self._session.upsert("partition_id, room_id, seq")
        await self._session.many(f"{_NOTE} {upsert} {_NOTED}", [(self._partition, *key) for key in keys])

    async def drop_page(self, table: Table, after: Key | None) -> Key | None:
        """Takes away up to about ``PAGE`` rows behind a key; returns the last one's key, None when there were none."""
        rows = await self.page(table, after)
        names = [self._session.quoted(name) for name in table.key]
        where = " AND ".join(f"{name} = ?" for name in names)
        await self._session.many(f"DELETE FROM {table.name} WHERE {where}", [key_of(table, row) for row in rows])  # noqa: S608
        return key_of(table, rows[-1]) if rows else None

    async def drop_search_page(self) -> int:
        """Takes away up to ``PAGE`` rows of what messages are found by; returns how many."""
        found = await self._session.rows(
            f"SELECT room_id, seq FROM message_search WHERE SUBSTR(room_id, 7, 2) = ? LIMIT {PAGE}",  # noqa: S608
            (self._mark,),
        )
        if self._session.kind == "sqlite":
            # Its index is a table of its own.
            await self._session.many(
                "DELETE FROM message_search_tokens WHERE rowid IN"
                " (SELECT search_id FROM message_search WHERE room_id = ? AND seq = ?)",
                found,
            )
        await self._session.many("DELETE FROM message_search WHERE room_id = ? AND seq = ?", found)
        return len(found)

    async def drop_rest(self) -> None:
        """Takes away the partition's position, and what is to be read for the search."""
        await self._session.rows("DELETE FROM search_backlog WHERE partition_id = ?", (self._partition,))
        await self.drop(PROGRESS, (self._partition,))
        if self._session.kind == "mysql":
            accounts = [(account,) for account in self._accounts]
            await self._session.many("DELETE FROM files_of_accounts WHERE account_db_key = ?", accounts)

    async def note_accounts_of_files(self) -> None:
        """On MySQL whoever changes an account's files locks its row: it has to be there."""
        if self._session.kind == "sqlite":
            return
        found = await self._session.rows(
            "SELECT DISTINCT account_db_key FROM files WHERE SUBSTR(file_id, 7, 2) = ?", (self._mark,)
        )
        await self._session.many("REPLACE INTO files_of_accounts (account_db_key) VALUES (?)", found)

    async def _page_of_accounts(self, table: Table, after: Key | None) -> list[Row]:
        left = [key for key in self._accounts if after is None or key > int(str(after[0]))]
        for start in range(0, len(left), ACCOUNTS):
            some = left[start : start + ACCOUNTS]
            marks = ", ".join("?" for _ in some)
            order = ", ".join(map(self._session.quoted, table.key))
            if found := await self._select(table, f"account_db_key IN ({marks}) ORDER BY {order}", some):
                return found
        return []

    async def _select(self, table: Table, where: str, args: Sequence[object]) -> list[Row]:
        columns = ", ".join(map(self._session.quoted, table.columns))
        return await self._session.rows(f"SELECT {columns} FROM {table.name} WHERE {where}", args)  # noqa: S608  # ours


def _behind(names: Sequence[str], key: Key) -> tuple[str, list[object]]:
    """The condition that these columns are behind a key."""
    if len(names) == 1:
        return f"{names[0]} > ?", [key[0]]
    condition, args = _behind(names[1:], key[1:])
    return f"{names[0]} > ? OR ({names[0]} = ? AND ({condition}))", [key[0], key[0], *args]

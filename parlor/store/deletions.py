"""Deleting an account: its receipt in the global database, and what its shard has of it."""

from __future__ import annotations

from uuid import UUID

import msgspec

from parlor.errors import StoreUnavailable
from parlor.model.access import Deletion
from parlor.model.ids import AccountId, RoomId, ShardId
from parlor.store.ports import ChatStore

AT_ONCE = 1000
"""Rows that one transaction takes out."""


class Remains(msgspec.Struct, frozen=True):
    """What a shard still has of an account."""

    rooms: int
    """Rooms that are not deleted."""
    messages: int
    """Rows of messages, of their versions and of the search."""
    use: int
    """Rows of what it used."""
    files: int


class DeletionStore:
    """Raises ``StoreUnavailable`` throughout."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def begin(self, account: AccountId, receipt_id: str, now_ms: int) -> Deletion | None:
        """Shuts an account out for ever and returns its receipt, the first one if it is deleted already."""
        found = await self._store.call_global_procedure("fp_account_delete", (account, receipt_id, now_ms))
        return _receipt(found[0]) if found else None

    async def find(self, account: AccountId) -> Deletion | None:
        found = await self._store.call_global_procedure("fp_account_deletion_get", (account,))
        return _receipt(found[0]) if found else None

    async def page(self, limit: int, after: int = 0, *, finished: bool = False) -> list[Deletion]:
        """Returns deletions that go on, or those that are done, from the one after the account's number ``after``."""
        args = (int(finished), after, limit)
        return [_receipt(row) for row in await self._store.call_global_procedure("fp_account_deletions_get", args)]

    async def finish(self, account_db_key: int, rooms: int, now_ms: int) -> None:
        await self._store.call_global_procedure("fp_account_deletion_finish", (account_db_key, rooms, now_ms))

    async def rooms(self, shard: ShardId, account_db_key: int, after: RoomId | None, limit: int) -> list[RoomId]:
        """Returns the rooms that the account has or had, ascending, from the one after ``after``."""
        args = (account_db_key, after, limit)
        found = await self._store.call_shard_procedure(shard, "fp_account_rooms_scan", args)
        return [_room(row[0]) for row in found]

    async def purge_room(self, shard: ShardId, room_id: RoomId) -> None:
        """Takes what a deleted room held out of the tables."""
        while await self._count(shard, "fp_chat_room_purge", (room_id, AT_ONCE)):
            pass

    async def purge_use(self, shard: ShardId, account_db_key: int) -> None:
        while await self._count(shard, "fp_account_use_purge", (account_db_key, AT_ONCE)):
            pass

    async def remains(self, shard: ShardId, account_db_key: int) -> Remains:
        found = await self._store.call_shard_procedure(shard, "fp_account_remains", (account_db_key,))
        try:
            return msgspec.convert(dict(zip(Remains.__struct_fields__, found[0], strict=True)), Remains)
        except (msgspec.ValidationError, ValueError) as error:
            raise StoreUnavailable(debug=f"fp_account_remains: {error}") from error

    async def _count(self, shard: ShardId, name: str, args: tuple[object, ...]) -> int:
        ((count,),) = await self._store.call_shard_procedure(shard, name, args)
        if not isinstance(count, int):
            raise StoreUnavailable(debug=f"{name} answered {type(count).__name__}")
        return count


def _receipt(row: tuple[object, ...]) -> Deletion:
    try:
        return msgspec.convert(dict(zip(Deletion.__struct_fields__, row, strict=True)), Deletion)
    except (msgspec.ValidationError, ValueError) as error:
        raise StoreUnavailable(debug=f"a row does not fit Deletion: {error}") from error


def _room(raw: object) -> RoomId:
    if not isinstance(raw, bytes):
        raise StoreUnavailable(debug=f"fp_account_rooms_scan answered {type(raw).__name__}")
    return RoomId(str(UUID(bytes=raw)))

"""What the shards know of files: the procedures ``fp_file_*`` as typed calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from parlor.errors import StoreUnavailable
from parlor.model.files import File
from parlor.model.ids import FileId, MessageId, RoomId, ShardId
from parlor.store.ports import ChatStore

PAGE = 1000
"""Rows of one call of a check."""


class FileUse(msgspec.Struct, frozen=True):
    """How many files an account has, and their bytes; equal bytes count once."""

    files: int
    bytes: int


class FileQuota(msgspec.Struct, frozen=True):
    """How much of it an account may have; None: any number."""

    files: int | None
    bytes: int | None


class FileRows(Protocol):
    """Raises ``StoreUnavailable`` throughout."""

    async def use(self, shard: ShardId, account_db_key: int) -> FileUse: ...

    async def add(self, shard: ShardId, account_db_key: int, file: File, quota: FileQuota) -> File | None:
        """Adds a file whose bytes are stored as ``file.file_id``; None when the account has its quota. The one that
        is returned has another ``blob_id`` when the account had these bytes already, and is another file when it had
        them under this name."""

    async def get(self, shard: ShardId, account_db_key: int, file_id: FileId) -> File | None: ...

    async def page(self, shard: ShardId, account_db_key: int, limit: int, before: FileId | None) -> list[File]:
        """Returns an account's files, newest first."""

    async def delete(
        self, shard: ShardId, account_db_key: int, file_id: FileId, now_ms: int
    ) -> tuple[bool, FileId | None]:
        """Deletes a file; returns whether there was one, and the ``blob_id`` of bytes that no file names any more."""

    async def refer(
        self, shard: ShardId, account_db_key: int, file_ids: Sequence[FileId], message_id: MessageId, room_id: RoomId
    ) -> list[File]:
        """Notes that a message names these files, which are different ones; returns those that the account has. Fewer
        than asked for: nothing was noted."""

    async def drop_references(self, shard: ShardId, message_id: MessageId) -> None: ...

    async def find(self, shard: ShardId, file_id: FileId) -> File | None:
        """Returns a file that a message names, whoever's it is."""

    async def release_next(self, shard: ShardId, now_ms: int) -> tuple[FileId, FileId | None] | None:
        """Takes the next file that deleted messages named, and deletes it unless another one names it; returns its id
        and the ``blob_id`` of bytes that no file names any more. None: there is no other."""

    async def removals(self, shard: ShardId, limit: int) -> list[FileId]:
        """Returns bytes that no file names any more and that are still to be deleted."""

    async def removal_done(self, shard: ShardId, blob_id: FileId) -> None: ...


class StoredFileRows:
    """``FileRows`` in the shards."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def use(self, shard: ShardId, account_db_key: int) -> FileUse:
        found = await self._store.call_shard_procedure(shard, "fp_files_count", (account_db_key,))
        return _converted(found[0], FileUse)

    async def add(self, shard: ShardId, account_db_key: int, file: File, quota: FileQuota) -> File | None:
        args = (
            *(file.file_id, account_db_key, file.name, file.media_type, file.size, file.sha256, file.created_at),
            *(quota.bytes, quota.files),
        )
        found = await self._store.call_shard_procedure(shard, "fp_file_add", args)
        return _file(found[0]) if found else None

    async def get(self, shard: ShardId, account_db_key: int, file_id: FileId) -> File | None:
        found = await self._store.call_shard_procedure(shard, "fp_file_get", (file_id, account_db_key))
        return _file(found[0]) if found else None

    async def page(self, shard: ShardId, account_db_key: int, limit: int, before: FileId | None) -> list[File]:
        found = await self._store.call_shard_procedure(shard, "fp_files_get", (account_db_key, before, limit))
        return [_file(row) for row in found]

    async def delete(
        self, shard: ShardId, account_db_key: int, file_id: FileId, now_ms: int
    ) -> tuple[bool, FileId | None]:
        args = (file_id, account_db_key, now_ms)
        ((gone, blob_id),) = await self._store.call_shard_procedure(shard, "fp_file_delete", args)
        return bool(gone), None if blob_id is None else _id(blob_id)

    async def refer(
        self, shard: ShardId, account_db_key: int, file_ids: Sequence[FileId], message_id: MessageId, room_id: RoomId
    ) -> list[File]:
        args = (msgspec.json.encode(file_ids).decode(), account_db_key, message_id, room_id)
        return [_file(row) for row in await self._store.call_shard_procedure(shard, "fp_file_uses_add", args)]

    async def drop_references(self, shard: ShardId, message_id: MessageId) -> None:
        await self._store.call_shard_procedure(shard, "fp_file_uses_drop", (message_id,))

    async def find(self, shard: ShardId, file_id: FileId) -> File | None:
        found = await self._store.call_shard_procedure(shard, "fp_file_find", (file_id,))
        return _file(found[0]) if found else None

    async def release_next(self, shard: ShardId, now_ms: int) -> tuple[FileId, FileId | None] | None:
        found = await self._store.call_newest(shard, "fp_file_release_next", (now_ms,))
        if not found:
            return None
        file_id, blob_id = found[0]
        return _id(file_id), None if blob_id is None else _id(blob_id)

    async def removals(self, shard: ShardId, limit: int) -> list[FileId]:
        found = await self._store.call_newest(shard, "fp_file_removals_get", (limit,))
        return [_id(row[0]) for row in found]

    async def removal_done(self, shard: ShardId, blob_id: FileId) -> None:
        await self._store.call_shard_procedure(shard, "fp_file_removal_done", (blob_id,))

    async def lose(self, shard: ShardId, file_id: FileId) -> None:
        """Takes away a file whose bytes are lost."""
        await self._store.call_shard_procedure(shard, "fp_file_lost", (file_id,))

    async def scan(self, shard: ShardId) -> AsyncIterator[File]:
        """Every file of the shard, ascending; those that are added meanwhile may be missing."""
        after: FileId | None = None
        while True:
            found = await self._store.call_shard_procedure(shard, "fp_files_scan", (after, PAGE))
            for row in found:
                yield _file(row)
            if len(found) < PAGE:
                return
            after = _id(found[-1][0])


class _Columns(msgspec.Struct, frozen=True, array_like=True):
    file_id: bytes
    blob_id: bytes
    name: str
    media_type: str
    size: int
    sha256: str
    created_at: int


def _file(row: Sequence[object]) -> File:
    try:
        found = msgspec.convert(tuple(row), _Columns)
    except msgspec.ValidationError as error:
        raise StoreUnavailable(debug=f"a row does not fit a file: {error}") from error
    return File(
        _id(found.file_id), _id(found.blob_id), found.name, found.media_type, found.size, found.sha256, found.created_at
    )


def _id(value: object) -> FileId:
    if not isinstance(value, bytes):
        raise StoreUnavailable(debug=f"a file's id is {type(value).__name__}")
    return FileId(str(UUID(bytes=value)))


def _converted(row: Sequence[object], kind: type[FileUse]) -> FileUse:
    try:
        return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise StoreUnavailable(debug=f"a row does not fit {kind.__name__}: {error}") from error

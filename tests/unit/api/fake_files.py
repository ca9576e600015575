"""Files in memory, behind the real rules."""

from __future__ import annotations

from collections.abc import Sequence

from parlor.clock import Clock, Entropy
from parlor.files.files import Files
from parlor.model.files import File
from parlor.model.ids import FileId, IdMint, MessageId, RoomId, ShardId
from parlor.settings.account_limits import AccountLimits
from parlor.settings.limits import LimitSettings
from parlor.settings.uploads import FileSettings
from parlor.store.files import FileQuota, FileUse
from tests.unit.memory_files import MemoryFileStore


class FakeFileRows:
    """Rows of one account; ``fails`` is raised by every call."""

    def __init__(self) -> None:
        self.files: dict[FileId, File] = {}
        self.fails: Exception | None = None

    async def use(self, shard: ShardId, account_db_key: int) -> FileUse:
        self._called()
        return FileUse(len(self.files), sum(file.size for file in self.files.values()))

    async def add(self, shard: ShardId, account_db_key: int, file: File, quota: FileQuota) -> File | None:
        self._called()
        if quota.bytes is not None and file.size > quota.bytes:
            return None
        return self.files.setdefault(file.file_id, file)

    async def get(self, shard: ShardId, account_db_key: int, file_id: FileId) -> File | None:
        self._called()
        return self.files.get(file_id)

    async def page(self, shard: ShardId, account_db_key: int, limit: int, before: FileId | None) -> list[File]:
        self._called()
        newest = sorted(self.files, reverse=True)
        return [self.files[file_id] for file_id in newest if before is None or file_id < before][:limit]

    async def delete(
        self, shard: ShardId, account_db_key: int, file_id: FileId, now_ms: int
    ) -> tuple[bool, FileId | None]:
        self._called()
        gone = self.files.pop(file_id, None)
        return (False, None) if gone is None else (True, gone.blob_id)

    async def refer(
        self, shard: ShardId, account_db_key: int, file_ids: Sequence[FileId], message_id: MessageId, room_id: RoomId
    ) -> list[File]:
        self._called()
        return [self.files[file_id] for file_id in file_ids if file_id in self.files]

    async def drop_references(self, shard: ShardId, message_id: MessageId) -> None:
        self._called()

    async def find(self, shard: ShardId, file_id: FileId) -> File | None:
        self._called()
        return self.files.get(file_id)

    async def release_next(self, shard: ShardId, now_ms: int) -> tuple[FileId, FileId | None] | None:
        self._called()
        return None

    async def removals(self, shard: ShardId, limit: int) -> list[FileId]:
        self._called()
        return []

    async def removal_done(self, shard: ShardId, blob_id: FileId) -> None:
        self._called()

    def _called(self) -> None:
        if self.fails is not None:
            raise self.fails


def fake_files(rows: FakeFileRows, store: MemoryFileStore, clock: Clock, entropy: Entropy) -> Files:
    settings = FileSettings(size_max=100_000)
    return Files(rows, store, settings, AccountLimits(LimitSettings(file_bytes=90_000)), IdMint(clock, entropy), clock)

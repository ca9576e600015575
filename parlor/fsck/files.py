"""Whether every file has its bytes, and all bytes have a file (I24)."""

from __future__ import annotations

from parlor.clock import Clock
from parlor.files.ports import BytesMissing, FileStore
from parlor.fsck.findings import DropBytes, DropFile, FileFinding
from parlor.model.files import File
from parlor.model.ids import FileId, ShardId
from parlor.store.files import StoredFileRows
from parlor.store.ports import ChatStore

GRACE_MS = 3_600_000
"""What is younger may still be on its way: bytes come before their row, and an upload takes its time."""
_REMOVALS_MAX = 100_000


class FileCheck:
    """Compares the file store with the shards. Raises ``StoreUnavailable``."""

    def __init__(self, store: ChatStore, files: FileStore, clock: Clock) -> None:
        self._store = store
        self._rows = StoredFileRows(store)
        self._files = files
        self._clock = clock

    async def run(self, *, repair: bool) -> tuple[list[FileFinding], list[FileFinding]]:
        """Returns what was found, and what of it was put right."""
        # Bytes are looked at before rows: whatever has a row by then is seen with it.
        settled = self._clock.now_ms() - GRACE_MS
        stored = {blob.blob_id: blob.stored_at async for blob in self._files.blobs()}
        named: set[FileId] = set()
        found: list[FileFinding] = []
        for shard in self._store.shard_ids():
            named.update(await self._rows.removals(shard, _REMOVALS_MAX))
            async for file in self._rows.scan(shard):
                named.add(file.blob_id)
                if file.blob_id not in stored and file.created_at < settled and await self._is_lost(shard, file):
                    found.append(_lost(shard, file))
        for blob_id, stored_at in stored.items():
            if blob_id not in named and stored_at < settled:
                found.append(_nameless(blob_id))
        if repair:
            for finding in found:
                await self._repair(finding)
        return found, [*found] if repair else []

    async def _is_lost(self, shard: ShardId, file: File) -> bool:
        """Looks once more: it may have been stored or deleted meanwhile."""
        try:
            async for _ in self._files.read(file.blob_id, 0, min(file.size, 1)):
                return False
        except BytesMissing:
            return await self._rows.find(shard, file.file_id) is not None
        return True

    async def _repair(self, finding: FileFinding) -> None:
        match finding.remedy:
            case DropBytes():
                await self._files.delete(finding.file_id)
            case DropFile(shard):
                await self._rows.lose(shard, finding.file_id)


def _lost(shard: ShardId, file: File) -> FileFinding:
    return FileFinding(
        invariant="I24",
        kind="bytes-lost",
        what=f"the file of {file.size} bytes is in its shard, and its bytes {file.blob_id} are not in the file store",
        file_id=file.file_id,
        remedy=DropFile(shard),
    )


def _nameless(blob_id: FileId) -> FileFinding:
    return FileFinding(
        invariant="I24",
        kind="bytes-nameless",
        what="the bytes are in the file store, and no file has them",
        file_id=blob_id,
        remedy=DropBytes(),
    )

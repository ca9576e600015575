"""Takes away what nobody needs any more: files whose messages were deleted, and the bytes of deleted files."""

from __future__ import annotations

import structlog

from parlor.clock import Clock
from parlor.errors import StoreUnavailable
from parlor.files.ports import FileStore
from parlor.model.ids import ShardId
from parlor.store.files import FileRows

PAUSE = 5.0
"""Seconds between two looks."""
AT_ONCE = 100
"""Bytes of so many files are deleted before the next look."""
UNFINISHED_MS = 24 * 3_600_000
"""An upload that began so long ago has no process any more."""
_UNFINISHED_EVERY = 3600.0
_log = structlog.get_logger(__name__)


class FileRemoval:
    """The work of one process for one shard. Others may do the same at the same time."""

    def __init__(self, rows: FileRows, store: FileStore, shard: ShardId, clock: Clock) -> None:
        self._rows = rows
        self._store = store
        self._shard = shard
        self._clock = clock
        self._dropped_at = float("-inf")

    async def run(self) -> None:
        """Looks again and again, until it is cancelled. What is away delays it."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                _log.warning("files_not_removed", shard=self._shard, debug=error.debug)
            await self._clock.sleep(PAUSE)

    async def look(self) -> None:
        """Removes what there is to remove. Raises ``StoreUnavailable``."""
        while await self._rows.release_next(self._shard, self._clock.now_ms()) is not None:
            continue
        while blobs := await self._rows.removals(self._shard, AT_ONCE):
            for blob_id in blobs:
                await self._store.delete(blob_id)
                await self._rows.removal_done(self._shard, blob_id)
        if self._clock.monotonic() - self._dropped_at > _UNFINISHED_EVERY:
            self._dropped_at = self._clock.monotonic()
            await self._store.drop_unfinished(self._clock.now_ms() - UNFINISHED_MS)

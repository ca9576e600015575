"""A file store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from parlor.clock import Clock
from parlor.errors import StoreUnavailable
from parlor.files.ports import Blob, BytesMissing
from parlor.model.ids import FileId


class MemoryFileStore:
    """``full`` makes it refuse more bytes, ``down`` everything."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.kept: dict[FileId, bytes] = {}
        self.stored_at: dict[FileId, int] = {}
        self.unfinished: dict[FileId, int] = {}
        """When uploads began that were neither kept nor ended."""
        self.began = asyncio.Event()
        """Set by each upload."""
        self.full = False
        self.down = False

    @asynccontextmanager
    async def writing(self, blob_id: FileId) -> AsyncGenerator[_Writer]:
        self._ask()
        self.unfinished[blob_id] = self._clock.now_ms()
        self.began.set()
        try:
            yield _Writer(self, blob_id)
        finally:
            self.unfinished.pop(blob_id, None)

    async def read(self, blob_id: FileId, start: int, stop: int) -> AsyncGenerator[bytes]:
        self._ask()
        if blob_id not in self.kept:
            raise BytesMissing
        for at in range(start, stop, 3):
            yield self.kept[blob_id][at : min(at + 3, stop)]

    async def delete(self, blob_id: FileId) -> None:
        self._ask()
        self.kept.pop(blob_id, None)

    async def blobs(self) -> AsyncIterator[Blob]:
        self._ask()
        for blob_id in [*self.kept]:
            yield Blob(blob_id, self.stored_at[blob_id])

    async def drop_unfinished(self, before_ms: int) -> int:
        self._ask()
        old = [blob_id for blob_id, began in self.unfinished.items() if began < before_ms]
        for blob_id in old:
            del self.unfinished[blob_id]
        return len(old)

    async def close(self) -> None: ...

    def take(self, blob_id: FileId, data: bytes) -> None:
        self._ask()
        self.kept[blob_id] = data
        self.stored_at[blob_id] = self._clock.now_ms()

    def require_room(self) -> None:
        self._ask()
        if self.full:
            raise StoreUnavailable("The file store is full")

    def _ask(self) -> None:
        if self.down:
            raise StoreUnavailable("The file store does not answer")


class _Writer:
    def __init__(self, store: MemoryFileStore, blob_id: FileId) -> None:
        self._store = store
        self._blob_id = blob_id
        self._data = b""

    async def write(self, data: bytes) -> None:
        self._store.require_room()
        self._data += data

    async def keep(self) -> None:
        self._store.take(self._blob_id, self._data)

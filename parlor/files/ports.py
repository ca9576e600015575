"""The port to where the bytes of files are."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from parlor.errors import FileNotFound
from parlor.model.ids import FileId

CHUNK = 256 * 1024
"""Bytes that are read or written at once."""


class BytesMissing(FileNotFound):
    """The file store does not have the bytes of a file that a shard names. `parlor fsck` finds all of them."""


class Blob(msgspec.Struct, frozen=True):
    """The bytes of one upload, as they are listed."""

    blob_id: FileId
    stored_at: int
    """Unix milliseconds."""


class BlobWriter(Protocol):
    """The bytes of an upload while they come. Nothing of them is there for readers before ``keep``."""

    async def write(self, data: bytes) -> None: ...

    async def keep(self) -> None:
        """Returns when all of it is durable and there for readers."""


class FileStore(Protocol):
    """Bytes by id. An id is written once and never again. Raises ``StoreUnavailable`` throughout, also when the store
    is full."""

    def writing(self, blob_id: FileId) -> AbstractAsyncContextManager[BlobWriter]:
        """Begins an upload. What was not kept when the block ends is gone."""

    def read(self, blob_id: FileId, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yields the bytes from ``start`` up to ``stop`` in chunks. Raises ``BytesMissing`` before the first."""

    async def delete(self, blob_id: FileId) -> None:
        """Deletes bytes; harmless when they are gone."""

    def blobs(self) -> AsyncIterator[Blob]:
        """Yields everything that was kept, in any order."""

    async def drop_unfinished(self, before_ms: int) -> int:
        """Deletes what is left of uploads that began before this time and whose process has died; returns how many
        there were."""

    async def close(self) -> None: ...

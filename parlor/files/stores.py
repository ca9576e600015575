"""The file store that the settings name."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import unquote

from parlor.errors import StoreUnavailable
from parlor.files.directory import DirectoryStore
from parlor.files.ports import Blob, BlobWriter, FileStore
from parlor.model.ids import FileId, InstallationId
from parlor.settings.uploads import FileSettings

_DIRECTORY = "file://"


class NoStore:
    """Where no place for files is configured: nothing is taken, and nothing is there."""

    def writing(self, blob_id: FileId) -> AbstractAsyncContextManager[BlobWriter]:
        del blob_id
        raise _absent()

    def read(self, blob_id: FileId, start: int, stop: int) -> AsyncGenerator[bytes]:
        del blob_id, start, stop
        raise _absent()

    async def delete(self, blob_id: FileId) -> None:
        del blob_id
        raise _absent()

    def blobs(self) -> AsyncIterator[Blob]:
        raise _absent()

    async def drop_unfinished(self, before_ms: int) -> int:
        del before_ms
        raise _absent()

    async def close(self) -> None: ...


def _absent() -> StoreUnavailable:
    return StoreUnavailable("There is no place for files", debug="PARLOR_FILES__URL is not set")


def open_file_store(settings: FileSettings, installation: Callable[[], Awaitable[InstallationId]]) -> FileStore:
    """Nothing is connected to, or made, before it is used."""
    if not settings.url:
        return NoStore()
    timeout = settings.store_timeout.total_seconds()
    if settings.url.startswith(("/", _DIRECTORY)):
        return DirectoryStore(Path(unquote(settings.url.removeprefix(_DIRECTORY))), installation, timeout)
    # Loaded here: most installations keep their files in a directory.
    from parlor.files.objects import ObjectStore

    return ObjectStore(settings.url, installation, timeout)

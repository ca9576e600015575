"""An object store as a file store: S3 and what speaks like it, Google's, Azure's. Credentials are the environment's.

<prefix of the URL>/<installation>/<blob id>

An upload is kept on this machine while it comes, in a file without a name, and sent when it is whole: as one request
up to ``SINGLE``, which is there as a whole or not at all, beyond that in parts. Of an upload that is cut off nothing is
there; of one that was being sent in parts the store keeps what came until its own rule for incomplete uploads takes it.
"""

from __future__ import annotations

import asyncio
import errno
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from parlor.errors import StoreUnavailable
from parlor.files.ports import Blob, BytesMissing
from parlor.model.ids import FileId, InstallationId, partition_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore as RemoteStore

_T = TypeVar("_T")

SINGLE = 64 * 1024 * 1024
"""Bytes that are sent as one request."""
PIECE = 1024 * 1024
"""Bytes that are read with one request, so that each has the time limit of a step."""
_PER_SECOND = 1024 * 1024
"""Bytes of an upload for which a second is added to the time limit."""
_FULL = ("QuotaExceeded", "StorageFull", "InsufficientStorage", "507 ", "No space left")


class ObjectStore:
    """See ``FileStore``. ``remote`` makes the store when it is first used; ``timeout`` in seconds, of each step."""

    def __init__(
        self,
        url: str,
        installation: Callable[[], Awaitable[InstallationId]],
        timeout: float,
        remote: Callable[[str], RemoteStore] | None = None,
    ) -> None:
        self._url = url
        self._installation = installation
        self._timeout = timeout
        self._make = remote or _remote
        self._made: RemoteStore | None = None

    @asynccontextmanager
    async def writing(self, blob_id: FileId) -> AsyncGenerator[_Writer]:
        path = await self._path(blob_id)
        # Looked at first: a store that is away takes no upload to the end.
        await self._exists(path)
        file = await self.locally(_nameless)
        try:
            yield _Writer(self, file, path)
        finally:
            file.close()

    async def read(self, blob_id: FileId, start: int, stop: int) -> AsyncGenerator[bytes]:
        path = await self._path(blob_id)
        while start < stop:
            end = min(start + PIECE, stop)
            data = bytes(await self._step(obstore.get_range_async(self._remote(), path, start=start, end=end), path))
            if not data:
                raise BytesMissing(debug=f"{path} ends at {start}")
            start += len(data)
            yield data

    async def delete(self, blob_id: FileId) -> None:
        path = await self._path(blob_id)
        try:
            await self._step(obstore.delete_async(self._remote(), path), path)
        except BytesMissing:
            return  # It is gone, which is all that was wanted.

    async def blobs(self) -> AsyncIterator[Blob]:
        pages = aiter(obstore.list(self._remote(), prefix=str(await self._installation())))
        while True:
            page = await self._step(anext(pages, None), "the list")
            if page is None:
                return
            for each in page:
                name = each["path"].rpartition("/")[2]
                if partition_of(name) is not None:
                    yield Blob(FileId(name), int(each["last_modified"].timestamp() * 1000))

    async def drop_unfinished(self, before_ms: int) -> int:
        """Nothing is left of uploads that were cut off: a file without a name goes with its process."""
        del before_ms
        return 0

    async def close(self) -> None:
        self._made = None

    async def put(self, path: str, file: IO[bytes], size: int) -> None:
        sending = obstore.put_async(self._remote(), path, file, use_multipart=size > SINGLE)
        await self._step(sending, path, self._timeout + size / _PER_SECOND)

    async def locally(self, step: Callable[..., _T], *args: object) -> _T:
        """Does something with a file of this machine. Raises ``StoreUnavailable``."""
        try:
            return await asyncio.to_thread(step, *args)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            detail = "There is no room for the upload" if full else "The upload cannot be kept"
            raise StoreUnavailable(detail, debug=str(error)) from error

    async def _exists(self, path: str) -> bool:
        try:
            await self._step(obstore.head_async(self._remote(), path), path)
        except BytesMissing:
            return False
        return True

    async def _step(self, work: Awaitable[_T], path: str, seconds: float | None = None) -> _T:
        """Waits for one request. Raises ``StoreUnavailable`` or ``BytesMissing``."""
        try:
            async with asyncio.timeout(seconds or self._timeout):
                return await work
        except FileNotFoundError as error:
            raise BytesMissing(debug=f"{path} is not there") from error
        except TimeoutError as error:
            raise StoreUnavailable("The file store does not answer", debug=f"{path}: timed out") from error
        except (BaseError, OSError) as error:
            words = str(error)
            full = any(sign in words for sign in _FULL)
            detail = "The file store is full" if full else "The file store does not answer"
            raise StoreUnavailable(detail, debug=f"{path}: {words[:500]}") from error

    def _remote(self) -> RemoteStore:
        if self._made is None:
            try:
                self._made = self._make(self._url)
            except (BaseError, ValueError) as error:
                raise StoreUnavailable("The file store cannot be used", debug=str(error)[:500]) from error
        return self._made

    async def _path(self, blob_id: FileId) -> str:
        return f"{await self._installation()}/{blob_id}"


class _Writer:
    def __init__(self, store: ObjectStore, file: IO[bytes], path: str) -> None:
        self._store = store
        self._file = file
        self._path = path
        self._size = 0

    async def write(self, data: bytes) -> None:
        await self._store.locally(self._file.write, data)
        self._size += len(data)

    async def keep(self) -> None:
        await self._store.locally(self._file.seek, 0)
        await self._store.put(self._path, self._file, self._size)


def _nameless() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _remote(url: str) -> RemoteStore:
    # Who waits for an answer asks again anyway; the package's own three minutes of tries would only delay the error.
    return from_url(url, retry_config={"max_retries": 2})

"""A directory as a file store: of this machine, or one that all machines of a cluster mount.

incoming/<blob id>      an upload that is not complete; renamed when it is
<two digits>/<blob id>  the bytes; the digits are the id's last two, which are random
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from parlor.errors import StoreUnavailable
from parlor.files.ports import CHUNK, Blob, BytesMissing
from parlor.model.ids import FileId, InstallationId, partition_of

_T = TypeVar("_T")
_THREADS = 8
"""A file system that hangs takes these, and no other thread of the process."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_INCOMING = "incoming"


class DirectoryStore:
    """See ``FileStore``. A file's name appears when its bytes are on the disk (fsync, then rename)."""

    def __init__(self, root: Path, installation: Callable[[], Awaitable[InstallationId]], timeout: float) -> None:
        """``timeout`` in seconds, of each step. The directory is made when it is first written to."""
        self._root = root
        self._installation = installation
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="files")

    @asynccontextmanager
    async def writing(self, blob_id: FileId) -> AsyncGenerator[_Writer]:
        incoming, kept = await self._home() / _INCOMING / blob_id, await self._path(blob_id)
        creating = asyncio.create_task(self.run(_create, incoming))
        try:
            yield _Writer(self, await asyncio.shield(creating), incoming, kept)
        finally:
            # The request of a client that hangs up is cancelled: perhaps while the file is made, and perhaps once more
            # while it is removed. A thread goes on with either.
            await asyncio.shield(self._discard(creating, incoming))

    async def read(self, blob_id: FileId, start: int, stop: int) -> AsyncGenerator[bytes]:
        path = await self._path(blob_id)
        try:
            file = await self.run(_open, path, start)
        except FileNotFoundError as error:
            raise BytesMissing(debug=f"{path} is not there") from error
        try:
            while start < stop:
                data = await self.run(file.read, min(CHUNK, stop - start))
                if not data:
                    raise BytesMissing(debug=f"{path} ends at {start}")
                start += len(data)
                yield data
        finally:
            await self.run(file.close)

    async def delete(self, blob_id: FileId) -> None:
        await self.run(_unlink, await self._path(blob_id))

    async def blobs(self) -> AsyncIterator[Blob]:
        for folder in await self.run(_entries, await self._home()):
            if folder.name == _INCOMING or not folder.is_dir():
                continue
            for entry in await self.run(_entries, folder):
                if partition_of(entry.name) is not None:
                    yield Blob(FileId(entry.name), await self.run(_modified, entry))

    async def drop_unfinished(self, before_ms: int) -> int:
        dropped = 0
        for entry in await self.run(_entries, await self._home() / _INCOMING):
            if 0 < await self.run(_modified, entry) < before_ms:
                await self.run(_unlink, entry)
                dropped += 1
        return dropped

    async def close(self) -> None:
        # A thread that hangs in the file system must not keep the process.
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, step: Callable[..., _T], *args: object) -> _T:
        """Runs a step in a thread. Raises ``StoreUnavailable``, or ``FileNotFoundError``."""
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.get_running_loop().run_in_executor(self._threads, step, *args)
        except FileNotFoundError:
            raise
        except TimeoutError as error:
            raise StoreUnavailable("The file store does not answer", debug=f"{self._root}: timed out") from error
        except RuntimeError as error:  # the pool was shut down
            raise StoreUnavailable("The file store does not answer", debug=f"{self._root}: closed") from error
        except OSError as error:
            detail = "The file store is full" if error.errno in _FULL else "The file store does not answer"
            raise StoreUnavailable(detail, debug=f"{self._root}: {error.strerror}") from error

    async def _discard(self, creating: asyncio.Task[BinaryIO], incoming: Path) -> None:
        """Removes what was not kept."""
        await self.run(_drop, await creating, incoming)

    async def _home(self) -> Path:
        return self._root / await self._installation()

    async def _path(self, blob_id: FileId) -> Path:
        return await self._home() / blob_id[-2:] / blob_id


class _Writer:
    def __init__(self, store: DirectoryStore, file: BinaryIO, incoming: Path, kept: Path) -> None:
        self._store = store
        self._file = file
        self._incoming = incoming
        self._kept = kept
        self._buffer = bytearray()

    async def write(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= CHUNK:
            await self._flush()

    async def keep(self) -> None:
        await self._flush()
        await self._store.run(self._publish)

    async def _flush(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        await self._store.run(_write_all, self._file, data)

    def _publish(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        self._kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming.replace(self._kept)
        for folder in (self._kept.parent, self._kept.parent.parent):
            _sync(folder)


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "wb", buffering=0)


def _drop(file: BinaryIO, incoming: Path) -> None:
    file.close()
    incoming.unlink(missing_ok=True)


def _write_all(file: BinaryIO, data: bytearray) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _open(path: Path, start: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(start)
    return file


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _modified(path: Path) -> int:
    """Unix milliseconds; 0 when it has gone meanwhile."""
    try:
        return path.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return 0


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Where a backup is: a directory, or an object store by URL. Pieces by name, each there as a whole or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import unquote

from parlor.errors import StoreUnavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore as RemoteStore

_T = TypeVar("_T")

TIMEOUT = 120.0
"""Seconds for one piece."""


class Archive(Protocol):
    """Raises ``StoreUnavailable`` throughout."""

    async def put(self, name: str, data: bytes) -> None:
        """Returns when the piece is durable."""

    async def get(self, name: str) -> bytes | None:
        """None when it is not there."""


def open_archive(place: str) -> Archive:
    """``place`` is a path, a ``file://`` URL or an object store's URL."""
    if "://" not in place or place.startswith("file://"):
        return DirectoryArchive(Path(unquote(place.removeprefix("file://"))))
    return RemoteArchive(place)


class DirectoryArchive:
    """Files of a directory, for their owner alone; both are made when they are needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.expanduser().absolute()

    async def put(self, name: str, data: bytes) -> None:
        await self._step(lambda: self._put(name, data))

    async def get(self, name: str) -> bytes | None:
        found: list[bytes] = []

        def read() -> None:
            path = self._directory / name
            if path.exists():
                found.append(path.read_bytes())

        await self._step(read)
        return found[0] if found else None

    def _put(self, name: str, data: bytes) -> None:
        # By itself: ``parents`` takes no mode.
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self._directory / name, data)

    async def _step(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except OSError as error:
            raise StoreUnavailable("The backup's place cannot be used", debug=str(error)) from error


def _write(path: Path, data: bytes) -> None:
    """For nobody else to read: a backup has everything that people said."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    # What stands there already may be another user's file, or a link to one.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class RemoteArchive:
    """Credentials are the environment's. ``remote`` makes the store when it is first used."""

    def __init__(self, url: str, remote: Callable[[str], RemoteStore] | None = None) -> None:
        self._url = url
        self._make = remote
        self._made: RemoteStore | None = None

    async def put(self, name: str, data: bytes) -> None:
        import obstore

        async def put(store: RemoteStore) -> None:
            await obstore.put_async(store, name, data)

        await self._step(put, name)

    async def get(self, name: str) -> bytes | None:
        import obstore

        async def get(store: RemoteStore) -> bytes | None:
            try:
                found = await obstore.get_async(store, name)
                return bytes(await found.bytes_async())
            except FileNotFoundError:
                return None

        return await self._step(get, name)

    async def _step(self, work: Callable[[RemoteStore], Awaitable[_T]], name: str) -> _T:
        from obstore.exceptions import BaseError

        try:
            if self._made is None:
                self._made = (self._make or _remote)(self._url)
            async with asyncio.timeout(TIMEOUT):
                return await work(self._made)
        except (BaseError, OSError, ValueError) as error:
            raise StoreUnavailable("The backup's place cannot be used", debug=f"{name}: {str(error)[:500]}") from error


def _remote(url: str) -> RemoteStore:
    from obstore.store import from_url

    return from_url(url)

"""Files of accounts: taken, listed, read and deleted.

Bytes come first and go last. A row is added when its bytes are durable, and bytes are deleted when no row names them:
what a crash leaves is bytes that nobody sees, which ``parlor fsck`` finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import structlog

from parlor.clock import Clock
from parlor.errors import (
    ContentTooLarge,
    Extra,
    FileNotFound,
    InvalidRequest,
    LimitReached,
    ParlorError,
    StoreUnavailable,
    UnsupportedMediaType,
)
from parlor.files.media_types import Sniffer
from parlor.files.ports import BlobWriter, FileStore
from parlor.model.access import Session
from parlor.model.cursors import InvalidCursor
from parlor.model.files import File, FilePage
from parlor.model.ids import FileId, IdMint, MessageId, RoomId, partition_of
from parlor.model.parts import FilePart, ImagePart, StoredPart, StoredParts
from parlor.settings.account_limits import AccountLimits
from parlor.settings.uploads import FileSettings
from parlor.store.files import FileQuota, FileRows, FileUse

_log = structlog.get_logger(__name__)


class Upload(Protocol):
    """A file while it comes."""

    async def write(self, data: bytes) -> None:
        """Raises ``ContentTooLarge``, ``UnsupportedMediaType`` as soon as it is certain, or ``StoreUnavailable``."""

    async def keep(self, name: str) -> File:
        """Returns the file when it is durable. Raises as ``write``, and ``InvalidRequest`` for one without bytes, or
        ``LimitReached``."""


class FileShelf(Protocol):
    """The files of accounts, as a front door asks for them. Another account's file is not found (I16)."""

    def receive(self, session: Session) -> AbstractAsyncContextManager[Upload]:
        """Begins to take a file; what was not kept when the block ends is gone. Entering raises ``LimitReached`` or
        ``StoreUnavailable``."""

    async def file(self, session: Session, file_id: str) -> File:
        """Raises ``FileNotFound``."""

    def read(self, file: File, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yields the bytes from ``start`` up to ``stop``. Raises ``FileNotFound`` or ``StoreUnavailable``."""

    async def page(self, session: Session, limit: int, cursor: str | None) -> FilePage:
        """Raises ``InvalidCursor``."""

    async def use(self, session: Session) -> FileUse:
        """How much of its quota the account has used."""

    async def delete(self, session: Session, file_id: str) -> None:
        """Raises ``FileNotFound``."""


class Named:
    """The parts of a message that is about to be sent, with what is known of its files."""

    def __init__(self, parts: StoredParts | None) -> None:
        self.parts = parts
        self.sent = True
        """Whether a message with this id was sent, or may have been."""


class Files:
    """``FileShelf`` over rows and a file store."""

    def __init__(
        self,
        rows: FileRows,
        store: FileStore,
        settings: FileSettings,
        limits: AccountLimits,
        mint: IdMint,
        clock: Clock,
    ) -> None:
        self._rows = rows
        self._store = store
        self._settings = settings
        self._limits = limits
        self._mint = mint
        self._clock = clock

    @asynccontextmanager
    async def receive(self, session: Session) -> AsyncGenerator[Upload]:
        # Asked first: nothing is written while the shard is down, or for an account that is full.
        use = await self._rows.use(session.home, session.account_db_key)
        quota = self._quota(session)
        for has, most in ((use.files, quota.files), (use.bytes, quota.bytes)):
            if most is not None and has >= most:
                raise _full(quota)
        file_id = self._mint.file_id(session.partition)
        async with self._store.writing(file_id) as writer:
            yield _Upload(self, session, file_id, writer, self._settings)

    async def use(self, session: Session) -> FileUse:
        return await self._rows.use(session.home, session.account_db_key)

    async def add(self, session: Session, file: File) -> File:
        """Adds the row of a file whose bytes are stored. Raises ``LimitReached`` or ``StoreUnavailable``."""
        # When this fails the row may be there all the same, so the bytes stay.
        quota = self._quota(session)
        added = await self._rows.add(session.home, session.account_db_key, file, quota)
        if added is None or added.blob_id != file.blob_id:
            await self._drop(file.blob_id)
        if added is None:
            raise _full(quota)
        return added

    async def file(self, session: Session, file_id: str) -> File:
        if partition_of(file_id) != session.partition:
            raise FileNotFound
        found = await self._rows.get(session.home, session.account_db_key, FileId(file_id))
        if found is None:
            raise FileNotFound
        return found

    def read(self, file: File, start: int, stop: int) -> AsyncGenerator[bytes]:
        return self._store.read(file.blob_id, start, stop)

    async def page(self, session: Session, limit: int, cursor: str | None) -> FilePage:
        if cursor is not None and partition_of(cursor) != session.partition:
            raise InvalidCursor
        before = None if cursor is None else FileId(cursor)
        found = await self._rows.page(session.home, session.account_db_key, limit + 1, before)
        page = found[:limit]
        return FilePage(page, page[-1].file_id if len(found) > limit else None)

    async def delete(self, session: Session, file_id: str) -> None:
        if partition_of(file_id) != session.partition:
            raise FileNotFound
        now = self._clock.now_ms()
        gone, blob_id = await self._rows.delete(session.home, session.account_db_key, FileId(file_id), now)
        if not gone:
            raise FileNotFound
        if blob_id is not None and await self._drop(blob_id):
            await self._rows.removal_done(session.home, blob_id)

    @asynccontextmanager
    async def named(
        self, session: Session, room_id: RoomId, message_id: MessageId, parts: StoredParts | None
    ) -> AsyncGenerator[Named]:
        """Notes that a message names its files, before it is sent: from then on they stay. When the block ends with a
        refusal, or says that it was not sent, that is taken back. Entering raises ``FileNotFound`` and
        ``InvalidRequest``."""
        asked = [FileId(part.file_id) for part in parts or () if isinstance(part, ImagePart | FilePart)]
        if parts is None or not asked:
            yield Named(parts)
            return
        found = await self._find(session, room_id, message_id, [*dict.fromkeys(asked)])
        named = Named(tuple(_described(part, found) for part in parts))
        try:
            yield named
        except ParlorError as error:
            # Of one that a retry can mend it is not known whether the message was sent.
            named.sent = error.retryable
            raise
        finally:
            if not named.sent:
                await self._forget(session, message_id)

    async def _find(
        self, session: Session, room_id: RoomId, message_id: MessageId, asked: list[FileId]
    ) -> dict[str, File]:
        if any(partition_of(file_id) != session.partition for file_id in asked):
            raise FileNotFound
        shard, account = session.home, session.account_db_key
        files = await self._rows.refer(shard, account, asked, message_id, room_id)
        if len(files) < len(asked):
            raise FileNotFound
        return {file.file_id: file for file in files}

    async def _forget(self, session: Session, message_id: MessageId) -> None:
        try:
            await self._rows.drop_references(session.home, message_id)
        except StoreUnavailable as error:
            # `parlor fsck` finds it; until then the files outlive their messages.
            _log.warning("file_references_left", message_id=message_id, debug=error.debug)

    async def close(self) -> None:
        await self._store.close()

    async def _drop(self, blob_id: FileId) -> bool:
        """Deletes bytes that no row names; whether the store did it."""
        try:
            await self._store.delete(blob_id)
        except StoreUnavailable as error:
            _log.warning("file_bytes_left", blob_id=blob_id, debug=error.debug)
            return False
        return True

    def _quota(self, session: Session) -> FileQuota:
        limits = self._limits.of(session.account_id)
        return FileQuota(limits.files, limits.file_bytes)


def _full(quota: FileQuota) -> LimitReached:
    files = "any number of" if quota.files is None else quota.files
    size = "" if quota.bytes is None else f" with {quota.bytes} bytes in all"
    return LimitReached(f"An account may have {files} files{size}; delete some first")


def _described(part: StoredPart, files: Mapping[str, File]) -> StoredPart:
    """Raises ``InvalidRequest`` for an image that is none."""
    if not isinstance(part, ImagePart | FilePart):
        return part
    file = files[part.file_id]
    if isinstance(part, ImagePart) and not file.media_type.startswith("image/"):
        raise InvalidRequest(f"The file {file.file_id} is no image but {file.media_type}")
    return type(part)(file.file_id, file.name, file.media_type, file.size)


class _Upload:
    def __init__(
        self, files: Files, session: Session, file_id: FileId, writer: BlobWriter, settings: FileSettings
    ) -> None:
        self._files = files
        self._session = session
        self._file_id = file_id
        self._writer = writer
        self._settings = settings
        self._sniffer = Sniffer()
        self._digest = hashlib.sha256()
        self._size = 0

    async def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._settings.size_max:
            raise ContentTooLarge(f"A file may have {self._settings.size_max} bytes")
        self._digest.update(data)
        self._sniffer.feed(data)
        if (kind := self._sniffer.binary_type) is not None:
            self._require(kind)
        await self._writer.write(data)

    async def keep(self, name: str) -> File:
        if not self._size:
            empty: Extra = {"errors": [{"loc": ["body", "file"], "msg": "The file is empty", "type": "value_error"}]}
            raise InvalidRequest("The file is empty", extra=empty)
        media_type = self._sniffer.media_type(name)
        self._require(media_type)
        await self._writer.keep()
        created_at = int(self._file_id.replace("-", "")[:12], 16)
        file = File(self._file_id, self._file_id, name, media_type, self._size, self._digest.hexdigest(), created_at)
        return await self._files.add(self._session, file)

    def _require(self, media_type: str) -> None:
        if media_type not in self._settings.types:
            raise UnsupportedMediaType(f"Files of the type {media_type} are not taken: that is what the bytes are")

"""Files: what is known of them beside their bytes."""

from __future__ import annotations

import msgspec

from parlor.model.ids import FileId


class File(msgspec.Struct, frozen=True):
    """A file of an account."""

    file_id: FileId
    blob_id: FileId
    """Names the bytes in the file store: the id of the upload that brought them. An account's equal bytes are there
    once."""
    name: str
    media_type: str
    """As its first bytes say, whatever the client said."""
    size: int
    sha256: str
    """Of the bytes, in hexadecimal."""
    created_at: int
    """Unix milliseconds."""


class FilePage(msgspec.Struct, frozen=True):
    """Files of an account, newest first."""

    files: list[File]
    next_cursor: str | None

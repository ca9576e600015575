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


class PromptImage(msgspec.Struct, frozen=True):
    """An image as a language model is shown it."""

    media_type: str
    data: bytes
    file: File | None = None
    """The account's file that it is; None for one that a request brought along."""


class ShownFile(msgspec.Struct, frozen=True):
    """What a prompt has of a file."""

    file_id: str
    name: str
    state: str
    """``whole``, ``cut``, ``gone``, or ``unreadable``: nothing of it could be shown."""
    shown: int = 0
    """Characters of its text in the prompt."""
    characters: int = 0
    """Characters of its whole text."""


class Attached(msgspec.Struct, frozen=True):
    """What the files of a message add to a prompt."""

    text: str = ""
    images: tuple[PromptImage, ...] = ()
    files: tuple[ShownFile, ...] = ()

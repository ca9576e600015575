"""Requests and responses about files, as in ``api.schemas``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.fields import ListCursor, Timestamp, _Answer, _Body, _Query


class FileListRequest(_Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: ListCursor | None = None
    """`next_cursor` of the page before."""


class File(_Body):
    file_id: str
    name: str
    """The last part of the name that the file was sent with, on one line."""
    media_type: str
    """As the bytes say, whatever the request said."""
    size: int
    """Bytes."""
    sha256: str
    """Of the bytes, in hexadecimal."""
    created_at: Timestamp


class FileResponse(File, _Answer):
    """A file."""


class FileListResponse(_Answer):
    files: list[File]
    next_cursor: str | None

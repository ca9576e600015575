"""Values on their way into SQLite: ids and batches of rows."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from parlor.store.ports import RowRefused
from parlor.store.rows import is_id

_T = TypeVar("_T")


def id_bytes(text: object) -> bytes | None:
    """An id's 16 bytes; None, which no column takes, for anything that is no id."""
    return bytes.fromhex(text.replace("-", "")) if isinstance(text, str) and is_id(text) else None


def decode_rows(text: object, kind: type[_T]) -> _T:
    """Raises ``RowRefused`` for JSON of another shape."""
    try:
        return msgspec.json.decode(str(text), type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise RowRefused("The batch is not an array of rows", debug=str(error)) from error

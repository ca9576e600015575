"""A message on its way in and out of a shard: the row of JSON that procedures take, and the columns that they return.

Both follow from the table of columns. Ids are text on the way in and 16 bytes on the way out; a field that is NULL is
left out of the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from parlor.errors import StoreUnavailable
from parlor.model.messages import MessageDoc, MessageRow
from parlor.store.columns import DOC_COLUMNS, KEY, Column, Columns, Kind
from parlor.store.ports import MessageSave, VersionSave

_LENGTHS = {Kind.JSON: 1, Kind.TEXT: 2}
"""Long fields come last: a server looks for each field from the row's start."""
_json = msgspec.json.Decoder()


def save_row_type(columns: Columns) -> type[msgspec.Struct]:
    """The row that saves a message; required fields are those whose column is not NULL."""
    fields: list[Any] = []
    for column in (*KEY, *sorted(columns, key=lambda column: _LENGTHS.get(column.kind, 0))):
        plain = int if column.kind is Kind.INTEGER else str
        fields.append((column.name, plain | None, None) if column.nullable else (column.name, plain))
    return msgspec.defstruct("MessageSaveRow", fields, frozen=True, omit_defaults=True, kw_only=True)


if TYPE_CHECKING:

    class MessageSaveRow(msgspec.Struct, frozen=True):
        """A message, or what it said before: its key, and a field for each column."""

        room_id: str
        seq: int

else:
    MessageSaveRow = save_row_type(DOC_COLUMNS)


def save_row(save: MessageSave | VersionSave) -> MessageSaveRow:
    values = {column.name: _value(save.doc, column) for column in DOC_COLUMNS}
    return MessageSaveRow(room_id=save.room_id, seq=save.seq, **values)


def _value(doc: MessageDoc, column: Column) -> Any:
    value: object = doc
    for name in (column.field or column.name).split("."):
        value = getattr(value, name) if value is not None else None
    return msgspec.json.encode(value).decode() if column.kind is Kind.JSON and value is not None else value


def message_row(row: tuple[object, ...]) -> MessageRow:
    """From ``seq``, the columns of the table and ``deleted_at``. Raises ``StoreUnavailable`` for any other row."""
    seq, *values, deleted_at = row
    try:
        doc = _document(dict(zip(DOC_COLUMNS, values, strict=True)))
        return msgspec.convert({"seq": seq, "doc": doc, "deleted": deleted_at is not None}, MessageRow)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        # Another program's table, or a newer one's: nothing that a caller could repair.
        raise StoreUnavailable(debug=f"a row is not a message: {error}") from error


def _document(values: Mapping[Column, object]) -> dict[str, object]:
    """A ``MessageDoc``'s fields. A field that several columns make up is left out when one of them is NULL."""
    found: dict[str, object] = {}
    parts: dict[str, dict[str, object]] = {}
    for column, value in values.items():
        whole, _, part = (column.field or column.name).partition(".")
        if part:
            parts.setdefault(whole, {})[part] = value
        else:
            found[whole] = _read(column, value)
    whole_ones = {name: fields for name, fields in parts.items() if None not in fields.values()}
    return {**found, **whole_ones}


def _read(column: Column, value: Any) -> object:
    if column.kind is Kind.ID and value is not None:
        return str(UUID(bytes=value))
    return _json.decode(value) if column.kind is Kind.JSON and value is not None else value

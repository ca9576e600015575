"""Rows on their way in and out of a shard: the JSON that procedures take, and the columns that they return.

Ids are canonical 36-character text on the way in and 16 bytes on the way out. An absent field is NULL. Metadata is
JSON inside a string, so that no server rewrites it. Rows are sorted by primary key, so that batches lock in one order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias, TypeVar
from uuid import UUID

import msgspec

from parlor.errors import StoreUnavailable
from parlor.ids import AccountId, MessageId, Partition, RoomId
from parlor.model import (
    AccountRow,
    DailyUse,
    FinishReason,
    JsonObject,
    MessageDoc,
    MessageRow,
    QueuePosition,
    RoomRow,
    SenderType,
    Usage,
)
from parlor.store.ports import (
    Batch,
    Fence,
    MessageDelete,
    MessageSave,
    PartitionProgress,
    RoomCreate,
    RoomDelete,
    RoomTouch,
    RoomUpdate,
    RowRefused,
    SummarySave,
    VersionSave,
)

Args: TypeAlias = tuple[str | int | None, ...]
"""What a procedure is called with."""
Row: TypeAlias = tuple[object, ...]
"""What a driver returns for one row."""

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IDS = frozenset({"room_id", "message_id", "parent_message_id"})
TEXT_LIMIT = 2**22 - 1
"""Characters of one text: in UTF-8 they fit into a MEDIUMTEXT whatever they are."""
_metadata = msgspec.json.Decoder(JsonObject)
_numbers = msgspec.json.Decoder(list[int])


class FenceRow(msgspec.Struct, frozen=True):
    partition: int
    epoch: int
    incarnation: int
    number: int


class MessageSaveRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message, or what it said before."""

    room_id: str
    seq: int
    message_id: str
    sender_type: str
    sent_at: int
    version: int
    attempt: int
    metadata: str
    content: str
    """After the short fields: a server looks for each field from the row's start."""
    ai_persona: str | None = None
    parent_message_id: str | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error_code: str | None = None
    error_detail: str | None = None


class RoomTouchRow(msgspec.Struct, frozen=True, omit_defaults=True):
    room_id: str
    last_seq: int
    message_count: int
    last_message_at: int | None = None


class BatchRows(msgspec.Struct, frozen=True):
    """The second argument of ``fp_writer_apply``. The long parts come last: a server looks for each from the start."""

    room_creates: list[RoomCreate] = []
    room_touches: list[RoomTouchRow] = []
    room_updates: list[RoomUpdate] = []
    summary_saves: list[SummarySave] = []
    message_deletes: list[MessageDelete] = []
    room_deletes: list[RoomDelete] = []
    daily_uses: list[DailyUse] = []
    version_saves: list[MessageSaveRow] = []
    message_saves: list[MessageSaveRow] = []


def is_id(text: str) -> bool:
    """Whether it is an id in its one spelling; nothing else is ever stored or found."""
    return _ID.fullmatch(text) is not None


def encode_fences(fences: Iterable[Fence]) -> str:
    rows = [FenceRow(f.partition, f.epoch, f.applied.incarnation, f.applied.number) for f in fences]
    return msgspec.json.encode(sorted(rows, key=lambda row: row.partition)).decode()


def encode_batch(batch: Batch) -> str:
    """Raises ``RowRefused`` for what no JSON or no database can hold."""
    try:
        rows = BatchRows(
            room_creates=sorted(batch.room_creates, key=lambda row: row.room_id),
            message_saves=_save_rows(batch.message_saves),
            version_saves=_save_rows(batch.version_saves),
            room_touches=_latest_touches(batch.room_touches),
            room_updates=_highest_versions(batch.room_updates),
            summary_saves=_highest_versions(batch.summary_saves),
            message_deletes=sorted(batch.message_deletes, key=lambda row: (row.room_id, row.seq)),
            room_deletes=sorted(batch.room_deletes, key=lambda row: row.room_id),
            daily_uses=sorted(batch.daily_uses, key=lambda row: (row.account_db_key, row.day)),
        )
        for row in _all(rows):
            _check(row)
        return msgspec.json.encode(rows).decode()
    except (UnicodeError, OverflowError, TypeError, RecursionError) as error:
        raise RowRefused("A row cannot be written as JSON", debug=repr(error)) from error


def _save_rows(saves: Iterable[MessageSave | VersionSave]) -> list[MessageSaveRow]:
    return sorted(map(_save_row, saves), key=lambda row: (row.room_id, row.seq, row.version))


def _save_row(save: MessageSave | VersionSave) -> MessageSaveRow:
    doc = save.doc
    return MessageSaveRow(
        room_id=save.room_id,
        seq=save.seq,
        message_id=doc.message_id,
        sender_type=doc.sender_type,
        content=doc.content,
        sent_at=doc.timestamp,
        version=doc.version,
        attempt=doc.attempt,
        metadata=msgspec.json.encode(doc.metadata).decode(),
        ai_persona=doc.ai_persona,
        parent_message_id=doc.parent_message_id,
        finish_reason=doc.finish_reason,
        input_tokens=doc.usage.input_tokens if doc.usage else None,
        output_tokens=doc.usage.output_tokens if doc.usage else None,
        error_code=doc.error_code,
        error_detail=doc.error_detail,
    )


def _latest_touches(touches: Iterable[RoomTouch]) -> list[RoomTouchRow]:
    """One for each room: a later one that is not older wins, as if they were applied one by one."""
    latest: dict[RoomId, RoomTouch] = {}
    for touch in touches:
        if touch.room_id not in latest or touch.last_seq >= latest[touch.room_id].last_seq:
            latest[touch.room_id] = touch
    return [
        RoomTouchRow(touch.room_id, touch.last_seq, touch.message_count, touch.last_message_at)
        for touch in sorted(latest.values(), key=lambda touch: touch.room_id)
    ]


_Versioned = TypeVar("_Versioned", RoomUpdate, SummarySave)


def _highest_versions(changes: Iterable[_Versioned]) -> list[_Versioned]:
    """One for each room: of equal versions the first, as if they were applied one by one."""
    highest: dict[RoomId, _Versioned] = {}
    for change in changes:
        if change.room_id not in highest or change.version > highest[change.room_id].version:
            highest[change.room_id] = change
    return sorted(highest.values(), key=lambda change: change.room_id)


def _all(rows: BatchRows) -> Iterator[msgspec.Struct]:
    for name in BatchRows.__struct_fields__:
        yield from getattr(rows, name)


def _check(row: msgspec.Struct) -> None:
    """Refuses what a server would take wrongly: MariaDB clips numbers and cuts texts inside JSON_TABLE."""
    for name in row.__struct_fields__:
        value = getattr(row, name)
        if isinstance(value, int):
            fits = -(2**63) <= value < 2**63
        elif isinstance(value, str):
            fits = is_id(value) if name in _IDS else len(value) <= TEXT_LIMIT
        else:
            fits = True
        if not fits:
            # Never the value: it may be what somebody wrote.
            size = len(value) if isinstance(value, str) else value.bit_length()
            raise RowRefused(f"A row's {name} does not fit", debug=f"{name}: {type(value).__name__} of size {size}")


class _RoomColumns(msgspec.Struct, frozen=True, array_like=True):
    room_id: bytes
    account_id: AccountId
    account_db_key: int
    title: str
    ai_persona: str
    created_at: int
    last_message_at: int | None
    message_count: int
    version: int
    last_seq: int


class _FullRoomColumns(_RoomColumns, frozen=True, array_like=True):
    summary: str
    summary_through: int
    summary_at: int | None
    summary_version: int


class _MessageColumns(msgspec.Struct, frozen=True, array_like=True):
    seq: int
    message_id: bytes
    sender_type: SenderType
    content: str
    sent_at: int
    version: int
    attempt: int
    ai_persona: str | None
    parent_message_id: bytes | None
    finish_reason: FinishReason | None
    input_tokens: int | None
    output_tokens: int | None
    error_code: str | None
    error_detail: str | None
    metadata: str
    deleted_at: int | None


class _ProgressColumns(msgspec.Struct, frozen=True, array_like=True):
    partition: Partition
    epoch: int
    incarnation: int
    applied_incarnation: int
    applied_number: int


class _AccountColumns(msgspec.Struct, frozen=True, array_like=True):
    account_id: AccountId
    account_db_key: int
    partition: Partition


class _DailyColumns(msgspec.Struct, frozen=True, array_like=True):
    account_db_key: int
    day: str
    messages: int
    input_tokens: int
    output_tokens: int


_Columns = TypeVar("_Columns")


def _read(row: Row, columns: type[_Columns]) -> _Columns:
    try:
        return msgspec.convert(row, columns)
    except msgspec.ValidationError as error:
        # Another program's table, or a newer one's: nothing that a caller could repair.
        raise StoreUnavailable(debug=f"a row does not fit {columns.__name__}: {error}") from error


def room_row(row: Row) -> RoomRow:
    """Of a list: without the summary."""
    return _room(_read(row, _RoomColumns))


def full_room_row(row: Row) -> RoomRow:
    found = _read(row, _FullRoomColumns)
    return msgspec.structs.replace(
        _room(found),
        summary=found.summary,
        summary_through=found.summary_through,
        summary_at=found.summary_at,
        summary_version=found.summary_version,
    )


def _room(found: _RoomColumns) -> RoomRow:
    return RoomRow(
        room_id=RoomId(str(UUID(bytes=found.room_id))),
        account_id=found.account_id,
        account_db_key=found.account_db_key,
        title=found.title,
        ai_persona=found.ai_persona,
        created_at=found.created_at,
        last_message_at=found.last_message_at,
        message_count=found.message_count,
        version=found.version,
        last_seq=found.last_seq,
    )


def message_row(row: Row) -> MessageRow:
    found = _read(row, _MessageColumns)
    usage = None
    if found.input_tokens is not None and found.output_tokens is not None:
        usage = Usage(found.input_tokens, found.output_tokens)
    doc = MessageDoc(
        message_id=MessageId(str(UUID(bytes=found.message_id))),
        sender_type=found.sender_type,
        content=found.content,
        timestamp=found.sent_at,
        version=found.version,
        attempt=found.attempt,
        ai_persona=found.ai_persona,
        parent_message_id=MessageId(str(UUID(bytes=found.parent_message_id))) if found.parent_message_id else None,
        finish_reason=found.finish_reason,
        usage=usage,
        error_code=found.error_code,
        error_detail=found.error_detail,
        metadata=_metadata.decode(found.metadata),
    )
    return MessageRow(seq=found.seq, doc=doc, deleted=found.deleted_at is not None)


def progress_row(row: Row) -> PartitionProgress:
    found = _read(row, _ProgressColumns)
    applied = QueuePosition(found.applied_incarnation, found.applied_number)
    return PartitionProgress(found.partition, found.epoch, found.incarnation, applied)


def account_row(row: Row) -> AccountRow:
    found = _read(row, _AccountColumns)
    return AccountRow(found.account_id, found.account_db_key, found.partition)


def daily_row(row: Row) -> DailyUse:
    found = _read(row, _DailyColumns)
    return DailyUse(found.account_db_key, found.day, found.messages, found.input_tokens, found.output_tokens)


def refused_partitions(rows: list[Row]) -> list[Partition]:
    """The answer of ``fp_writer_apply``."""
    (text,) = rows[0]
    if not isinstance(text, str | bytes):
        raise StoreUnavailable(debug=f"fp_writer_apply answered {type(text).__name__}")
    return [Partition(number) for number in _numbers.decode(text)]

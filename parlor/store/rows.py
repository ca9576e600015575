"""Rows on their way in and out of a shard: the JSON that procedures take, and the columns that they return.

Ids are canonical 36-character text on the way in and 16 bytes on the way out. An absent field is NULL. Metadata is
JSON inside a string, so that no server rewrites it. Rows are sorted by primary key, so that batches lock in one order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar
from uuid import UUID

import msgspec

from parlor.errors import StoreUnavailable
from parlor.model.access import AccountRow, DailyUse
from parlor.model.ids import MessageId, Partition, RoomId
from parlor.model.messages import QueuePosition
from parlor.model.rooms import RoomRow
from parlor.store.columns import DOC_COLUMNS, FULL_ROOM, KEY, LISTED_ROOM, Kind
from parlor.store.message_rows import MessageSaveRow, save_row
from parlor.store.ports import (
    Batch,
    CallNote,
    DaySpan,
    Fence,
    MessageDelete,
    MessageSave,
    PartitionProgress,
    RoomCreate,
    RoomDelete,
    RoomTouch,
    RoomUpdate,
    RowRefused,
    SearchNote,
    SummarySave,
    Use,
    VersionSave,
)

Args: TypeAlias = tuple[str | int | None, ...]
"""What a procedure is called with."""
Row: TypeAlias = tuple[object, ...]
"""What a driver returns for one row."""

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
IDS = frozenset(column.name for column in (*KEY, *DOC_COLUMNS) if column.kind is Kind.ID)
"""Fields that hold an id."""
TEXT_LIMIT = 2**22 - 1
"""Characters of one text: in UTF-8 they fit into a MEDIUMTEXT whatever they are."""
_numbers = msgspec.json.Decoder(list[int])


class FenceRow(msgspec.Struct, frozen=True):
    partition: int
    epoch: int
    incarnation: int
    number: int


class RoomTouchRow(msgspec.Struct, frozen=True, omit_defaults=True):
    room_id: str
    last_seq: int
    message_count: int
    last_message_at: int | None = None


class BatchRows(msgspec.Struct, frozen=True):
    """The second argument of ``fp_writer_apply``. The longest part comes last: a server looks for each from the
    start."""

    room_creates: list[RoomCreate] = []
    room_touches: list[RoomTouchRow] = []
    room_updates: list[RoomUpdate] = []
    summary_saves: list[SummarySave] = []
    message_deletes: list[MessageDelete] = []
    room_deletes: list[RoomDelete] = []
    uses: list[Use] = []
    search_notes: list[SearchNote] = []
    call_notes: list[CallNote] = []
    version_saves: list[MessageSaveRow] = []


def is_id(text: str) -> bool:
    """Whether ``text`` is an id in the canonical spelling; nothing else is ever stored or found."""
    return _ID.fullmatch(text) is not None


def encode_fences(fences: Iterable[Fence]) -> str:
    rows = [FenceRow(f.partition, f.epoch, f.applied.incarnation, f.applied.number) for f in fences]
    return msgspec.json.encode(sorted(rows, key=lambda row: row.partition)).decode()


def encode_days(days: Sequence[DaySpan]) -> str:
    return msgspec.json.encode(days).decode()


def encode_batch(batch: Batch) -> tuple[str, str]:
    """The second and the third argument of ``fp_writer_apply``: ``BatchRows``, and the rows of its messages. Raises
    ``RowRefused`` for what no JSON or no database can hold."""
    try:
        saves = _save_rows(batch.message_saves)
        rows = BatchRows(
            room_creates=sorted(batch.room_creates, key=lambda row: row.room_id),
            version_saves=_save_rows(batch.version_saves),
            room_touches=_latest_touches(batch.room_touches),
            room_updates=_highest_updates(batch.room_updates),
            summary_saves=_highest_summaries(batch.summary_saves),
            message_deletes=sorted(batch.message_deletes, key=lambda row: (row.room_id, row.seq)),
            room_deletes=sorted(batch.room_deletes, key=lambda row: row.room_id),
            uses=sorted(batch.uses, key=lambda row: (row.account_db_key, row.quarter)),
            search_notes=sorted(batch.search_notes, key=lambda row: (row.room_id, row.seq)),
            call_notes=sorted(batch.call_notes, key=lambda row: (row.room_id, row.seq)),
        )
        for row in (*saves, *_all(rows)):
            _check(row)
        return msgspec.json.encode(rows).decode(), msgspec.json.encode(saves).decode()
    except (UnicodeError, OverflowError, TypeError, RecursionError) as error:
        raise RowRefused("A row cannot be written as JSON", debug=repr(error)) from error


def _save_rows(saves: Iterable[MessageSave | VersionSave]) -> list[MessageSaveRow]:
    """One for each version of a message: of repeats the first, as if they were applied one by one."""
    first: dict[tuple[RoomId, int, int, MessageId], MessageSave | VersionSave] = {}
    for save in saves:
        first.setdefault((save.room_id, save.seq, save.doc.version, save.doc.message_id), save)
    return [save_row(save) for save in sorted(first.values(), key=lambda it: (it.room_id, it.seq, it.doc.version))]


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


def _highest_updates(updates: Iterable[RoomUpdate]) -> list[RoomUpdate]:
    """One for each room: of equal versions the first, as if they were applied one by one."""
    highest: dict[RoomId, RoomUpdate] = {}
    for update in updates:
        lower = highest.get(update.room_id)
        if lower is None or update.version > lower.version:
            highest[update.room_id] = update.after(lower)
    return sorted(highest.values(), key=lambda update: update.room_id)


def _highest_summaries(saves: Iterable[SummarySave]) -> list[SummarySave]:
    """The same for summaries."""
    highest: dict[RoomId, SummarySave] = {}
    for save in saves:
        if save.room_id not in highest or save.version > highest[save.room_id].version:
            highest[save.room_id] = save
    return sorted(highest.values(), key=lambda save: save.room_id)


def _all(rows: BatchRows) -> Iterator[msgspec.Struct]:
    for name in BatchRows.__struct_fields__:
        yield from getattr(rows, name)


def _check(row: msgspec.Struct) -> None:
    """Refuses what a server would silently change: MariaDB clips numbers and cuts texts inside JSON_TABLE."""
    for name in row.__struct_fields__:
        value = getattr(row, name)
        if isinstance(value, int):
            fits = -(2**63) <= value < 2**63
        elif isinstance(value, str):
            fits = is_id(value) if name in IDS else len(value) <= TEXT_LIMIT
        else:
            fits = True
        if not fits:
            # Never the value: it may be what somebody wrote.
            size = len(value) if isinstance(value, str) else value.bit_length()
            raise RowRefused(f"A row's {name} does not fit", debug=f"{name}: {type(value).__name__} of size {size}")


class _Progress(msgspec.Struct, frozen=True):
    partition: Partition
    epoch: int
    incarnation: int
    applied_incarnation: int
    applied_number: int


_Struct = TypeVar("_Struct")


def _read(kind: type[_Struct], names: Sequence[str], row: Row) -> _Struct:
    try:
        values = dict(zip(names, row, strict=True))
        if "room_id" in values:
            values["room_id"] = str(UUID(bytes=values["room_id"]))  # type: ignore[arg-type]  # checked: TypeError
        return msgspec.convert(values, kind)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        # Another program's table, or a newer one's: nothing that a caller could repair.
        raise StoreUnavailable(debug=f"a row does not fit {kind.__name__}: {error}") from error


def room_row(row: Row) -> RoomRow:
    """A room of a list, without its summary."""
    return _read(RoomRow, LISTED_ROOM, row)


def full_room_row(row: Row) -> RoomRow:
    return _read(RoomRow, FULL_ROOM, row)


class _RoomId(msgspec.Struct, frozen=True):
    room_id: RoomId


def room_id_row(row: Row) -> RoomId:
    return _read(_RoomId, _RoomId.__struct_fields__, row).room_id


def account_row(row: Row) -> AccountRow:
    return _read(AccountRow, AccountRow.__struct_fields__, row)


def daily_row(row: Row) -> DailyUse:
    return _read(DailyUse, DailyUse.__struct_fields__, row)


def progress_row(row: Row) -> PartitionProgress:
    found = _read(_Progress, _Progress.__struct_fields__, row)
    applied = QueuePosition(found.applied_incarnation, found.applied_number)
    return PartitionProgress(found.partition, found.epoch, found.incarnation, applied)


def refused_partitions(rows: list[Row]) -> list[Partition]:
    """The answer of ``fp_writer_apply``."""
    (text,) = rows[0]
    if not isinstance(text, str | bytes):
        raise StoreUnavailable(debug=f"fp_writer_apply answered {type(text).__name__}")
    return [Partition(number) for number in _numbers.decode(text)]

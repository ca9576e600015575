"""Making one transaction of queued operations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import structs

from parlor.cache.queue import QueueEntry
from parlor.ids import MessageId, Partition, RoomId
from parlor.model import DailyUse, QueuePosition, SenderType
from parlor.store.ports import (
    Batch,
    Fence,
    MessageDelete,
    MessageSave,
    RoomCreate,
    RoomDelete,
    RoomTouch,
    RoomUpdate,
    SummarySave,
    VersionSave,
)


def build_batch(entries: Sequence[QueueEntry], wanted: Sequence[bool], epochs: dict[Partition, int]) -> Batch:
    """``entries`` in queue order, with whether each is still wanted: a save of what was deleted meanwhile is not.

    What is not wanted gets its tombstone at once, with the time of its save. The delete that stands behind it would
    leave one as well, but if Redis loses its memory in between the place would stay empty, and no page could pass it.
    Of several saves of one message, titles or summaries only the newest is written. The newest is not always the last:
    a dead letter that is replayed stands behind what came after it.
    """
    applied: dict[Partition, QueuePosition] = {}
    creates: dict[RoomId, RoomCreate] = {}
    saves: dict[tuple[RoomId, int], MessageSave] = {}
    versions: dict[tuple[RoomId, int, int], VersionSave] = {}
    touches: dict[RoomId, RoomTouch] = {}
    updates: dict[RoomId, RoomUpdate] = {}
    summaries: dict[RoomId, SummarySave] = {}
    deletes: dict[tuple[RoomId, int], MessageDelete] = {}
    room_deletes: dict[RoomId, RoomDelete] = {}
    uses: dict[tuple[int, str], DailyUse] = {}
    for entry, keep in zip(entries, wanted, strict=True):
        room, address = entry.address.room_id, entry.address
        applied[entry.partition] = max(entry.position, applied.get(entry.partition, entry.position))
        match entry.op:
            case "CHAT_ROOM_CREATE":
                creates[room] = RoomCreate(
                    room_id=room,
                    partition=entry.partition,
                    account_id=address.account_id,
                    account_db_key=address.account_db_key,
                    title=entry.title or "",
                    ai_persona=entry.persona,
                    created_at=entry.at,
                    version=entry.version,
                )
            case "CHAT_MESSAGE_SAVE":
                if entry.doc is not None and not keep:
                    deletes.setdefault((room, entry.seq), _delete(entry))
                elif entry.doc is not None:
                    known = saves.get((room, entry.seq))
                    if known is None or known.doc.version <= entry.doc.version:
                        saves[room, entry.seq] = MessageSave(room, entry.seq, entry.doc)
                    if entry.past is not None:
                        versions[room, entry.seq, entry.past.version] = VersionSave(room, entry.seq, entry.past)
                _touch(touches, entry)
                _use(uses, entry)
            case "CHAT_ROOM_UPDATE":
                title, summary = updates.get(room), summaries.get(room)
                if entry.title is not None and (title is None or title.version <= entry.version):
                    updates[room] = RoomUpdate(room, entry.title, entry.version)
                if entry.summary is not None and (summary is None or summary.version <= entry.summary_version):
                    summaries[room] = SummarySave(
                        room, entry.summary, entry.through_seq, entry.summary_version, entry.at
                    )
            case "CHAT_MESSAGE_DELETE":
                deletes[room, entry.seq] = _delete(entry)
                _touch(touches, entry)
            case "CHAT_ROOM_DELETE":
                room_deletes[room] = RoomDelete(
                    room, entry.partition, address.account_id, address.account_db_key, entry.at
                )
    return Batch(
        fences=[Fence(partition, epochs[partition], applied[partition]) for partition in sorted(applied)],
        room_creates=[creates[room] for room in sorted(creates)],
        message_saves=[saves[place] for place in sorted(saves)],
        version_saves=[versions[place] for place in sorted(versions)],
        room_touches=[touches[room] for room in sorted(touches)],
        room_updates=[updates[room] for room in sorted(updates)],
        summary_saves=[summaries[room] for room in sorted(summaries)],
        message_deletes=[deletes[place] for place in sorted(deletes)],
        room_deletes=[room_deletes[room] for room in sorted(room_deletes)],
        daily_uses=[uses[day] for day in sorted(uses)],
    )


def _delete(entry: QueueEntry) -> MessageDelete:
    delete = MessageDelete(entry.address.room_id, entry.seq, entry.message_id or MessageId(""), entry.at)
    if entry.doc is not None:
        delete = structs.replace(delete, sender_type=entry.doc.sender_type, sent_at=entry.doc.timestamp)
    return delete


def _touch(touches: dict[RoomId, RoomTouch], entry: QueueEntry) -> None:
    room = entry.address.room_id
    known = touches.get(room)
    if known is None or known.last_seq <= entry.last_seq:
        touches[room] = RoomTouch(room, entry.last_seq, entry.count, entry.active)


def _use(uses: dict[tuple[int, str], DailyUse], entry: QueueEntry) -> None:
    """Counted with the end of each message: the row of a reserved reply counts nothing, a further end only tokens."""
    if entry.doc is None or not entry.final:
        return
    usage = entry.doc.usage if entry.doc.sender_type is SenderType.AI else None
    day = f"{datetime.fromtimestamp(entry.at // 1000, UTC):%Y-%m-%d}"
    key = (entry.address.account_db_key, day)
    known = uses.get(key) or DailyUse(*key, 0, 0, 0)
    uses[key] = DailyUse(
        *key,
        known.messages + (0 if entry.recount else 1),
        known.input_tokens + (usage.input_tokens if usage else 0),
        known.output_tokens + (usage.output_tokens if usage else 0),
    )

"""Making one transaction of queued operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec import structs

from parlor.cache.queue import QueueEntry
from parlor.model.ids import MessageId, Partition, RoomId, home_of
from parlor.model.messages import QueuePosition, SenderType, Usage
from parlor.model.parts import approved_digests, waits_for_decision
from parlor.store.ports import (
    QUARTER_SECONDS,
    Batch,
    CallNote,
    Fence,
    MessageDelete,
    MessageSave,
    RoomCreate,
    RoomDelete,
    RoomTouch,
    RoomUpdate,
    SearchNote,
    SummarySave,
    Use,
    VersionSave,
)

_Key = TypeVar("_Key", RoomId, tuple[RoomId, int], tuple[RoomId, int, int], tuple[int, int])
_Row = TypeVar("_Row")

FIRST_END = 1
"""The version of a reply that ends without having waited for anybody, or begun anew."""


def build_batch(entries: Sequence[QueueEntry], wanted: Sequence[bool], epochs: dict[Partition, int]) -> Batch:
    """``entries`` in queue order, with whether each is still wanted: a save of what was deleted meanwhile is not."""
    rows = _Rows()
    for entry, keep in zip(entries, wanted, strict=True):
        rows.add(entry, keep=keep)
    return rows.batch(epochs)


class _Rows:
    """The rows of a batch, by what each is about. Of several saves of one message, titles or summaries only the newest
    is written. The newest is not always the last: a dead letter that is replayed stands behind what came after it."""

    def __init__(self) -> None:
        self._applied: dict[Partition, QueuePosition] = {}
        self._creates: dict[RoomId, RoomCreate] = {}
        self._saves: dict[tuple[RoomId, int], MessageSave] = {}
        self._versions: dict[tuple[RoomId, int, int], VersionSave] = {}
        self._touches: dict[RoomId, RoomTouch] = {}
        self._titles: dict[RoomId, RoomUpdate] = {}
        self._summaries: dict[RoomId, SummarySave] = {}
        self._deletes: dict[tuple[RoomId, int], MessageDelete] = {}
        self._room_deletes: dict[RoomId, RoomDelete] = {}
        self._uses: dict[tuple[int, int], Use] = {}

    def add(self, entry: QueueEntry, *, keep: bool) -> None:
        self._applied[entry.partition] = max(entry.position, self._applied.get(entry.partition, entry.position))
        match entry.op:
            case "CHAT_ROOM_CREATE":
                self._create_room(entry)
            case "CHAT_MESSAGE_SAVE":
                self._save_message(entry, keep=keep)
            case "CHAT_ROOM_UPDATE":
                self._update_room(entry)
            case "CHAT_MESSAGE_DELETE":
                self._deletes[entry.address.room_id, entry.seq] = _delete(entry)
                self._touch(entry)
            case "CHAT_ROOM_DELETE":
                self._delete_room(entry)
            case "CHAT_USAGE_ADD":
                self._use(entry, entry.at, 0, entry.usage)

    def batch(self, epochs: dict[Partition, int]) -> Batch:
        """Everything that was added, sorted so that all batches lock rows in one order."""
        applied = sorted(self._applied.items())
        return Batch(
            fences=[Fence(partition, epochs[partition], position) for partition, position in applied],
            room_creates=_sorted(self._creates),
            message_saves=_sorted(self._saves),
            version_saves=_sorted(self._versions),
            room_touches=_sorted(self._touches),
            room_updates=_sorted(self._titles),
            summary_saves=_sorted(self._summaries),
            message_deletes=_sorted(self._deletes),
            room_deletes=_sorted(self._room_deletes),
            uses=_sorted(self._uses),
            search_notes=self._search_notes(),
            call_notes=self._call_notes(),
        )

    def _search_notes(self) -> list[SearchNote]:
        """What was said anew, or is not said any more; a row that only keeps a reply's slot says nothing."""
        said = {key for key, save in self._saves.items() if save.doc.content}
        return [SearchNote(home_of(room), room, seq) for room, seq in sorted(said | self._deletes.keys())]

    def _call_notes(self) -> list[CallNote]:
        """Of replies that may have waited for people, and of what is gone; a reply that ends as it was first asked for
        has waited for nobody."""
        notes = {(room, seq): CallNote(room, seq, 0, 0) for room, seq in self._deletes}
        for (room, seq), save in self._saves.items():
            if save.doc.sender_type is SenderType.AI and save.doc.version > FIRST_END:
                waits, approved = waits_for_decision(save.doc.parts), approved_digests(save.doc.parts)
                notes[room, seq] = CallNote(room, seq, save.doc.version, int(waits), approved)
        return _sorted(notes)

    def _create_room(self, entry: QueueEntry) -> None:
        address = entry.address
        self._creates[address.room_id] = RoomCreate(
            room_id=address.room_id,
            partition=entry.partition,
            account_id=address.account_id,
            account_db_key=address.account_db_key,
            title=entry.title or "",
            ai_persona=entry.persona,
            created_at=entry.at,
            version=entry.version,
            external_id=entry.external_id,
            metadata=entry.metadata,
        )

    def _save_message(self, entry: QueueEntry, *, keep: bool) -> None:
        """A save that is no longer wanted becomes a tombstone at once, with the time of the save. The delete behind it
        would leave one too, but if Redis loses its memory in between, the slot would stay empty and no page could pass
        it."""
        room, seq = entry.address.room_id, entry.seq
        if entry.doc is not None and not keep:
            self._deletes.setdefault((room, seq), _delete(entry))
        elif entry.doc is not None:
            known = self._saves.get((room, seq))
            if known is None or known.doc.version <= entry.doc.version:
                self._saves[room, seq] = MessageSave(room, seq, entry.doc)
            if entry.past is not None:
                self._versions[room, seq, entry.past.version] = VersionSave(room, seq, entry.past)
        self._touch(entry)
        self._count(entry)

    def _update_room(self, entry: QueueEntry) -> None:
        room = entry.address.room_id
        title, summary = self._titles.get(room), self._summaries.get(room)
        if entry.title is not None and (title is None or title.version <= entry.version):
            update = RoomUpdate(room, entry.title, entry.version, entry.persona or None, entry.metadata)
            self._titles[room] = update.after(title)
        if entry.summary is not None and (summary is None or summary.version <= entry.summary_version):
            self._summaries[room] = SummarySave(room, entry.summary, entry.through_seq, entry.summary_version, entry.at)

    def _delete_room(self, entry: QueueEntry) -> None:
        address = entry.address
        self._room_deletes[address.room_id] = RoomDelete(
            address.room_id, entry.partition, address.account_id, address.account_db_key, entry.at
        )

    def _touch(self, entry: QueueEntry) -> None:
        room = entry.address.room_id
        known = self._touches.get(room)
        if known is None or known.last_seq <= entry.last_seq:
            self._touches[room] = RoomTouch(room, entry.last_seq, entry.count, entry.active)

    def _count(self, entry: QueueEntry) -> None:
        """Counts a message when it ends: the row of a reserved reply counts nothing, a further end only tokens. Tokens
        count for when they were reserved, as in the budgets (I23)."""
        if entry.doc is not None and entry.final:
            usage = entry.doc.usage if entry.doc.sender_type is SenderType.AI else None
            self._use(entry, entry.at, 0 if entry.recount else 1, None)
            if usage is not None:
                before = entry.before
                rest = Usage(usage.input_tokens - before.input_tokens, usage.output_tokens - before.output_tokens)
                self._use(entry, entry.since or entry.at, 0, rest)

    def _use(self, entry: QueueEntry, at: int, messages: int, usage: Usage | None) -> None:
        key = (entry.address.account_db_key, at // 1000 // QUARTER_SECONDS)
        known = self._uses.get(key) or Use(*key, 0, 0, 0)
        self._uses[key] = Use(
            *key,
            known.messages + messages,
            known.input_tokens + (usage.input_tokens if usage else 0),
            known.output_tokens + (usage.output_tokens if usage else 0),
            known.cost + (entry.cost if usage else 0),
        )


def _delete(entry: QueueEntry) -> MessageDelete:
    delete = MessageDelete(entry.address.room_id, entry.seq, entry.message_id or MessageId(""), entry.at)
    if entry.doc is not None:
        delete = structs.replace(delete, sender_type=entry.doc.sender_type, sent_at=entry.doc.timestamp)
    return delete


def _sorted(rows: Mapping[_Key, _Row]) -> list[_Row]:
    return [rows[key] for key in sorted(rows)]

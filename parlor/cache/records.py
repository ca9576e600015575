"""How rooms and messages are written in Redis, and how they are read from there."""

from __future__ import annotations

from math import ceil

import msgspec

from parlor.cache.connection import Answer
from parlor.model.ids import AccountId, RoomId
from parlor.model.messages import Durability, Message, MessageDoc, MessageRow, ReplyError, SenderType
from parlor.model.parts import Layout, Part, Said, ToolCallPart
from parlor.model.requests import Transition
from parlor.model.rooms import Room, RoomRow
from parlor.model.states import GONE_MESSAGES, MessageState, RoomState

_ENCODER = msgspec.json.Encoder()
_DOC = msgspec.json.Decoder(MessageDoc)
_LAYOUT = msgspec.json.Decoder(Layout)
_PART: msgspec.json.Decoder[Part] = msgspec.json.Decoder(Part)

ROOM_FIELDS = (
    *("account", "title", "persona", "created", "active", "count", "state", "persisted", "seq", "external"),
    "metadata",
)
"""The fields of the room's hash that make a ``Room``, in the order in which ``read_room`` takes them."""

STORED = frozenset({MessageState.SENT, MessageState.DELETING, MessageState.DELETED})
"""States of messages that their shard has; what is cancelled before it was taken has its tombstone there."""


def encode_doc(doc: MessageDoc) -> bytes:
    return _ENCODER.encode(doc)


def decode_doc(data: bytes) -> MessageDoc:
    return _DOC.decode(data)


def encode_part(part: Part) -> bytes:
    return _ENCODER.encode(part)


def decode_part(data: bytes) -> Part:
    return _PART.decode(data)


def encode_layout(layout: Layout | None) -> bytes:
    return b"" if layout is None else _ENCODER.encode(layout)


def decode_layout(data: bytes) -> Layout | None:
    return _LAYOUT.decode(data) if data else None


def stored_state(row: MessageRow) -> MessageState:
    """The state that a row tells when Redis has forgotten it: an even version of a reply only reserves its slot."""
    if row.deleted:
        return MessageState.DELETED
    reserved = row.doc.sender_type is SenderType.AI and row.doc.version % 2 == 0
    return MessageState.COMPOSING if reserved else MessageState.SENT


def calls_stored(doc: MessageDoc) -> list[str]:
    """What a row that keeps a reply's slot says of its calls: until when the reply waits for people ('' if it does
    not), and each call as ``load_room.lua`` takes it."""
    calls = [part for part in doc.parts or () if isinstance(part, ToolCallPart)]
    waits = [call.expires_at or 0 for call in calls if call.waits]
    known = [f"{call.tool_call_id} {call.state} {call.digest} {call.request}" for call in calls]
    return [str(max(waits)) if waits else "", " ".join(known)]


def stored_summary(row: RoomRow) -> dict[str, str | int | bytes]:
    """A stored summary as the room's hash has it; '' for none."""
    if not row.summary:
        return {"summary": "", "summary_version": row.summary_version}
    summary = {"text": row.summary, "through_seq": row.summary_through, "updated_at": row.summary_at}
    return {"summary": _ENCODER.encode(summary), "summary_version": row.summary_version}


def tombstone(doc: MessageDoc) -> MessageDoc:
    """What is left of a deleted message: its slot, its author and its time."""
    return MessageDoc(
        message_id=doc.message_id,
        sender_type=doc.sender_type,
        content="",
        timestamp=doc.timestamp,
        version=doc.version,
        attempt=doc.attempt,
        parent_message_id=doc.parent_message_id,
    )


def view(room_id: RoomId, seq: int, state: MessageState, doc: MessageDoc, live: Said | None = None) -> Message:
    """A message as its readers see it. ``live`` is what a reply says so far."""
    if state in GONE_MESSAGES:
        doc = tombstone(doc)
    # A slot that is kept for a reply says what its attempt begins with.
    said = live if live and live.characters and state is MessageState.COMPOSING else Said(doc.content, doc.parts)
    return Message(
        message_id=doc.message_id,
        room_id=room_id,
        seq=seq,
        sender_type=doc.sender_type,
        content=said.content,
        timestamp=doc.timestamp,
        state=state,
        durability=Durability.PERSISTED if state in STORED else Durability.CACHED,
        is_streaming=state is MessageState.COMPOSING,
        attempt=doc.attempt,
        parent_message_id=doc.parent_message_id,
        finish_reason=doc.finish_reason,
        usage=doc.usage,
        metadata=doc.metadata,
        ai_persona=doc.ai_persona,
        error=reply_error(doc),
        parts=said.parts,
    )


def reply_error(doc: MessageDoc) -> ReplyError | None:
    """Why the reply failed; None if it did not."""
    if doc.error_code is None:
        return None
    seconds = None if doc.retry_after is None else ceil(doc.retry_after)
    return ReplyError(doc.error_code, doc.error_detail or "", seconds)


class CachedRoom(msgspec.Struct, frozen=True):
    """A room as Redis has it."""

    account_id: AccountId
    room: Room
    last_seq: int


def read_room(room_id: RoomId, fields: list[bytes | None]) -> CachedRoom | None:
    """From the hash's ``ROOM_FIELDS``; None when Redis does not have the room."""
    if fields[6] is None:
        return None
    account, title, persona, created, active, count, state, persisted, seq, external, metadata = (
        field or b"" for field in fields
    )
    return CachedRoom(
        AccountId(account.decode()),
        Room(
            room_id=room_id,
            title=title.decode(),
            ai_persona=persona.decode(),
            created_at=int(created),
            last_message_at=int(active) if active else None,
            message_count=int(count),
            state=RoomState(state.decode()),
            persisted_seq=int(persisted),
            external_id=external.decode() or None,
            metadata=metadata.decode(),
        ),
        int(seq),
    )


def read_log(text: bytes | None) -> list[Transition]:
    """A transition log as the scripts write it: ``at,from,to,by;`` of each step."""
    steps = (text or b"").decode().split(";")[:-1]
    return [Transition(int(at), a, b, by) for at, a, b, by in (step.split(",") for step in steps)]


def text(value: Answer) -> str:
    """A reply's bytes as text; nothing as the empty text."""
    return value.decode() if value else ""

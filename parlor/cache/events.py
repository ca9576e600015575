"""Event logs: entries of a Redis Stream as the events that readers get.

The log is the truth; the text of a reply is in it as deltas. What an entry only names (a room) is looked up when it is
read, so a reader that comes late gets the room as it is.
"""

from __future__ import annotations

from typing import TypeAlias

from parlor.cache.live import Live
from parlor.cache.reads import CacheReader
from parlor.cache.records import decode_doc, text, view
from parlor.ids import MessageId, RoomId
from parlor.model import Event
from parlor.states import GONE, MessageState
from parlor.wire import JsonForm, encode, message_form, room_form

Entry: TypeAlias = tuple[bytes, dict[bytes, bytes]]
"""Id and fields, as redis-py reads them."""

CHUNK = 500
"""Entries that are read at once: bounds the memory of a replay."""

_ENDS = frozenset({b"message.completed", b"message.stopped", b"message.failed"})


class EventLog:
    """Reads the entries behind a cursor and makes events of them. Raises ``CacheUnavailable``."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._reader = CacheReader(live)

    async def entries(self, stream: str, after: str) -> list[Entry]:
        """The next entries behind the cursor, at most ``CHUNK``."""
        found: list[Entry] = await self._live.pipeline.read("XRANGE", stream, f"({after}", "+", "COUNT", CHUNK)
        return found

    async def room_event(self, room_id: RoomId, entry: Entry) -> Event | None:
        """An entry of a room's log as an event; None when what it speaks of is gone by now."""
        cursor, fields = text(entry[0]), entry[1]
        kind = fields[b"type"].decode()
        if kind.startswith("room."):
            return await self._about_room(cursor, kind, room_id)
        message_id = MessageId(fields[b"message"].decode())
        form = _about_message(room_id, kind, message_id, fields)
        return Event(cursor, kind, encode(form), message_id, attempt_told(fields))

    async def account_event(self, entry: Entry) -> Event | None:
        """An entry of an account's log as an event; None when the room is gone by now (its own event says so)."""
        fields = entry[1]
        return await self._about_room(text(entry[0]), fields[b"type"].decode(), RoomId(fields[b"room"].decode()))

    async def _about_room(self, cursor: str, kind: str, room_id: RoomId) -> Event | None:
        if kind == "room.deleted":
            return Event(cursor, kind, encode({"room_id": room_id}))
        found = await self._reader.room(room_id)
        if found is None or found.room.state in GONE:
            return None
        return Event(cursor, kind, encode({"room": room_form(found.room)}))


def attempt_told(fields: dict[bytes, bytes]) -> int | None:
    """The attempt that an entry tells of: a piece, a new beginning or an end."""
    if b"attempt" in fields:
        return int(fields[b"attempt"])
    return decode_doc(fields[b"doc"]).attempt if b"doc" in fields and fields[b"type"] in _ENDS else None


def _about_message(room_id: RoomId, kind: str, message_id: MessageId, fields: dict[bytes, bytes]) -> JsonForm:
    match kind:
        case "message.delta":
            return {
                "message_id": message_id,
                "attempt": int(fields[b"attempt"]),
                "offset": int(fields[b"offset"]),
                "text": fields[b"text"].decode(),
            }
        case "message.reset":
            return {"message_id": message_id, "attempt": int(fields[b"attempt"])}
        case "message.deleted":
            return {"message_id": message_id, "seq": int(fields[b"seq"]), "state": fields[b"state"].decode()}
    doc = decode_doc(fields[b"doc"])
    message = view(room_id, int(fields[b"seq"]), MessageState(fields[b"state"].decode()), doc)
    form: JsonForm = {"message": message_form(message)}
    if kind == "message.failed":
        form["error"] = {"code": doc.error_code or "llm-error", "detail": doc.error_detail or ""}
    return form

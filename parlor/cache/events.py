"""Event logs: entries of a Redis Stream as the events that readers get.

The log is the truth; the text of a reply is in it as deltas. What an entry only names (a room) is looked up when it is
read, so a reader that comes late gets the room as it is.

A log keeps what was said in messages that were deleted since, and readers are not shown it (I20). A deletion is an
entry of the same log, behind everything that it hides. So a read that reaches the log's end knows every deletion that
matters to it; one that stops before the end also asks for the states of its messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from typing import NamedTuple, TypeAlias

from parlor.cache.live import Live
from parlor.cache.reads import CacheReader
from parlor.cache.records import decode_doc, decode_part, text, view
from parlor.errors import LlmError
from parlor.model.ids import MessageId, RoomId, home_of
from parlor.model.messages import Event, ReplyError
from parlor.model.states import GONE, GONE_MESSAGES, MessageState
from parlor.model.wire import JsonForm, encode, message_form, part_form, room_form

Entry: TypeAlias = tuple[bytes, dict[bytes, bytes]]
"""Id and fields, as redis-py reads them."""

Shown: TypeAlias = tuple[str, Event | None]
"""An entry's id and its event; None for an entry that readers are not shown."""

Read: TypeAlias = Callable[[str], Awaitable[list[Shown]]]
"""Reads the next entries of one log behind a cursor, at most ``CHUNK``. Raises ``CacheUnavailable``."""

Tell: TypeAlias = Callable[[Entry], Shown | None]
"""Makes an event of an entry that was published; None when it takes more than the entry."""


class LogReader(NamedTuple):
    """How one log is read, and how its entries are understood as they are published."""

    read: Read
    tell: Tell


CHUNK = 500
"""Entries that are read at once: bounds the memory of a replay."""

DELETIONS = frozenset({"message.deleted", "room.deleted"})

_ENDS = frozenset({b"message.completed", b"message.stopped", b"message.failed"})


class EventLog:
    """Reads the entries behind a cursor and makes events of them. Raises ``CacheUnavailable``."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._reader = CacheReader(live)

    async def entries(self, stream: str, after: str) -> list[Entry]:
        """The next entries behind the cursor, at most ``CHUNK``."""
        found: list[Entry] = await self._live.read("XRANGE", stream, f"({after}", "+", "COUNT", CHUNK)
        return found

    def of_room(self, room_id: RoomId) -> LogReader:
        """Reads a room's log."""
        read = partial(self._read_room, room_id, self._live.keys.events(home_of(room_id), room_id))
        return LogReader(read, partial(_told, room_id))

    def of_account(self, stream: str) -> LogReader:
        """Reads an account's log. A room is looked up when it is read, so one that is gone is not shown."""
        return LogReader(partial(self._read_account, stream), lambda _: None)

    async def room_event(self, room_id: RoomId, entry: Entry) -> Event | None:
        """An entry of a room's log as an event, whether or not readers are shown it; None when its room is gone."""
        if (told := _told(room_id, entry)) is not None:
            return told[1]
        return await self._about_room(text(entry[0]), entry[1][b"type"].decode(), room_id)

    async def _read_account(self, stream: str, after: str) -> list[Shown]:
        return [
            (text(entry_id), await self._account_event(text(entry_id), fields))
            for entry_id, fields in await self.entries(stream, after)
        ]

    async def _account_event(self, cursor: str, fields: dict[bytes, bytes]) -> Event | None:
        kind, room_id = fields[b"type"].decode(), _room_of(fields)
        if not kind.startswith("approval."):
            return await self._about_room(cursor, kind, room_id)
        message_id = MessageId(fields[b"message"].decode())
        found = await self._reader.room(room_id)
        states = await self._reader.message_states(room_id, [message_id])
        if found is None or found.room.state in GONE or states.get(message_id, MessageState.DELETED) in GONE_MESSAGES:
            return None
        part = part_form(decode_part(fields[b"part"]))
        return Event(cursor, kind, encode({"room_id": room_id, "message_id": message_id, "part": part}))

    async def _read_room(self, room_id: RoomId, stream: str, after: str) -> list[Shown]:
        entries = await self.entries(stream, after)
        read = [(text(entry[0]), await self.room_event(room_id, entry)) for entry in entries]
        gone = deleted_by(event for _, event in read)
        if len(entries) == CHUNK:
            about = {event.message_id for _, event in read if event and event.message_id} - gone
            gone |= await self._deleted_since(room_id, stream, read[-1][0], about)
        return without(read, gone)

    async def _deleted_since(self, room_id: RoomId, stream: str, cursor: str, about: set[MessageId]) -> set[str]:
        """Which of these messages are deleted behind the cursor. Their states tell; for those whose states Redis has
        forgotten, the rest of the log."""
        states = await self._reader.message_states(room_id, sorted(about))
        gone: set[str] = {message_id for message_id, state in states.items() if state in GONE_MESSAGES}
        more = about != states.keys()
        while more:
            entries = await self.entries(stream, cursor)
            gone.update(_deleted(fields) for _, fields in entries if fields[b"type"].decode() in DELETIONS)
            more = len(entries) == CHUNK
            cursor = text(entries[-1][0]) if entries else cursor
        return gone

    async def _about_room(self, cursor: str, kind: str, room_id: RoomId) -> Event | None:
        if kind == "room.deleted":
            return Event(cursor, kind, encode({"room_id": room_id}), room_id=room_id)
        found = await self._reader.room(room_id)
        if found is None or found.room.state in GONE:
            return None
        return Event(cursor, kind, encode({"room": room_form(found.room)}), room_id=room_id)


def published(data: bytes) -> tuple[str, Entry] | None:
    """An entry as `emit.lua` publishes it, and the id before it; None when the log only says that it has moved."""
    said, at = list[bytes](), 0
    while at < len(data):
        colon = data.index(b":", at)
        end = colon + 1 + int(data[at:colon])
        said.append(data[colon + 1 : end])
        at = end
    if not said:
        return None
    before, cursor, *fields = said
    return text(before), (cursor, dict(zip(fields[::2], fields[1::2], strict=True)))


def deleted_by(events: Iterable[Event | None]) -> set[str]:
    """The ids of the messages and rooms whose deletion these events tell."""
    deletions = [event for event in events if event is not None and event.type in DELETIONS]
    return {event.message_id or event.room_id or "" for event in deletions}


def hides(gone: Collection[str], event: Event) -> bool:
    """Whether an event is about what is deleted, and not its deletion."""
    return (event.message_id in gone or event.room_id in gone) and event.type not in DELETIONS


def without(read: Iterable[Shown], gone: Collection[str]) -> list[Shown]:
    """The same entries; those about what is deleted are not shown."""
    return [(cursor, None if event is None or hides(gone, event) else event) for cursor, event in read]


def attempt_told(fields: dict[bytes, bytes]) -> int | None:
    """The attempt that an entry tells of: a piece, a new beginning or an end."""
    if b"attempt" in fields:
        return int(fields[b"attempt"])
    return decode_doc(fields[b"doc"]).attempt if b"doc" in fields and fields[b"type"] in _ENDS else None


def _told(room_id: RoomId, entry: Entry) -> Shown | None:
    """An entry about a message; None for one about the room, which is looked up."""
    cursor, fields = text(entry[0]), entry[1]
    kind = fields[b"type"].decode()
    if kind.startswith("room."):
        return None
    message_id = MessageId(fields[b"message"].decode())
    form = _about_message(room_id, kind, message_id, fields)
    return cursor, Event(cursor, kind, encode(form), message_id, attempt_told(fields), room_id)


def _room_of(fields: dict[bytes, bytes]) -> RoomId:
    return RoomId(fields[b"room"].decode())


def _deleted(fields: dict[bytes, bytes]) -> str:
    return fields[b"message" if b"message" in fields else b"room"].decode()


def _about_message(room_id: RoomId, kind: str, message_id: MessageId, fields: dict[bytes, bytes]) -> JsonForm:
    match kind:
        case "message.delta" | "message.reasoning":
            return {
                "message_id": message_id,
                "attempt": int(fields[b"attempt"]),
                "index": int(fields.get(b"index", b"0")),
                "offset": int(fields[b"offset"]),
                "text": fields[b"text"].decode(),
            }
        case "message.part":
            part = part_form(decode_part(fields[b"part"]))
            index = int(fields[b"index"])
            return {"message_id": message_id, "attempt": int(fields[b"attempt"]), "index": index, "part": part}
        case "message.reset":
            return {"message_id": message_id, "attempt": int(fields[b"attempt"])}
        case "message.deleted":
            return {"message_id": message_id, "seq": int(fields[b"seq"]), "state": fields[b"state"].decode()}
    doc = decode_doc(fields[b"doc"])
    message = view(room_id, int(fields[b"seq"]), MessageState(fields[b"state"].decode()), doc)
    form: JsonForm = {"message": message_form(message)}
    if kind == "message.failed":
        form["error"] = message.error or ReplyError(LlmError.code, "")
    return form

"""Rooms: as clients see them, as stored, and what is remembered of a long one."""

from __future__ import annotations

import msgspec

from parlor.model.ids import AccountId, RoomId
from parlor.model.states import RoomState


class Room(msgspec.Struct, frozen=True):
    """A chat room (the specification's ``ChatRoom``)."""

    room_id: RoomId
    title: str
    ai_persona: str
    created_at: int
    last_message_at: int | None
    message_count: int
    state: RoomState
    persisted_seq: int
    """Every message up to this seq is in the shard, perhaps in an earlier version; see its own ``durability``."""
    external_id: str | None = None
    """What another program calls the room; unique among the account's rooms."""
    metadata: str = ""
    """What another program notes of the room: an object in JSON, or empty. Lists of rooms may be without it."""


class NewRoom(msgspec.Struct, frozen=True):
    """A room that is to be."""

    title: str
    persona: str
    external_id: str = ""
    """Empty for none."""
    instead_of: str = ""
    """The room that had the external id and is known to be deleted."""
    metadata: str = ""
    """An object in JSON; empty for none."""


class RoomRow(msgspec.Struct, frozen=True):
    """A room, as stored in its shard; deleted rooms are never returned."""

    room_id: RoomId
    account_id: AccountId
    account_db_key: int
    title: str
    ai_persona: str
    created_at: int
    last_message_at: int | None
    message_count: int
    version: int
    """The version of title, persona and metadata; an update with a lower one changes nothing."""
    last_seq: int
    """The highest seq among the stored messages, tombstones included; 0 for none."""
    external_id: str | None = None
    summary: str = ""
    """See ``RoomMemory``. Lists of rooms are read without summaries, so what follows has its defaults there."""
    summary_through: int = 0
    summary_at: int | None = None
    summary_version: int = 0
    metadata: str | None = None
    """An object in JSON."""


class RoomsBefore(msgspec.Struct, frozen=True):
    """The position after which a page of an account's rooms begins, newest activity first."""

    activity: int
    """``last_message_at``, or ``created_at`` of a room without messages, in ms."""
    room_id: RoomId


class RoomPage(msgspec.Struct, frozen=True):
    """A page of an account's rooms, newest activity first."""

    rooms: list[Room]
    total_count: int
    next_cursor: str | None
    events_cursor: str


class RoomMemory(msgspec.Struct, frozen=True):
    """What stands in the prompt for a room's older turns."""

    summary: str
    """Empty when there is none."""
    through_seq: int
    """The newest message that the summary covers; 0 without one."""
    updated_at: int | None
    version: int
    """Counts up with each summary and each reset."""

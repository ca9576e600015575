"""States of rooms and messages, and the one table of legal transitions.

The Lua scripts enforce the table: the script loader writes it into them (``parlor/cache/loader.py``), so it
exists only here. Source: the specification's ChatStateMachine (I13).
"""

from __future__ import annotations

from enum import StrEnum


class MessageState(StrEnum):
    """How far a message has come on its way into the database."""

    COMPOSING = "COMPOSING"
    """A reply that the language model is writing, or has yet to begin."""
    PENDING = "PENDING"
    """Durable in Redis and queued."""
    PROCESSING = "PROCESSING"
    """Taken by a shard writer."""
    SENT = "SENT"
    """Committed in its shard."""
    DELETING = "DELETING"
    """Deleted for every reader; the shard has still to be told."""
    DELETED = "DELETED"
    """A tombstone."""


class RoomState(StrEnum):
    """How far a room has come on its way into the database."""

    CREATING = "CREATING"
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    ACTIVE = "ACTIVE"
    DELETING = "DELETING"
    DELETED = "DELETED"


MESSAGE_TRANSITIONS: dict[MessageState, frozenset[MessageState]] = {
    MessageState.COMPOSING: frozenset({MessageState.PENDING, MessageState.DELETED}),
    MessageState.PENDING: frozenset({MessageState.PROCESSING, MessageState.DELETED}),
    MessageState.PROCESSING: frozenset({MessageState.SENT, MessageState.DELETING}),
    MessageState.SENT: frozenset({MessageState.DELETING}),
    MessageState.DELETING: frozenset({MessageState.DELETED}),
    MessageState.DELETED: frozenset(),
}

ROOM_TRANSITIONS: dict[RoomState, frozenset[RoomState]] = {
    RoomState.CREATING: frozenset({RoomState.PENDING, RoomState.DELETED}),
    RoomState.PENDING: frozenset({RoomState.PROCESSING, RoomState.DELETING}),
    RoomState.PROCESSING: frozenset({RoomState.ACTIVE, RoomState.DELETING}),
    RoomState.ACTIVE: frozenset({RoomState.DELETING}),
    RoomState.DELETING: frozenset({RoomState.DELETED}),
    RoomState.DELETED: frozenset(),
}

SENDABLE = frozenset({RoomState.PENDING, RoomState.PROCESSING, RoomState.ACTIVE})
"""States in which a room takes sends; the queue keeps the create before the messages."""

GONE_MESSAGES = frozenset({MessageState.DELETING, MessageState.DELETED})
"""States in which a message's content is no longer shown."""

GONE = frozenset({RoomState.DELETING, RoomState.DELETED})
"""States in which a room is no longer shown."""

"""What the scripts of rooms are asked for and answer: the arguments and results of ``rooms.py``."""

from __future__ import annotations

import msgspec

from parlor.model.budgets import Ask
from parlor.model.ids import AccountId, MessageId
from parlor.model.messages import MessageDoc, Usage
from parlor.model.parts import Layout, Part, ToolCallPart
from parlor.model.requests import Idempotency


class Claimed(msgspec.Struct, frozen=True):
    """A room that is the caller's own now."""

    last_seq: int
    account_id: AccountId
    account_db_key: int
    persona: str
    open_replies: list[MessageId]
    """Replies that have not ended, by seq: an earlier owner died, or was cut off, before their end."""
    live_message: str
    """The one of them that was being written; empty for none."""
    live_attempt: int
    live_since: int
    """The attempt that recorded its last step; 0 for none."""
    number: int
    """Of this claim: higher than that of any before it, and than the ticket."""
    parked: str = ""
    """The open reply that waits for people; empty for none."""


class Opening(msgspec.Struct, frozen=True):
    """What an attempt begins with: nothing, or what is kept of the one before."""

    draft: str = ""
    """Its texts and its reasoning, one behind the other."""
    layout: Layout | None = None
    """What its parts are; None for a single text."""
    parts: list[Part] = []


NOTHING_KEPT = Opening()


class Piece(msgspec.Struct, frozen=True):
    """What is written of a reply at once: some characters of one part."""

    index: int
    """Of the part, in the message."""
    reasoning: bool
    offset: int
    """Characters before it: of a text, those of the content; of reasoning, those of all reasoning."""
    at: int
    """Characters before it in the draft, which has both."""
    text: str
    layout: Layout | None = None
    """What the draft's parts are from here on; None if that is as before."""
    ended: Part | None = None
    """The reasoning that ended before this part."""


class Dispatch(msgspec.Struct, frozen=True):
    """That a call is about to be sent."""

    key: str
    """What the tool is sent as ``Idempotency-Key``: one for each call."""
    nonce: str
    """Of this sending."""
    again: bool
    """Whether the tool may be called twice."""
    doc: MessageDoc | None = None
    """The row that keeps the reply's slot, for a tool that may not: its shard has to have it first."""


class PartChange(msgspec.Struct, frozen=True):
    """A call of a tool that appeared or changed: a step of the reply, which its next owner inherits."""

    number: int
    """Of the attempt's changes, from 1."""
    index: int
    part: ToolCallPart
    layout: Layout
    ended: Part | None = None
    """As of a piece."""
    dispatch: Dispatch | None = None
    """Set when it is about to be sent."""


class Parking(msgspec.Struct, frozen=True):
    """A reply that begins to wait for people."""

    doc: MessageDoc
    """The row that keeps its slot: everything so far."""
    deadline: int
    """When what waits expires, in ms."""
    parts: list[tuple[int, Part]]
    """The calls of its step, with their places among the parts, and the reasoning before them."""
    usage: Usage
    """Since it began or woke."""
    cost: int


class CallChange(msgspec.Struct, frozen=True):
    """What becomes of a call that waits."""

    seq: int
    """Of the reply."""
    attempt: int
    digest: str
    """That the decision names."""
    index: int
    part: ToolCallPart
    """As it is to be."""
    doc: MessageDoc
    """The row that keeps the reply's slot, with it."""
    by_then: str
    """A state on the way; empty for none."""
    still_waits: bool
    """Whether another call waits."""
    remember: bool = False
    """Whether the same call need not be approved again in this room."""


class LateCall(msgspec.Struct, frozen=True):
    """What came of a call, known after its reply has ended."""

    seq: int
    """Of the reply."""
    past_version: int
    """Of what the reply says so far."""
    index: int
    part: ToolCallPart
    """As it is to be."""
    doc: MessageDoc
    """What the reply says with it."""


class Unwanted(msgspec.Struct, frozen=True):
    """A message that makes way for a turn."""

    seq: int
    tombstone: MessageDoc
    reply: MessageId
    """Goes only while this reply has not ended: the message itself, or the reply to it."""


class Turn(msgspec.Struct, frozen=True):
    """A user's message and the reply to reserve for it."""

    message: MessageDoc
    reply: MessageDoc | None
    idempotency: Idempotency | None = None
    urgent: bool = False
    unwanted: list[Unwanted] = []
    """What makes way for it, in the same step."""
    strict: bool = False
    """Whether it is refused while any other reply is open ..."""
    stays: list[MessageId] = []
    """... but these."""
    ask: Ask | None = None
    """What the reply may use, which is reserved; None: without a budget."""


class Change(msgspec.Struct, frozen=True):
    """A message as it is and as it is to be."""

    seq: int
    past: MessageDoc
    doc: MessageDoc
    ask: Ask | None = None
    """What a reply that begins anew may use."""


class Revised(msgspec.Struct, frozen=True):
    """What became of a new attempt or an edit."""

    done: bool
    """False: it had been done before."""
    replayed: bool
    """By another command, with the same idempotency key."""
    cursor: str = ""
    """The last event before an edit."""


class Appended(msgspec.Struct, frozen=True):
    """Where a turn stands."""

    seq: int
    """Of the user's message; the reply has the next one."""
    cursor: str
    message_id: MessageId
    reply_id: MessageId | None
    duplicate: bool
    """The turn had been appended before, with these ids."""

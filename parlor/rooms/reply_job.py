"""What a reply is written of and with: its job, what its owner needs for it, and the rows of its slot."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec
from msgspec import structs

from parlor.cache.calls import CallCache
from parlor.cache.live import RoomAddress
from parlor.cache.rooms import RoomCache
from parlor.cache.usage import UsageCache
from parlor.clock import Clock
from parlor.errors import ParlorError, StoreUnavailable
from parlor.llm.ports import ChatService
from parlor.metrics import RoomMetrics
from parlor.model.ids import Claim, MessageId, RoomId
from parlor.model.messages import FinishReason, MessageDoc, SenderType, Usage
from parlor.model.parts import Part, Said, ToolCallPart
from parlor.model.tools import ToolState
from parlor.rooms.estimates import written_tokens
from parlor.settings import Settings
from parlor.tools.toolbox import Toolbox

LOOK_AFTER = 0.05
"""Seconds between two looks whether the shard has a row."""
EVENTS = {
    FinishReason.STOP: "message.completed",
    FinishReason.LENGTH: "message.completed",
    FinishReason.CONTENT_FILTER: "message.completed",
    FinishReason.REASONING_LIMIT: "message.completed",
    FinishReason.TOOL_LIMIT: "message.completed",
    FinishReason.STOPPED: "message.stopped",
    FinishReason.ERROR: "message.failed",
    FinishReason.INTERRUPTED: "message.failed",
}
"""What readers are told of an end."""


class ReplyJob(msgspec.Struct, frozen=True):
    """A reply to write."""

    message_id: MessageId
    seq: int
    parent_message_id: MessageId | None
    persona: str
    timestamp: int
    attempt: int
    """Counts from 1."""
    kept: Said = Said()
    """What the attempt begins with: what a reply says that is continued."""
    asked: Said | None = None
    """What its attempts begin with without the steps that stand; None if that is ``kept``."""
    so_far: Said = Said()
    """What the previous attempt had written when its owner died. Kept if this attempt is stopped before it begins."""
    version: int = 1
    """What it ends with; the row that keeps its slot is one lower."""
    first: int = 1
    """The attempt that was asked for."""
    waits: bool = False
    """Whether it waits for people."""
    woken: bool = False
    """Whether it has waited for people, and goes on."""
    before: Usage | None = None
    """What was used, and counted, before it waited."""
    ends: bool = False
    """Whether to end the reply as interrupted, with the text that it has, instead of beginning it again."""
    request_id: str = ""
    """Of the request that asked for it; empty when its owner took it over."""


class ReplyObserver(Protocol):
    """Is notified of each reply that has ended."""

    def reply_ended(self, address: RoomAddress, claim: Claim, persona: str, seq: int, reason: FinishReason) -> None:
        """Called when the reply at ``seq`` has ended and its end is stored. Returns at once."""

    async def close(self) -> None:
        """Cancels the work that ended replies have started."""


class StoredSteps(Protocol):
    """What is known of a room's steps beside the reply itself; ``InternalHistory`` does."""

    async def stored(self, room_id: RoomId, seq: int) -> MessageDoc | None:
        """Returns the message as its shard has it; None for none."""

    async def approved_before(self, room_id: RoomId, digest: str) -> bool:
        """Returns whether the same call was approved once for this room."""


class ReplyPorts(msgspec.Struct, frozen=True):
    """What a reply is written with."""

    cache: RoomCache
    usage: UsageCache
    model: ChatService
    clock: Clock
    metrics: RoomMetrics
    settings: Settings
    observer: ReplyObserver
    toolbox: Toolbox
    calls: CallCache
    history: StoredSteps
    nonce: Callable[[], str]


def row_of(job: ReplyJob, said: Said, version: int) -> MessageDoc:
    """The reply's row that says this."""
    return MessageDoc(
        message_id=job.message_id,
        sender_type=SenderType.AI,
        content=said.content,
        parts=said.parts,
        timestamp=job.timestamp,
        version=version,
        attempt=job.attempt,
        ai_persona=job.persona,
        parent_message_id=job.parent_message_id,
    )


def ended_row(row: MessageDoc, reason: FinishReason, error: ParlorError | None) -> MessageDoc:
    """The row of a reply that has ended for this reason."""
    code, detail = (error.code, error.detail) if error else (None, None)
    if reason is FinishReason.INTERRUPTED:
        code, detail = "interrupted", "The reply was cut off before its end"
    retry_after = error.retry_after if error is not None else None
    return structs.replace(row, finish_reason=reason, error_code=code, error_detail=detail, retry_after=retry_after)


async def in_shard(ports: ReplyPorts, room_id: RoomId, seq: int, version: int, nonce: str, within: float) -> bool:
    """Returns whether the shard has this version of the reply in that many seconds, with the call whose sending has
    this nonce. After Redis came back empty another owner's row can have the same version, and other calls."""
    until = ports.clock.monotonic() + within
    while ports.clock.monotonic() <= until:
        with suppress(StoreUnavailable):
            row = await ports.history.stored(room_id, seq)
            if row is not None and row.version >= version:
                return any(isinstance(part, ToolCallPart) and part.nonce == nonce for part in row.parts or ())
        await ports.clock.sleep(LOOK_AFTER)
    return False


def parked_job(job: ReplyJob, row: MessageDoc) -> ReplyJob:
    """The job of a reply whose slot is kept by this row now: it waits while any of its calls does."""
    said = Said(row.content, row.parts)
    waits = any(isinstance(part, ToolCallPart) and part.waits for part in said.shown)
    return structs.replace(
        job, kept=said, so_far=said, asked=None, version=row.version + 1, before=row.usage, waits=waits, woken=not waits
    )


def asked_for(call: ToolCallPart, deadline: int) -> ToolCallPart:
    """A call as it is recorded when its reply parks; a client's needs nobody's approval and is its caller's now."""
    if call.client and call.state is ToolState.APPROVED:
        return structs.replace(call, state=ToolState.RUNNING, attempts=1, expires_at=deadline)
    return structs.replace(call, expires_at=deadline) if call.state is ToolState.WAITING else call


def waited(part: Part) -> bool:
    return isinstance(part, ToolCallPart) and part.state is ToolState.WAITING


def tokens_had(job: ReplyJob) -> int:
    """The tokens that an attempt had written whose owner died, those of its steps included."""
    return max(0, written_tokens(job.so_far) - written_tokens(job.asked or job.kept))

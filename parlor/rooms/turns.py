"""The parts of a turn: the message, the slot of its reply, and the job of writing that reply."""

from __future__ import annotations

from parlor.cache.changes import Turn
from parlor.model.messages import FinishReason, Message, MessageDoc, SenderType, reserved_version
from parlor.model.parts import Said
from parlor.model.requests import OnBusy
from parlor.model.tracing import carried_request
from parlor.rooms.commands import Send
from parlor.rooms.draft import inherited
from parlor.rooms.estimates import Estimates
from parlor.rooms.reply_job import ReplyJob
from parlor.settings import RoomSettings


def turn_of(command: Send, room_persona: str, now: int, estimates: Estimates, *, first: bool) -> Turn:
    """Returns the turn that a command asks for; ``now`` is in milliseconds, ``first`` whether nothing was said
    before."""
    request, said_by_ai = command.request, command.request.sender is SenderType.AI
    message = MessageDoc(
        message_id=command.message_id,
        sender_type=request.sender,
        content=request.content,
        timestamp=now,
        attempt=1 if said_by_ai else 0,
        ai_persona=(request.ai_persona or room_persona) if said_by_ai else None,
        finish_reason=FinishReason.STOP if said_by_ai else None,
        metadata=request.metadata,
        parts=request.parts,
    )
    reply = ask = None
    if command.reply_id is not None:
        persona = request.ai_persona or room_persona
        ask = estimates.of_turn(persona, request.content, first=first)
        reply = MessageDoc(
            message_id=command.reply_id,
            sender_type=SenderType.AI,
            content="",
            timestamp=now,
            version=reserved_version(1),
            ai_persona=persona,
            parent_message_id=command.message_id,
        )
    return Turn(
        message,
        reply,
        request.idempotency,
        urgent=request.urgent,
        strict=request.on_busy is not OnBusy.ENQUEUE,
        ask=ask,
    )


def job_of(reply: MessageDoc, seq: int, attempt: int) -> ReplyJob:
    """Returns the job of writing a reserved reply, for the request that this task works for."""
    return ReplyJob(
        reply.message_id,
        seq,
        reply.parent_message_id,
        reply.ai_persona or "",
        reply.timestamp,
        attempt=attempt,
        kept=Said(reply.content, reply.parts),
        so_far=Said(reply.content, reply.parts),
        version=reply.version + 1,
        first=attempt,
        request_id=carried_request(),
    )


def adopted_job(
    reply: Message,
    row: MessageDoc,
    since: int,
    cut_off: int | None,
    room_persona: str,
    settings: RoomSettings,
    *,
    waits: bool = False,
) -> ReplyJob:
    """Returns the job for a reply that another owner left unfinished. ``row`` keeps its slot: what its attempts begin
    with; ``since`` is the attempt that recorded its last step or was asked for, ``waits`` whether it waits for people,
    ``cut_off`` the one that was interrupted (None: none had begun). After too
    many attempts, or if ``crash_policy`` says so, the job only ends the reply."""
    kept, first = Said(row.content, row.parts), max(1, row.attempt)
    attempt = since if cut_off is None else cut_off + 1
    tries = 1 if settings.crash_policy == "fail" else settings.max_attempts
    ends = attempt - since >= tries
    return ReplyJob(
        reply.message_id,
        reply.seq,
        reply.parent_message_id,
        reply.ai_persona or room_persona,
        reply.timestamp,
        attempt=attempt - 1 if ends else attempt,
        kept=inherited(Said(reply.content, reply.parts), kept),
        asked=kept,
        so_far=Said(reply.content, reply.parts),
        version=row.version + 1,
        first=first,
        waits=waits,
        woken=row.parked and cut_off is None,
        before=row.usage,
        ends=ends,
    )

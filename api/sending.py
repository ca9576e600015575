"""Sending a message: its headers decide what is waited for, and the form of the answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
import structlog
from fastapi import Request, Response

from api import answers
from api.auth import caller_of
from api.callers import Caller
from api.edge import Edge, StreamSlot, edge_of
from api.headers import Preferences, parse_prefer, wants_event_stream
from api.idempotency import REPLAYED, idempotency_of
from api.limits import check_content, check_metadata
from api.message_schemas import ChatMessageSendRequest
from api.part_schemas import sent_form
from api.send_body import SendBody
from api.sse import EventStream
from parlor.errors import ParlorError, Unavailable
from parlor.model.access import Session
from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import Message
from parlor.model.requests import Idempotency, SendReceipt, SendRequest
from parlor.settings import ApiSettings

_log = structlog.get_logger(__name__)


async def send(request: Request, room_id: RoomId, body: SendBody | ChatMessageSendRequest) -> Response:
    """Sends ``body`` and answers as the request's headers ask. Raises what the gateway raises."""
    edge, caller = edge_of(request), caller_of(request)
    preferences = parse_prefer(request.headers.getlist("prefer"))
    command = command_of(body, edge.settings, partial(idempotency_of, request), urgent=preferences.persisted)
    # Before anything is appended: afterwards a refusal would have the sender send the message again.
    await edge.limits.admit_send(caller.session.account_id, request.scope)
    streams, account = wants_event_stream(request.headers.get("accept", "")), caller.session.account_id
    slot = edge.streams.take(account, reply=True) if streams else None
    try:
        receipt = await edge.gateway.send_message(caller.session, room_id, command)
        return await _answer(edge, caller, room_id, receipt, preferences, slot)
    except BaseException:
        if slot is not None:
            slot.release()
        raise


async def _answer(
    edge: Edge, caller: Caller, room_id: RoomId, receipt: SendReceipt, preferences: Preferences, slot: StreamSlot | None
) -> Response:
    """The answer to a send that was taken. Raises ``Unavailable`` only where the sender asked for the commit, with the
    message's id."""
    headers = {"Location": f"/v1/rooms/{room_id}/messages/{receipt.message.message_id}"}
    if receipt.replayed:
        headers |= REPLAYED
    applied = []
    if preferences.persisted:
        receipt = await _committed(edge, caller.session, room_id, receipt)
        applied.append("durability=persisted")
    if preferences.wait is not None and receipt.reply is not None and slot is None:
        wait = min(preferences.wait, int(edge.settings.wait_max.total_seconds()))
        reply = await _ended(edge, caller.session, room_id, receipt.reply.message_id, wait)
        if reply is not None:
            receipt = msgspec.structs.replace(receipt, reply=reply)
            applied.append(f"wait={wait}")
    if applied:
        headers["Preference-Applied"] = ", ".join(applied)
    if slot is not None:
        events = edge.gateway.turn_events(caller.session, room_id, receipt)
        return EventStream(events, edge, caller, headers, slot=slot, begins_at=receipt.cursor)
    return answers.send_answer(receipt, 200 if receipt.replayed else 201, headers)


def values(body: SendBody | ChatMessageSendRequest) -> tuple[object, ...]:
    """What is asked for: the same for a repeated request."""
    asked: tuple[object, ...] = body.content, body.ai_persona, body.metadata, body.on_busy.value, body.reply.value
    return asked if body.parts is None else (*asked, [part.model_dump() for part in body.parts])


def command_of(
    body: SendBody | ChatMessageSendRequest,
    settings: ApiSettings,
    idempotency: Callable[..., Idempotency | None],
    *,
    urgent: bool = False,
) -> SendRequest:
    """What is asked for, if it is within the limits. ``idempotency`` is called with the values that make up the
    digest. Raises ``ContentTooLarge``, ``InvalidRequest`` and what ``idempotency`` raises."""
    content, parts = sent_form(body.content, body.parts)
    check_content(content, settings)
    if body.metadata:
        check_metadata(body.metadata, settings)
    return SendRequest(
        content=content,
        parts=parts,
        ai_persona=body.ai_persona,
        metadata=body.metadata or {},
        on_busy=body.on_busy,
        reply=body.reply,
        idempotency=idempotency(*values(body)),
        urgent=urgent,
    )


async def _committed(edge: Edge, session: Session, room_id: RoomId, receipt: SendReceipt) -> SendReceipt:
    seconds = edge.settings.persisted_timeout.total_seconds()
    try:
        message = await edge.gateway.wait_for_commit(session, room_id, receipt.message.message_id, seconds)
    except Unavailable as error:
        # The message is in Redis and will be stored: with its id the sender can look instead of sending it again.
        extra = {**error.extra, "message_id": receipt.message.message_id}
        raise type(error)(error.detail, debug=error.debug, retry_after=error.retry_after, extra=extra) from error
    return msgspec.structs.replace(receipt, message=message)


async def _ended(edge: Edge, session: Session, room_id: RoomId, message_id: MessageId, seconds: int) -> Message | None:
    """Returns the reply as it ended, or as it is after so many seconds; None when it cannot be waited for now. The turn
    is there all the same, and the sender can look."""
    try:
        return await edge.gateway.wait_for_reply(session, room_id, message_id, float(seconds))
    except ParlorError as error:
        _log.warning("reply_not_awaited", room_id=room_id, code=error.code, debug=error.debug)
        return None

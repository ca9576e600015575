"""The AI SDK's chats: each one is a room, by its external id."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.auth import AuthenticatedRoute, caller_of
from api.dialect_rooms import ROOM_HEADER, checked_text, external_room
from api.dialects.ai_sdk import (
    STREAM_HEADERS,
    AiSdkChatRequest,
    UiMessage,
    UiMessageFrames,
    file_part,
    last_said,
    text_of,
)
from api.edge import Edge, StreamSlot, edge_of
from api.fields import ExternalId, text_fault
from api.headers import KEY_MAX
from api.idempotency import REPLAYED, digest
from api.limits import check_content
from api.openapi import WITH_BODY, event_stream, refusals
from api.problems import invalid
from api.sse import EventStream
from parlor.errors import (
    IdempotencyMismatch,
    IllegalTransition,
    InternalError,
    LimitReached,
    MessageNotFound,
    RoomBusy,
    RoomNotActive,
    RoomNotFound,
)
from parlor.model.access import Session
from parlor.model.ids import MessageId, RoomId, partition_of
from parlor.model.messages import Message, SenderType
from parlor.model.requests import Idempotency, SendRequest

router = APIRouter(prefix="/ai-sdk/chat", tags=["AI SDK"], route_class=AuthenticatedRoute)
ChatId = Annotated[ExternalId, Path(alias="id", description="The external id of the room")]
_LOOK_BACK = 50
"""Messages at the end of a room among which its last reply is looked for."""
_NOTHING: dict[int | str, dict[str, object]] = {204: {"description": "No reply is running"}}
_MAY_BE_STOPPED = refusals(RoomNotFound, MessageNotFound, RoomNotActive)


@router.post(
    "",
    response_class=Response,
    responses={
        **refusals(
            RoomNotFound,
            MessageNotFound,
            RoomNotActive,
            RoomBusy,
            IllegalTransition,
            IdempotencyMismatch,
            LimitReached,
            *WITH_BODY,
        ),
        200: event_stream("The reply as a UI message stream, version 1"),
    },
    summary="Chat",
)
async def send_chat(request: Request, body: AiSdkChatRequest) -> Response:
    """What `DefaultChatTransport` of the package `ai` sends. `submit-message` sends the last user message to the room
    with this external id, which is made when there is none; the message's `id` makes a repeat harmless.
    `regenerate-message` begins the last reply of the room anew."""
    edge, caller = edge_of(request), caller_of(request)
    said = _said(body, edge) if body.trigger == "submit-message" else None
    if said is not None:
        room_id: RoomId | None = await external_room(edge, caller.session, body.id, body.ai_persona)
        await edge.limits.admit_send(caller.session.account_id, request.scope)
    else:
        room_id = await _room_of(edge, caller.session, body.id)
    if room_id is None:
        raise RoomNotFound
    # Before anything is begun: after a refusal the client would ask for it again.
    slot = edge.streams.take(caller.session.account_id, reply=True)
    try:
        if said is not None:
            return await _submit(request, body, room_id, said, slot)
        return await _regenerate(request, body, room_id, slot)
    except BaseException:
        slot.release()
        raise


@router.get(
    "/{id}/stream",
    response_class=Response,
    responses={
        **refusals(RoomNotFound, MessageNotFound),
        **_NOTHING,
        200: event_stream("The running reply from its start, as a UI message stream"),
    },
    summary="Resume a chat",
)
async def resume_chat(request: Request, chat_id: ChatId) -> Response:
    """The reply that is being written, from its start."""
    edge, caller = edge_of(request), caller_of(request)
    found = await _running(edge, caller.session, chat_id)
    if found is None:
        return Response(status_code=204)
    return _stream(request, found.room_id, found.message_id)


@router.post(
    "/{id}/stop",
    status_code=204,
    response_class=Response,
    responses={**_MAY_BE_STOPPED, **_NOTHING},
    summary="Stop a chat",
)
async def stop_chat(request: Request, chat_id: ChatId) -> Response:
    """Ends the reply that is being written; its text stays. Harmless when there is none."""
    edge, session = edge_of(request), caller_of(request).session
    found = await _running(edge, session, chat_id)
    if found is not None:
        await edge.gateway.stop_reply(session, found.room_id, found.message_id, found.attempt)
    return Response(status_code=204)


async def _submit(
    request: Request, body: AiSdkChatRequest, room_id: RoomId, said: UiMessage, slot: StreamSlot
) -> Response:
    edge, caller, content = edge_of(request), caller_of(request), text_of(said)
    is_key = 1 <= len(said.id) <= KEY_MAX and text_fault(said.id) is None
    idempotency = Idempotency(said.id, digest("ai-sdk", content, body.ai_persona)) if is_key else None
    command = SendRequest(content=content, ai_persona=body.ai_persona, idempotency=idempotency)
    receipt = await edge.gateway.send_message(caller.session, room_id, command)
    if receipt.reply is None:
        raise InternalError(debug="a send that asks for a reply has none")
    headers = {ROOM_HEADER: room_id, **STREAM_HEADERS, **(REPLAYED if receipt.replayed else {})}
    events = edge.gateway.turn_events(caller.session, room_id, receipt)
    frames = UiMessageFrames(receipt.reply.message_id)
    return EventStream(events, edge, caller, headers, slot=slot, begins_at=receipt.cursor, frames=frames)


async def _regenerate(request: Request, body: AiSdkChatRequest, room_id: RoomId, slot: StreamSlot) -> Response:
    edge, session = edge_of(request), caller_of(request).session
    reply_id = MessageId((body.messageId or "").lower())
    if partition_of(reply_id) is None:
        reply_id = await _last_reply(edge, session, room_id, last_said(body.messages))
    receipt = await edge.gateway.regenerate(session, room_id, reply_id, body.ai_persona)
    return _stream(request, room_id, receipt.message.message_id, slot)


def _stream(request: Request, room_id: RoomId, reply_id: MessageId, slot: StreamSlot | None = None) -> Response:
    edge, caller = edge_of(request), caller_of(request)
    events = edge.gateway.reply_events(caller.session, room_id, reply_id, None)
    headers = {ROOM_HEADER: room_id, **STREAM_HEADERS}
    return EventStream(events, edge, caller, headers, slot=slot, frames=UiMessageFrames(reply_id))


def _said(body: AiSdkChatRequest, edge: Edge) -> UiMessage:
    """The last user message. Raises ``InvalidRequest`` and ``ContentTooLarge``."""
    said = last_said(body.messages)
    if said is None:
        raise invalid(("body", "messages"), "None of the messages is a user's")
    where = ("body", "messages", body.messages.index(said), "parts")
    part = file_part(said)
    if part is not None:
        raise invalid((*where, part), "Files are not taken here")
    check_content(checked_text(where, text_of(said)), edge.settings)
    return said


async def _last_reply(edge: Edge, session: Session, room_id: RoomId, said: UiMessage | None) -> MessageId:
    """Raises ``MessageNotFound`` without a reply, and ``InvalidRequest`` for one to something else: the client has a
    message that never arrived, or wants an earlier reply."""
    messages = await edge.gateway.current_messages(session, room_id, _LOOK_BACK)
    reply = next((each for each in reversed(messages) if each.sender_type is SenderType.AI), None)
    if reply is None:
        raise MessageNotFound("The room has no reply yet")
    asked = next((each for each in messages if each.message_id == reply.parent_message_id), None)
    if asked is not None and said is not None and asked.content != text_of(said):
        raise invalid(("body", "messages"), "The last reply of the room is to another message")
    return reply.message_id


async def _running(edge: Edge, session: Session, chat_id: str) -> Message | None:
    """The reply that is being written. Raises ``CacheUnavailable``: only Redis knows."""
    # `%2F` separates nothing in a path, and is left as it is.
    room_id = await _room_of(edge, session, chat_id.replace("%2F", "/").replace("%2f", "/"))
    return await edge.gateway.running_reply(session, room_id) if room_id is not None else None


async def _room_of(edge: Edge, session: Session, external_id: str) -> RoomId | None:
    found = await edge.gateway.find_rooms(session, external_id)
    return found.rooms[0].room_id if found.rooms else None

"""Messages: send, list, read, edit, delete, state."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from api import answers
from api.auth import AuthenticatedRoute, caller_of
from api.edge import edge_of
from api.event_documents import ROOM_EVENTS
from api.idempotency import REPLAYED, IdempotencyKey, idempotency_of
from api.limits import check_content
from api.message_schemas import (
    ChatMessageDeleteRequest,
    ChatMessageDeleteResponse,
    ChatMessageEditRequest,
    ChatMessageEditResponse,
    ChatMessageListRequest,
    ChatMessageListResponse,
    ChatMessageResponse,
    ChatMessageSendRequest,
    ChatMessageSendResponse,
)
from api.openapi import WITH_BODY, event_stream, refusals
from api.path_ids import message_id_of, room_id_of
from api.problems import invalid
from api.room_schemas import ChatStateResponse
from api.sending import send
from parlor.errors import (
    IdempotencyMismatch,
    IllegalTransition,
    LimitReached,
    MessageNotFound,
    RoomBusy,
    RoomNotActive,
    RoomNotFound,
)

router = APIRouter(prefix="/v1/rooms/{room_id}/messages", tags=["messages"], route_class=AuthenticatedRoute)

Prefer = Annotated[
    str | None,
    Header(
        alias="Prefer",
        description="`wait=N`: answer when the reply has ended, or after N seconds; `durability=persisted`: "
        "after the commit in the database",
    ),
]
"""Only for the document: `api.headers` reads it."""

_IN_ROOM = refusals(RoomNotFound, MessageNotFound)
_SENT = {
    **refusals(RoomNotFound, RoomNotActive, RoomBusy, IdempotencyMismatch, LimitReached, *WITH_BODY),
    200: {
        **event_stream(
            "With `Accept: text/event-stream`, the turn's events; JSON for a repeated `Idempotency-Key`", ROOM_EVENTS
        ),
        "model": ChatMessageSendResponse,
    },
}


async def send_message(
    request: Request,
    room_id: str,
    body: ChatMessageSendRequest,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """Appends the message and reserves its reply.

    With `Accept: text/event-stream` the answer is the turn's events. `Prefer: wait=N` waits up to N seconds for the
    reply, `Prefer: durability=persisted` for the commit in the database. `Idempotency-Key` makes a repeat harmless.
    """
    del idempotency_key, prefer
    return await send(request, room_id_of(room_id), body)


router.add_api_route(
    "",
    send_message,
    methods=["POST"],
    status_code=201,
    response_model=ChatMessageSendResponse,
    responses=_SENT,
    summary="Send",
)


@router.get("", response_model=ChatMessageListResponse, responses=refusals(RoomNotFound), summary="List")
async def list_messages(request: Request, room_id: str, query: Annotated[ChatMessageListRequest, Query()]) -> Response:
    """A page by ascending seq: the newest, or the one `before` or `after` a seq."""
    if query.before is not None and query.after is not None:
        raise invalid(("query", "before"), "Give before or after, not both")
    page = await edge_of(request).gateway.list_messages(
        caller_of(request).session, room_id_of(room_id), query.limit, query.before, query.after
    )
    return answers.message_page(page)


@router.get("/{message_id}", response_model=ChatMessageResponse, responses=_IN_ROOM, summary="Read")
async def get_message(request: Request, room_id: str, message_id: str) -> Response:
    """One message."""
    session, room = caller_of(request).session, room_id_of(room_id)
    message = await edge_of(request).gateway.get_message(session, room, message_id_of(message_id))
    return answers.message_answer(message)


@router.patch(
    "/{message_id}",
    response_model=ChatMessageEditResponse,
    responses=refusals(
        *(RoomNotFound, MessageNotFound, RoomNotActive, RoomBusy, IllegalTransition, IdempotencyMismatch, LimitReached),
        *WITH_BODY,
    ),
    summary="Edit",
)
async def edit_message(
    request: Request,
    room_id: str,
    message_id: str,
    body: ChatMessageEditRequest,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """New content for the last user message, or for one that waits for its turn.

    A reply that has begun is stopped, kept as a variant, and restarted. The earlier content is kept as a variant of the
    message; `metadata.edited_at` says when it was edited, `metadata.answered_from` from which attempt on its reply
    answers the new content.
    """
    del idempotency_key
    edge, session = edge_of(request), caller_of(request).session
    room, message = room_id_of(room_id), message_id_of(message_id)
    check_content(body.content, edge.settings)
    idempotency = idempotency_of(request, "edit", message, body.content)
    receipt = await edge.gateway.edit_message(session, room, message, body.content, idempotency)
    return answers.edit_answer(receipt, REPLAYED if receipt.replayed else None)


@router.delete(
    "/{message_id}",
    response_model=ChatMessageDeleteResponse,
    responses=refusals(RoomNotFound, MessageNotFound, RoomNotActive, IllegalTransition),
    summary="Delete",
)
async def delete_message(request: Request, room_id: str, message_id: str) -> Response:
    """Deletes the message, whatever its state; a reply in progress is stopped first. Harmless when repeated."""
    target = ChatMessageDeleteRequest(room_id=room_id, message_id=message_id)
    receipt = await edge_of(request).gateway.delete_message(
        caller_of(request).session, room_id_of(target.room_id), message_id_of(target.message_id)
    )
    return answers.delete_answer(receipt)


@router.get("/{message_id}/state", response_model=ChatStateResponse, responses=_IN_ROOM, summary="State")
async def get_message_state(request: Request, room_id: str, message_id: str) -> Response:
    """The state of the message, and its transition log."""
    session, room = caller_of(request).session, room_id_of(room_id)
    report = await edge_of(request).gateway.message_state(session, room, message_id_of(message_id))
    return answers.state_answer(report)

"""Replies: stop, regenerate, continue, variants."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import answers
from api.auth import AuthenticatedRoute, caller_of
from api.edge import edge_of
from api.idempotency import REPLAYED, IdempotencyKey, idempotency_of
from api.message_schemas import (
    ChatMessageContinueRequest,
    ChatMessageRegenerateRequest,
    ChatMessageResponse,
    ChatMessageStopRequest,
    ChatMessageVariantsRequest,
    ChatMessageVariantsResponse,
)
from api.openapi import WITH_BODY, refusals
from api.path_ids import message_id_of, room_id_of
from parlor.errors import (
    IdempotencyMismatch,
    IllegalTransition,
    LimitReached,
    MessageNotFound,
    ParlorError,
    RoomBusy,
    RoomNotActive,
    RoomNotFound,
)
from parlor.model.requests import AttemptReceipt

router = APIRouter(prefix="/v1/rooms/{room_id}/messages/{message_id}", tags=["replies"], route_class=AuthenticatedRoute)


@router.post(
    "/stop",
    response_model=ChatMessageResponse,
    responses=refusals(RoomNotFound, MessageNotFound, RoomNotActive, IllegalTransition, *WITH_BODY),
    summary="Stop",
)
async def stop_reply(
    request: Request, room_id: str, message_id: str, body: ChatMessageStopRequest | None = None
) -> Response:
    """Ends a reply that is being generated or waits for its turn; its text stays. Harmless when it has ended."""
    session, room = caller_of(request).session, room_id_of(room_id)
    attempt = None if body is None else body.attempt
    reply = await edge_of(request).gateway.stop_reply(session, room, message_id_of(message_id), attempt)
    return answers.message_answer(reply)


_ATTEMPT: tuple[type[ParlorError], ...] = (
    RoomNotFound,
    MessageNotFound,
    RoomNotActive,
    RoomBusy,
    IllegalTransition,
    IdempotencyMismatch,
    LimitReached,
    *WITH_BODY,
)
_AGAIN: dict[str, Any] = {
    "description": "The reply as it is now, for a repeated `Idempotency-Key`",
    "model": ChatMessageResponse,
}


@router.post(
    "/regenerate",
    status_code=202,
    response_model=ChatMessageResponse,
    responses={**refusals(*_ATTEMPT), 200: _AGAIN},
    summary="Regenerate",
)
async def regenerate_reply(
    request: Request,
    room_id: str,
    message_id: str,
    body: ChatMessageRegenerateRequest | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Begins the next attempt of the last reply of the room; the earlier text is kept as a variant."""
    del idempotency_key
    session, room, message = caller_of(request).session, room_id_of(room_id), message_id_of(message_id)
    persona = None if body is None else body.ai_persona
    idempotency = idempotency_of(request, "regenerate", message, persona)
    return _begun(await edge_of(request).gateway.regenerate(session, room, message, persona, idempotency))


@router.post(
    "/continue",
    status_code=202,
    response_model=ChatMessageResponse,
    responses={**refusals(*_ATTEMPT), 200: _AGAIN},
    summary="Continue",
)
async def continue_reply(
    request: Request,
    room_id: str,
    message_id: str,
    body: ChatMessageContinueRequest | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Begins the next attempt of the last reply of the room with the text that it has, when it ended by `length`,
    `stopped`, `error` or `interrupted`. The reply as it was is kept as a variant.

    The events of the attempt are `message.reset`, then the text that is kept as a delta at offset 0. How well the text
    goes on is up to the language model, which gets it as its own unfinished answer.
    """
    del body, idempotency_key
    session, room, message = caller_of(request).session, room_id_of(room_id), message_id_of(message_id)
    idempotency = idempotency_of(request, "continue", message)
    return _begun(await edge_of(request).gateway.continue_reply(session, room, message, idempotency))


def _begun(receipt: AttemptReceipt) -> Response:
    if receipt.replayed:
        return answers.message_answer(receipt.message, 200, REPLAYED)
    return answers.message_answer(receipt.message, 202)


@router.get(
    "/variants",
    response_model=ChatMessageVariantsResponse,
    responses=refusals(RoomNotFound, MessageNotFound),
    summary="Variants",
)
async def list_variants(
    request: Request, room_id: str, message_id: str, query: Annotated[ChatMessageVariantsRequest, Query()]
) -> Response:
    """The earlier versions of the message, one for each attempt or edit, and the current one."""
    session, room, message = caller_of(request).session, room_id_of(room_id), message_id_of(message_id)
    page = await edge_of(request).gateway.variants(session, room, message, query.limit, query.cursor)
    return answers.message_list("variants", page)

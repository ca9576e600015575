"""Rooms: create, list, read, update, delete, state, queue, memory."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import answers
from api.auth import AuthenticatedRoute, caller_of
from api.edge import edge_of
from api.idempotency import REPLAYED, IdempotencyKey, idempotency_of
from api.limits import check_title
from api.message_schemas import ChatRoomQueueRequest, ChatRoomQueueResponse
from api.openapi import WITH_BODY, refusals
from api.path_ids import room_id_of
from api.room_schemas import (
    ChatRoomCreateRequest,
    ChatRoomCreateResponse,
    ChatRoomDeleteRequest,
    ChatRoomDeleteResponse,
    ChatRoomListRequest,
    ChatRoomListResponse,
    ChatRoomMemoryResponse,
    ChatRoomResponse,
    ChatRoomUpdateRequest,
    ChatRoomUpdateResponse,
    ChatStateResponse,
)
from parlor.errors import IdempotencyMismatch, IllegalTransition, LimitReached, RoomNotActive, RoomNotFound

router = APIRouter(prefix="/v1/rooms", tags=["rooms"], route_class=AuthenticatedRoute)


@router.post(
    "",
    status_code=201,
    response_model=ChatRoomCreateResponse,
    responses={
        **refusals(IdempotencyMismatch, RoomNotFound, LimitReached, *WITH_BODY),
        200: {
            "description": "The room, for a repeated `Idempotency-Key` or an `external_id` that is known",
            "model": ChatRoomCreateResponse,
        },
    },
    summary="Create",
)
async def create_room(
    request: Request, body: ChatRoomCreateRequest | None = None, idempotency_key: IdempotencyKey = None
) -> Response:
    """A new room, with defaults for a title or persona that is not given.

    `Idempotency-Key` makes a repeat harmless; when the room was deleted since, it is not found.
    """
    del idempotency_key
    edge, wanted = edge_of(request), body or ChatRoomCreateRequest()
    check_title(wanted.title, edge.settings)
    asked = (wanted.title, wanted.ai_persona, *([wanted.external_id] if wanted.external_id else []))
    idempotency = idempotency_of(request, *asked)
    receipt = await edge.gateway.create_room(
        caller_of(request).session,
        wanted.title,
        wanted.ai_persona,
        idempotency,
        wanted.external_id,
    )
    replayed = REPLAYED if receipt.replayed and idempotency is not None else {}
    headers = {"Location": f"/v1/rooms/{receipt.room.room_id}", **replayed}
    return answers.room_answer(receipt.room, 200 if receipt.replayed else 201, headers)


@router.get("", response_model=ChatRoomListResponse, responses=refusals(), summary="List")
async def list_rooms(request: Request, query: Annotated[ChatRoomListRequest, Query()]) -> Response:
    """The account's rooms, newest activity first."""
    gateway, session = edge_of(request).gateway, caller_of(request).session
    if query.external_id is not None:
        return answers.room_page(await gateway.find_rooms(session, query.external_id))
    page = await gateway.list_rooms(session, query.limit, query.cursor)
    return answers.room_page(page)


@router.get("/{room_id}", response_model=ChatRoomResponse, responses=refusals(RoomNotFound), summary="Read")
async def get_room(request: Request, room_id: str) -> Response:
    """One room."""
    room = await edge_of(request).gateway.get_room(caller_of(request).session, room_id_of(room_id))
    return answers.room_answer(room)


@router.patch(
    "/{room_id}",
    response_model=ChatRoomUpdateResponse,
    responses=refusals(RoomNotFound, RoomNotActive, *WITH_BODY),
    summary="Update",
)
async def update_room(request: Request, room_id: str, body: ChatRoomUpdateRequest) -> Response:
    """A new title, or a new persona, which answers from the next turn on: replies that are asked for already keep
    theirs."""
    edge = edge_of(request)
    check_title(body.title, edge.settings)
    session, room = caller_of(request).session, room_id_of(room_id)
    return answers.room_answer(await edge.gateway.update_room(session, room, body.title, body.ai_persona))


@router.delete(
    "/{room_id}",
    status_code=202,
    response_model=ChatRoomDeleteResponse,
    responses=refusals(RoomNotFound, IllegalTransition),
    summary="Delete",
)
async def delete_room(request: Request, room_id: str) -> Response:
    """At once gone for every other call; the database follows. Harmless when repeated."""
    target = ChatRoomDeleteRequest(room_id=room_id_of(room_id))
    room = await edge_of(request).gateway.delete_room(caller_of(request).session, room_id_of(target.room_id))
    return answers.room_answer(room, 202)


@router.get("/{room_id}/state", response_model=ChatStateResponse, responses=refusals(RoomNotFound), summary="State")
async def get_room_state(request: Request, room_id: str) -> Response:
    """The state of the room, and its transition log."""
    report = await edge_of(request).gateway.room_state(caller_of(request).session, room_id_of(room_id))
    return answers.state_answer(report)


@router.get("/{room_id}/queue", response_model=ChatRoomQueueResponse, responses=refusals(RoomNotFound), summary="Queue")
async def list_queue(request: Request, room_id: str, query: Annotated[ChatRoomQueueRequest, Query()]) -> Response:
    """The messages whose replies wait for their turn."""
    session, room = caller_of(request).session, room_id_of(room_id)
    page = await edge_of(request).gateway.queued_messages(session, room, query.limit, query.cursor)
    return answers.message_list("messages", page)


@router.get(
    "/{room_id}/memory", response_model=ChatRoomMemoryResponse, responses=refusals(RoomNotFound), summary="Memory"
)
async def get_memory(request: Request, room_id: str) -> Response:
    """The summary of the turns that no longer fit into the prompt."""
    memory = await edge_of(request).gateway.room_memory(caller_of(request).session, room_id_of(room_id))
    return answers.memory_answer(memory)


@router.delete(
    "/{room_id}/memory",
    response_model=ChatRoomMemoryResponse,
    responses=refusals(RoomNotFound, RoomNotActive),
    summary="Forget",
)
async def forget_memory(request: Request, room_id: str) -> Response:
    """Deletes the summary; the next one is made from the messages."""
    memory = await edge_of(request).gateway.reset_memory(caller_of(request).session, room_id_of(room_id))
    return answers.memory_answer(memory)

"""OpenAI's conversations, which are rooms, and their items, which are messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from api.auth import AuthenticatedRoute, caller_of
from api.dialect_items import append, brought, check_items, find_images
from api.dialects.openai_conversations import (
    ConversationCreateRequest,
    ConversationItemsRequest,
    ConversationUpdateRequest,
    conversation_form,
    kept_pairs,
)
from api.dialects.openai_items import CONVERSATION, MESSAGE, item_page, message_item, told
from api.edge import Edge, edge_of
from api.idempotency import IdempotencyKey, idempotency_of
from api.limits import check_title
from api.openai_documents import OPENAI_REFUSALS, ConversationForm, DeletedForm, ItemForm, ItemListForm
from api.path_ids import message_id_of, room_id_of
from parlor.errors import MessageNotFound
from parlor.model.access import Session
from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import Message
from parlor.model.states import GONE_MESSAGES
from parlor.model.wire import JsonForm, encode

router = APIRouter(
    prefix="/openai/v1/conversations", tags=["OpenAI"], route_class=AuthenticatedRoute, responses=OPENAI_REFUSALS
)
_TOO_HIGH = 2**53 - 1
"""Above any seq."""


@router.post("", response_model=ConversationForm, summary="Create a conversation")
async def create_conversation(
    request: Request, body: ConversationCreateRequest, idempotency_key: IdempotencyKey = None
) -> Response:
    """A new room; `metadata` may have its `title` and `ai_persona` beside others. With `Idempotency-Key` once."""
    del idempotency_key
    edge, session, items = edge_of(request), caller_of(request).session, body.items or []
    title, persona = (body.metadata.title, body.metadata.ai_persona) if body.metadata else (None, None)
    check_title(title, edge.settings)
    check_items(("body", "items"), items, ("message",))
    await find_images(request, ("body", "items"), items)
    messages = [brought(request, ("body", "items", index), item) for index, item in enumerate(items)]
    kept = kept_pairs(body.metadata) if body.metadata and body.metadata.pairs else None
    asked = (title, persona, len(items), *([kept] if kept else []))
    idempotency = idempotency_of(request, "conversation", *asked)
    room = (await edge.gateway.create_room(session, title, persona, idempotency, metadata=kept)).room
    if messages:
        await append(request, room.room_id, messages, idempotency)
    return _json(conversation_form(room))


@router.get("/{conversation_id}", response_model=ConversationForm, summary="Retrieve a conversation")
async def retrieve_conversation(request: Request, conversation_id: str) -> Response:
    """The room; its messages are the items."""
    session = caller_of(request).session
    return _json(conversation_form(await edge_of(request).gateway.get_room(session, _room(conversation_id))))


@router.post("/{conversation_id}", response_model=ConversationForm, summary="Update a conversation")
async def update_conversation(request: Request, conversation_id: str, body: ConversationUpdateRequest) -> Response:
    """Other `metadata`, and with it another `title` or `ai_persona`."""
    edge, session, room_id = edge_of(request), caller_of(request).session, _room(conversation_id)
    title, persona = (body.metadata.title, body.metadata.ai_persona) if body.metadata else (None, None)
    check_title(title, edge.settings)
    if title is None and persona is None and body.kept is None:
        return _json(conversation_form(await edge.gateway.get_room(session, room_id)))
    return _json(conversation_form(await edge.gateway.update_room(session, room_id, title, persona, body.kept)))


@router.delete("/{conversation_id}", response_model=DeletedForm, summary="Delete a conversation")
async def delete_conversation(request: Request, conversation_id: str) -> Response:
    """Deletes the room with its messages. Harmless when repeated."""
    room = await edge_of(request).gateway.delete_room(caller_of(request).session, _room(conversation_id))
    return _json({"id": f"{CONVERSATION}{room.room_id}", "object": "conversation.deleted", "deleted": True})


@router.post("/{conversation_id}/items", response_model=ItemListForm, summary="Add items")
async def create_items(
    request: Request, conversation_id: str, body: ConversationItemsRequest, idempotency_key: IdempotencyKey = None
) -> Response:
    """Adds messages to the room; no reply is asked for. With `Idempotency-Key` each of them once."""
    del idempotency_key
    check_items(("body", "items"), body.items, ("message",))
    await find_images(request, ("body", "items"), body.items)
    messages = [brought(request, ("body", "items", index), item) for index, item in enumerate(body.items)]
    idempotency = idempotency_of(request, "items", len(messages))
    return _page(await append(request, _room(conversation_id), messages, idempotency), has_more=False)


@router.get("/{conversation_id}/items", response_model=ItemListForm, summary="List items")
async def list_items(
    request: Request,
    conversation_id: str,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: Annotated[str | None, Query(max_length=64, description="The id of the last item that is known")] = None,
) -> Response:
    """The room's messages, newest first; what was deleted is left out."""
    edge, session, room_id = edge_of(request), caller_of(request).session, _room(conversation_id)
    seq = None
    if after is not None:
        seq = (await edge.gateway.get_message(session, room_id, _message(after))).seq
    found = await _listed(edge, session, room_id, limit + 1, seq, ascending=order == "asc")
    return _page(found[:limit], has_more=len(found) > limit)


@router.get("/{conversation_id}/items/{item_id}", response_model=ItemForm, summary="Retrieve an item")
async def retrieve_item(request: Request, conversation_id: str, item_id: str) -> Response:
    """One message."""
    edge, session = edge_of(request), caller_of(request).session
    message = await edge.gateway.get_message(session, _room(conversation_id), _message(item_id))
    if message.state in GONE_MESSAGES:
        raise MessageNotFound
    return _json(message_item(told(message)))


@router.delete("/{conversation_id}/items/{item_id}", response_model=ConversationForm, summary="Delete an item")
async def delete_item(request: Request, conversation_id: str, item_id: str) -> Response:
    """Deletes a message, and a reply to it that has not ended. Harmless when repeated."""
    edge, session, room_id = edge_of(request), caller_of(request).session, _room(conversation_id)
    await edge.gateway.delete_message(session, room_id, _message(item_id))
    return _json(conversation_form(await edge.gateway.get_room(session, room_id)))


async def _listed(
    edge: Edge, session: Session, room_id: RoomId, count: int, seq: int | None, *, ascending: bool
) -> list[Message]:
    """Up to ``count`` messages behind ``seq``, or before it, that are not deleted."""
    found: list[Message] = []
    while True:
        before, after = (None, seq or 0) if ascending else (seq or _TOO_HIGH, None)
        page = await edge.gateway.list_messages(session, room_id, count, before, after)
        listed = page.messages if ascending else page.messages[::-1]
        found += [message for message in listed if message.state not in GONE_MESSAGES]
        if len(found) >= count or not page.has_more:
            return found[:count]
        seq = listed[-1].seq


def _room(conversation_id: str) -> RoomId:
    return room_id_of(conversation_id.removeprefix(CONVERSATION))


def _message(item_id: str) -> MessageId:
    return message_id_of(item_id.removeprefix(MESSAGE))


def _page(messages: Sequence[Message], *, has_more: bool) -> Response:
    return _json(item_page([message_item(told(each)) for each in messages], has_more=has_more))


def _json(form: JsonForm) -> Response:
    return Response(encode(form), media_type="application/json")

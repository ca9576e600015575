"""OpenAI's responses that are stored: what became of them, again or to the end, what they answer, stop and delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from api.auth import AuthenticatedRoute, caller_of
from api.dialect_rooms import ROOM_HEADER
from api.dialects.openai_items import RESPONSE, item_page, message_item, told
from api.dialects.openai_response_frames import ResponseFrames
from api.dialects.openai_responses import asked_again, response_of
from api.edge import Edge, edge_of
from api.openai_documents import OPENAI_REFUSALS, DeletedForm, ItemListForm, ResponseForm
from api.openapi import event_stream
from api.path_ids import message_id_of
from api.sse import EventStream
from parlor.errors import MessageNotFound
from parlor.model.access import Session
from parlor.model.messages import Message, SenderType
from parlor.model.states import GONE_MESSAGES
from parlor.model.wire import JsonForm, encode


class _ResponseId(StringConvertor):
    """What else stands there is the name of a call that is not there: 404, not 405."""

    regex = f"{RESPONSE}[^/]+"


register_url_convertor("response", _ResponseId())
router = APIRouter(
    prefix="/openai/v1/responses/{response_id:response}",
    tags=["OpenAI"],
    route_class=AuthenticatedRoute,
    responses=OPENAI_REFUSALS,
)


@router.get(
    "",
    response_model=ResponseForm,
    responses={200: {**event_stream("The response; with `stream`, its events"), "model": ResponseForm}},
    summary="Retrieve a response",
)
async def retrieve_response(
    request: Request,
    response_id: str,
    stream: bool = False,
    starting_after: Annotated[int | None, Query(ge=0, description="The number of the last event that is known")] = None,
) -> Response:
    """The response as it is now. With `stream` its events: from the first, or behind `starting_after`. They are kept
    for some minutes after the reply's end; then the last one is told alone, with a higher number."""
    edge, caller = edge_of(request), caller_of(request)
    message, reply = await _found(edge, caller.session, response_id)
    asked = asked_again(message, reply)
    headers: dict[str, str] = {ROOM_HEADER: reply.room_id}
    if not stream:
        return _json(response_of(asked, reply), headers)
    events = edge.gateway.reply_events(caller.session, reply.room_id, reply.message_id, None)
    return EventStream(events, edge, caller, headers, frames=ResponseFrames(asked, starting_after))


@router.post("/cancel", response_model=ResponseForm, summary="Cancel a response")
async def cancel_response(request: Request, response_id: str) -> Response:
    """Ends a reply that is being written or waits for its turn; its text stays. Harmless when it has ended."""
    edge, session = edge_of(request), caller_of(request).session
    message, reply = await _found(edge, session, response_id)
    if reply.is_streaming:
        reply = await edge.gateway.stop_reply(session, reply.room_id, reply.message_id, None)
    return _json(response_of(asked_again(message, reply), reply), {ROOM_HEADER: reply.room_id})


@router.delete("", response_model=DeletedForm, summary="Delete a response")
async def delete_response(request: Request, response_id: str) -> Response:
    """Deletes the reply; the message that it answers stays in its conversation. Harmless when repeated."""
    edge, session = edge_of(request), caller_of(request).session
    reply = await _reply(edge, session, response_id)
    await edge.gateway.delete_message(session, reply.room_id, reply.message_id)
    return _json({"id": f"{RESPONSE}{reply.message_id}", "object": "response", "deleted": True})


@router.get("/input_items", response_model=ItemListForm, summary="Input items")
async def list_input_items(
    request: Request,
    response_id: str,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """The message that the response answers; what was said before it is in the conversation."""
    del limit, order  # Of one item.
    message, _ = await _found(edge_of(request), caller_of(request).session, response_id)
    items = [] if message.state in GONE_MESSAGES else [message_item(told(message))]
    return _json(item_page([item for item in items if item["id"] != after], has_more=False))


async def _found(edge: Edge, session: Session, response_id: str) -> tuple[Message, Message]:
    """The message and the reply to it. Raises ``MessageNotFound``, also for a reply that was deleted."""
    reply = await _reply(edge, session, response_id)
    if reply.state in GONE_MESSAGES or reply.parent_message_id is None:
        raise MessageNotFound
    return await edge.gateway.get_message(session, reply.room_id, reply.parent_message_id), reply


async def _reply(edge: Edge, session: Session, response_id: str) -> Message:
    if not response_id.startswith(RESPONSE):
        raise MessageNotFound
    reply = await edge.gateway.find_message(session, message_id_of(response_id.removeprefix(RESPONSE)))
    if reply.sender_type is not SenderType.AI:
        raise MessageNotFound
    return reply


def _json(form: JsonForm, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode(form), 200, headers, "application/json")

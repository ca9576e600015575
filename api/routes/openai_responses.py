"""OpenAI's responses: in a room, in a new one, or of a persona's model alone."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import AuthenticatedRoute, caller_of
from api.dialect_rooms import checked_text, collected, ended_reply, require_model, storable
from api.dialects.openai_requests import InputItem, ResponseRequest, odd_part, text_of, unsupported_response
from api.dialects.openai_responses import Asked, ResponseFrames, ending_of, response_form
from api.edge import StreamSlot, edge_of
from api.idempotency import REPLAYED, IdempotencyKey, idempotency_of
from api.limits import check_content
from api.openai_documents import OPENAI_REFUSALS, ResponseForm
from api.openapi import event_stream
from api.path_ids import room_id_of
from api.problems import invalid
from api.rates import charge
from api.sse import EventStream
from parlor.errors import InternalError
from parlor.llm.ports import ModelCall, PromptTurn
from parlor.model.ids import RoomId
from parlor.model.messages import Message
from parlor.model.requests import OnBusy, SendRequest
from parlor.model.wire import encode, message_form

router = APIRouter(prefix="/openai/v1/responses", tags=["OpenAI"], route_class=AuthenticatedRoute)
CONVERSATION = "conv_"


@router.post(
    "",
    response_model=ResponseForm,
    responses={
        **OPENAI_REFUSALS,
        200: {**event_stream("The response; with `stream`, its events"), "model": ResponseForm},
    },
    summary="Response",
)
async def create_response(request: Request, body: ResponseRequest, idempotency_key: IdempotencyKey = None) -> Response:
    """With `conversation` the last user message is sent to that room. Without one, a single message begins a new room,
    unless `store` is false; its `conversation` is in the response. `Idempotency-Key` makes a repeat in a room
    harmless."""
    del idempotency_key
    _check(body)
    edge, caller = edge_of(request), caller_of(request)
    await require_model(edge, body.model)
    room_id = await _room_of(request, body)
    charge(edge.limits.sends, caller.session.account_id, request.scope)
    slot = edge.streams.take(caller.session.account_id) if body.stream else None
    try:
        if room_id is None:
            return await _stateless(request, body, slot)
        return await _in_room(request, body, room_id, slot)
    except BaseException:
        if slot is not None:
            slot.release()
        raise


async def _room_of(request: Request, body: ResponseRequest) -> RoomId | None:
    """The room of the conversation, or a new one; None when the response is not to be stored."""
    edge, session = edge_of(request), caller_of(request).session
    if body.conversation is not None:
        named = body.conversation if isinstance(body.conversation, str) else body.conversation.id
        room = await edge.gateway.get_room(session, room_id_of(named.removeprefix(CONVERSATION)))
        return room.room_id
    if not body.store or body.instructions or len(body.items) > 1:
        return None
    _said(body)  # Refused before there is a room.
    idempotency = idempotency_of(request, "responses", body.model, text_of(body.items[0].content))
    return (await edge.gateway.create_room(session, None, body.model, idempotency)).room.room_id


async def _in_room(request: Request, body: ResponseRequest, room_id: RoomId, slot: StreamSlot | None) -> Response:
    edge, caller = edge_of(request), caller_of(request)
    content = _said(body)
    check_content(content, edge.settings)
    command = SendRequest(
        content=content,
        ai_persona=body.model,
        on_busy=_on_busy(body),
        idempotency=idempotency_of(request, "responses", body.model, content),
    )
    receipt = await edge.gateway.send_message(caller.session, room_id, command)
    reply = receipt.reply
    if reply is None:
        raise InternalError(debug="a send that asks for a reply has none")
    asked, headers = _asked(body, reply, room_id), REPLAYED if receipt.replayed else {}
    if slot is not None:
        events = edge.gateway.turn_events(caller.session, room_id, receipt)
        frames = ResponseFrames(asked)
        return EventStream(events, edge, caller, headers, slot=slot, begins_at=receipt.cursor, frames=frames)
    return _answer(asked, await ended_reply(edge, caller.session, room_id, reply.message_id), headers)


async def _stateless(request: Request, body: ResponseRequest, slot: StreamSlot | None) -> Response:
    edge, caller = edge_of(request), caller_of(request)
    turns = [_turn(index, item) for index, item in enumerate(body.items) if item.type == "message"]
    if body.instructions:
        turns.insert(0, PromptTurn("system", storable(("body", "instructions"), body.instructions)))
    call = ModelCall(body.model, turns, body.temperature, body.max_output_tokens)
    answer = edge.gateway.answer(caller.session, call)
    asked = _asked(body, answer.message, None)
    if slot is None:
        return _answer(asked, await collected(answer), {})
    return EventStream(answer, edge, caller, slot=slot, frames=ResponseFrames(asked))


def _answer(asked: Asked, reply: Message, headers: dict[str, str]) -> Response:
    error = None if reply.error is None else {"code": reply.error.code, "detail": reply.error.detail}
    ending = ending_of({"message": message_form(reply), "error": error})
    return Response(encode(response_form(asked, ending)), 200, headers, "application/json")


def _asked(body: ResponseRequest, reply: Message, room_id: RoomId | None) -> Asked:
    return Asked(
        model=body.model,
        message_id=reply.message_id,
        created_ms=reply.timestamp,
        stored=room_id is not None,
        conversation=f"{CONVERSATION}{room_id}" if room_id is not None else None,
        instructions=body.instructions,
        temperature=body.temperature,
        max_output_tokens=body.max_output_tokens,
        metadata=body.metadata or {},
    )


def _check(body: ResponseRequest) -> None:
    """Raises ``InvalidRequest`` for what Parlor cannot do."""
    name = unsupported_response(body)
    if name is not None:
        raise invalid(("body", name), f"Parlor does not have `{name}` like this")
    for index, item in enumerate(body.items):
        if item.type not in ("message", "reasoning"):
            raise invalid(("body", "input", index, "type"), f"Items of type `{item.type[:40]}` are not taken")
        found = odd_part(item.content)
        if found is not None:
            part, kind = found
            raise invalid(("body", "input", index, "content", part), f"Content of type `{kind[:40]}` is not taken")


def _said(body: ResponseRequest) -> str:
    """The last user message's text. Raises ``InvalidRequest``."""
    for index in reversed(range(len(body.items))):
        item = body.items[index]
        if item.type == "message" and item.role == "user":
            where = ("body", "input") if isinstance(body.input, str) else ("body", "input", index, "content")
            return checked_text(where, text_of(item.content))
    raise invalid(("body", "input"), "None of the messages is a user's")


def _on_busy(body: ResponseRequest) -> OnBusy:
    wanted = (body.metadata or {}).get("parlor_on_busy", OnBusy.ENQUEUE)
    try:
        return OnBusy(wanted)
    except ValueError:
        raise invalid(("body", "metadata", "parlor_on_busy"), "Parlor does not know this policy") from None


def _turn(index: int, item: InputItem) -> PromptTurn:
    content = storable(("body", "input", index, "content"), text_of(item.content))
    return PromptTurn("system" if item.role == "developer" else item.role, content)

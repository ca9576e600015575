"""OpenAI's chat completions: in a room, or of a persona's model alone."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import AuthenticatedRoute, caller_of
from api.dialect_rooms import (
    ROOM_HEADER,
    checked_text,
    collected,
    ended_reply,
    require_model,
    room_of,
    storable,
)
from api.dialects.openai_asides import is_aside
from api.dialects.openai_chat import ChatFrames, completion_form, failure_form, finish_of
from api.dialects.openai_errors import error_form, status_of
from api.dialects.openai_requests import ChatCompletionRequest, InputMessage, odd_part, text_of, unsupported
from api.edge import Edge, StreamSlot, edge_of
from api.idempotency import REPLAYED, IdempotencyKey, idempotency_of
from api.limits import check_content
from api.openai_documents import OPENAI_REFUSALS, ChatCompletionForm
from api.openapi import event_stream
from api.problems import invalid
from api.rates import charge
from api.sse import EventStream
from parlor.errors import InternalError, ParlorError
from parlor.llm.ports import ModelCall, PromptTurn
from parlor.model.ids import RoomId
from parlor.model.messages import Message
from parlor.model.requests import SendRequest
from parlor.model.wire import encode

router = APIRouter(prefix="/openai/v1/chat/completions", tags=["OpenAI"], route_class=AuthenticatedRoute)
NOT_AGAIN = {"x-should-retry": "false"}
"""OpenAI's clients send a request that failed once more, which would be another message in the room."""


@router.post(
    "",
    response_model=ChatCompletionForm,
    responses={
        **OPENAI_REFUSALS,
        200: {**event_stream("The completion; with `stream`, its chunks"), "model": ChatCompletionForm},
    },
    summary="Chat completion",
)
async def create_chat_completion(
    request: Request, body: ChatCompletionRequest, idempotency_key: IdempotencyKey = None
) -> Response:
    """With the header `Parlor-Room: <room id or external id>` the last user message is sent to that room and its reply
    is the answer; a new external id gets a room. Without it the messages go to the persona's model, and nothing is
    stored. `Idempotency-Key` makes a repeat in a room harmless."""
    del idempotency_key
    _check(body)
    edge, caller = edge_of(request), caller_of(request)
    await require_model(edge, body.model)
    aside = is_aside(text_of(body.messages[-1].content))
    room_id = None if aside else await room_of(request, body.model)
    # A refusal after the message was appended would have the client send it again.
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


async def _in_room(request: Request, body: ChatCompletionRequest, room_id: RoomId, slot: StreamSlot | None) -> Response:
    edge, caller = edge_of(request), caller_of(request)
    content = _last_said(body.messages, edge)
    idempotency = idempotency_of(request, "chat", body.model, content)
    command = SendRequest(content=content, ai_persona=body.model, idempotency=idempotency)
    receipt = await edge.gateway.send_message(caller.session, room_id, command)
    reply = receipt.reply
    if reply is None:
        raise InternalError(debug="a send that asks for a reply has none")
    headers = {ROOM_HEADER: room_id, **(REPLAYED if receipt.replayed else {})}
    if slot is not None:
        frames, events = _frames(body, reply), edge.gateway.turn_events(caller.session, room_id, receipt)
        return EventStream(events, edge, caller, headers, slot=slot, begins_at=receipt.cursor, frames=frames)
    try:
        ended = await ended_reply(edge, caller.session, room_id, reply.message_id)
    except ParlorError as error:
        form = error_form(error.detail, error.http_status, error.code)
        return Response(encode(form), status_of(error.http_status), {**headers, **NOT_AGAIN}, "application/json")
    return _answer(ended, body.model, headers)


async def _stateless(request: Request, body: ChatCompletionRequest, slot: StreamSlot | None) -> Response:
    edge, caller = edge_of(request), caller_of(request)
    turns = [_turn(index, message) for index, message in enumerate(body.messages)]
    answer = edge.gateway.answer(caller.session, ModelCall(body.model, turns, body.temperature, body.tokens))
    if slot is None:
        return _answer(await collected(answer), body.model, {})
    return EventStream(answer, edge, caller, slot=slot, frames=_frames(body, answer.message))


def _frames(body: ChatCompletionRequest, reply: Message) -> ChatFrames:
    usage = body.stream_options is not None and body.stream_options.include_usage
    return ChatFrames(reply.message_id, body.model, reply.timestamp, include_usage=usage)


def _answer(reply: Message, model: str, headers: dict[str, str]) -> Response:
    if finish_of(reply.finish_reason) is None:
        status, form = 500, failure_form(reply.error, reply.finish_reason)
        return Response(encode(form), status, {**headers, **NOT_AGAIN}, "application/json")
    return Response(encode(completion_form(reply, model)), 200, headers, "application/json")


def _check(body: ChatCompletionRequest) -> None:
    """Raises ``InvalidRequest`` for what Parlor cannot do."""
    name = unsupported(body)
    if name is not None:
        raise invalid(("body", name), f"Parlor does not have `{name}` like this")
    for index, message in enumerate(body.messages):
        found = odd_part(message.content)
        if found is not None:
            part, kind = found
            raise invalid(("body", "messages", index, "content", part), f"Content of type `{kind[:40]}` is not taken")


def _last_said(messages: list[InputMessage], edge: Edge) -> str:
    """The last user message's text. Raises ``InvalidRequest`` and ``ContentTooLarge``."""
    for index in reversed(range(len(messages))):
        if messages[index].role == "user":
            where = ("body", "messages", index, "content")
            content = checked_text(where, text_of(messages[index].content))
            check_content(content, edge.settings)
            return content
    raise invalid(("body", "messages"), "None of the messages is a user's")


def _turn(index: int, message: InputMessage) -> PromptTurn:
    content = storable(("body", "messages", index, "content"), text_of(message.content))
    match message.role:
        case "user" | "assistant":
            return PromptTurn(message.role, content)
        case "system" | "developer":
            return PromptTurn("system", content)
    raise invalid(("body", "messages", index, "role"), "Results of tools are not taken")

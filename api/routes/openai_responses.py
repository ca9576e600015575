"""OpenAI's responses: in a room, in a new one, or of a persona's model alone."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import AuthenticatedRoute, caller_of
from api.dialect_rooms import checked_text, storable
from api.dialect_turns import answered
from api.dialects.openai_requests import InputItem, ResponseRequest, odd_part, text_of, unsupported_response
from api.dialects.openai_responses import Asked, ResponseFrames, ending_of, response_form
from api.edge import edge_of
from api.idempotency import IdempotencyKey, idempotency_of
from api.openai_documents import OPENAI_REFUSALS, ResponseForm
from api.openapi import event_stream
from api.path_ids import room_id_of
from api.problems import invalid
from parlor.llm.ports import ModelCall, PromptTurn
from parlor.model.files import PromptImage
from parlor.model.ids import RoomId
from parlor.model.messages import Message
from parlor.model.requests import OnBusy
from parlor.model.wire import JsonForm, message_form

router = APIRouter(prefix="/openai/v1/responses", tags=["OpenAI"], route_class=AuthenticatedRoute)
CONVERSATION = "conv_"


class _Turn:
    operation = "responses"
    stream_type = "text/event-stream"

    def __init__(self, body: ResponseRequest) -> None:
        self._body = body
        self._room_id: RoomId | None = None
        self.model = body.model
        self.streams = bool(body.stream)

    @property
    def on_busy(self) -> OnBusy:
        return _on_busy(self._body)

    async def room(self, request: Request) -> RoomId | None:
        """The room of the conversation, or a new one; None when the response is not to be stored."""
        self._room_id = await self._find_room(request)
        return self._room_id

    def said(self) -> str:
        return _said(self._body)

    def shown(self) -> list[PromptImage]:
        return []

    def check_room(self) -> None:
        """What is not taken was refused before."""

    def call(self) -> ModelCall:
        body = self._body
        turns = [_turn(index, item) for index, item in enumerate(body.items) if item.type == "message"]
        if body.instructions:
            turns.insert(0, PromptTurn("system", storable(("body", "instructions"), body.instructions)))
        return ModelCall(body.model, turns, body.temperature, body.max_output_tokens)

    def frames(self, reply: Message) -> ResponseFrames:
        return ResponseFrames(self._asked(reply))

    def whole(self, reply: Message) -> tuple[JsonForm, int]:
        error = None if reply.error is None else {"code": reply.error.code, "detail": reply.error.detail}
        ending = ending_of({"message": message_form(reply), "error": error})
        return response_form(self._asked(reply), ending), 200

    async def _find_room(self, request: Request) -> RoomId | None:
        body, edge, session = self._body, edge_of(request), caller_of(request).session
        if body.conversation is not None:
            named = body.conversation if isinstance(body.conversation, str) else body.conversation.id
            room = await edge.gateway.get_room(session, room_id_of(named.removeprefix(CONVERSATION)))
            return room.room_id
        if not body.store or body.instructions or len(body.items) > 1:
            return None
        self.said()  # Refused before there is a room.
        idempotency = idempotency_of(request, self.operation, body.model, text_of(body.items[0].content))
        return (await edge.gateway.create_room(session, None, body.model, idempotency)).room.room_id

    def _asked(self, reply: Message) -> Asked:
        body = self._body
        return Asked(
            model=body.model,
            message_id=reply.message_id,
            created_ms=reply.timestamp,
            stored=self._room_id is not None,
            conversation=f"{CONVERSATION}{self._room_id}" if self._room_id is not None else None,
            instructions=body.instructions,
            temperature=body.temperature,
            max_output_tokens=body.max_output_tokens,
            metadata=body.metadata or {},
        )


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
    return await answered(request, _Turn(body))


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

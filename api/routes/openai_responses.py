"""OpenAI's responses: in a room, in a new one, or of a persona's model alone."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import AuthenticatedRoute, caller_of
from api.dialect_items import Brought, Where, append, brought, check_items, find_images, images_of
from api.dialect_offers import offered
from api.dialect_rooms import checked_text, storable
from api.dialect_turns import Turn, answered
from api.dialects.openai_items import CONVERSATION, RESPONSE
from api.dialects.openai_requests import text_of
from api.dialects.openai_response_frames import ResponseFrames
from api.dialects.openai_response_requests import (
    InputItem,
    NamedChoice,
    ResponseRequest,
    unsupported_response,
)
from api.dialects.openai_responses import Asked, metadata_of, response_of
from api.edge import edge_of
from api.idempotency import IdempotencyKey, idempotency_of
from api.limits import check_content, check_metadata
from api.openai_documents import OPENAI_REFUSALS, ResponseForm
from api.openapi import event_stream
from api.path_ids import message_id_of, room_id_of
from api.problems import invalid
from parlor.llm.ports import ModelCall, PromptTurn
from parlor.model.files import PromptImage
from parlor.model.ids import RoomId
from parlor.model.messages import Message, SenderType
from parlor.model.offers import AnswerForm, OfferedTool, ToolChoice
from parlor.model.requests import OnBusy
from parlor.model.tools import PromptCall
from parlor.model.wire import JsonForm

router = APIRouter(prefix="/openai/v1/responses", tags=["OpenAI"], route_class=AuthenticatedRoute)
_ITEMS = ("message", "reasoning", "function_call", "function_call_output")
_INPUT: Where = ("body", "input")
_ANY = {"type": "object", "properties": {}}
_HISTORY_MAX = 100
"""Most items that a new room begins with."""


class _Turn(Turn):
    operation = "responses"

    def __init__(self, body: ResponseRequest) -> None:
        self._body = body
        self._room_id: RoomId | None = None
        self.model = body.model
        self.streams = bool(body.stream)
        self.waits = not body.background
        self.metadata = metadata_of(
            body.metadata or {}, previous=body.previous_response_id, background=bool(body.background)
        )

    @property
    def on_busy(self) -> OnBusy:
        wanted = (self._body.metadata or {}).get("parlor_on_busy", OnBusy.ENQUEUE)
        try:
            return OnBusy(wanted)
        except ValueError:
            raise invalid(("body", "metadata", "parlor_on_busy"), "Parlor does not know this policy") from None

    async def room(self, request: Request) -> RoomId | None:
        self._room_id = await self._find_room(request)
        return self._room_id

    def said(self) -> str:
        index, item = self._asking()
        where = _INPUT if isinstance(self._body.input, str) else (*_INPUT, index, "content")
        return checked_text(where, text_of(item.content))

    def shown(self) -> list[PromptImage]:
        index, item = self._asking()
        return images_of((*_INPUT, index), item)

    def check_room(self) -> None:
        body = self._body
        is_old = body.conversation is not None or body.previous_response_id is not None
        taken = {
            "instructions": body.instructions and is_old,
            "tools": body.offers,
            "text": body.format.type != "text",
        }
        for name, is_there in taken.items():
            if is_there:
                raise invalid(("body", name), f"`{name}` is not taken in a room: its persona decides that")

    def call(self) -> ModelCall:
        body = self._body
        turns: list[PromptTurn] = []
        if body.instructions:
            turns.append(PromptTurn("system", storable(("body", "instructions"), body.instructions)))
        for index, item in enumerate(body.items):
            turn = _turn(index, item)
            if turn is not None and turn.calls and turns and turns[-1].calls:
                turns[-1] = PromptTurn("assistant", turns[-1].content, calls=turns[-1].calls + turn.calls)
            elif turn is not None:
                turns.append(turn)
        tools = [OfferedTool(each.name, each.description or "", each.parameters or _ANY) for each in body.offers]
        return ModelCall(
            body.model,
            turns,
            body.temperature,
            body.max_output_tokens,
            offered(("body", "tools"), tools),
            _choice(body),
            _form(body),
        )

    def frames(self, reply: Message) -> ResponseFrames:
        return ResponseFrames(self._asked(reply))

    def whole(self, reply: Message) -> tuple[JsonForm, int]:
        return response_of(self._asked(reply), reply), 200

    async def _find_room(self, request: Request) -> RoomId | None:
        body, edge, session = self._body, edge_of(request), caller_of(request).session
        check_metadata(dict(self.metadata), edge.settings)
        if body.said_in is not None:
            return (await edge.gateway.get_room(session, room_id_of(body.said_in.removeprefix(CONVERSATION)))).room_id
        if body.previous_response_id is not None:
            before = message_id_of(body.previous_response_id.removeprefix(RESPONSE))
            return (await edge.gateway.find_message(session, before)).room_id
        if body.store is False or self._brings_its_own:
            if body.background:
                raise invalid(("body", "background"), "What runs in the background is stored, and this cannot be")
            return None
        text, _ = self.said(), self.shown()  # Refused before there is a room.
        history = self._history(request)
        idempotency = idempotency_of(request, self.operation, body.model, text, len(history))
        room_id = (await edge.gateway.create_room(session, None, body.model, idempotency)).room.room_id
        if history:
            await append(request, room_id, history, idempotency)
        return room_id

    @property
    def _brings_its_own(self) -> bool:
        """Whether the request has what a room cannot keep or decides for itself."""
        body, items = self._body, self._body.items
        is_talk = all(item.type in ("message", "reasoning") for item in items) and items[-1].role == "user"
        return bool(body.offers) or body.format.type != "text" or not is_talk or len(items) > _HISTORY_MAX

    def _history(self, request: Request) -> list[Brought]:
        """What a new room begins with: the instructions, and what was said before the last message."""
        body, last = self._body, self._asking()[0]
        said = [(index, item) for index, item in enumerate(body.items[:last]) if item.type == "message"]
        found = [brought(request, (*_INPUT, index), item) for index, item in said if text_of(item.content)]
        if body.instructions:
            content = checked_text(("body", "instructions"), body.instructions)
            check_content(content, edge_of(request).settings)
            found.insert(0, Brought(SenderType.SYSTEM, content))
        return found

    def _asking(self) -> tuple[int, InputItem]:
        """The last user message, and where it is."""
        items = self._body.items
        for index in reversed(range(len(items))):
            if items[index].type == "message" and items[index].role == "user":
                return index, items[index]
        raise invalid(("body", "input"), "None of the messages is a user's")

    def _asked(self, reply: Message) -> Asked:
        body = self._body
        choice = body.tool_choice
        return Asked(
            model=body.model,
            message_id=reply.message_id,
            created_ms=reply.timestamp,
            room_id=self._room_id,
            instructions=body.instructions,
            temperature=body.temperature,
            max_output_tokens=body.max_output_tokens,
            metadata=dict(body.metadata or {}),
            previous=body.previous_response_id,
            background=bool(body.background),
            tools=[each.model_dump() for each in body.tools or ()],
            tool_choice=choice.model_dump() if isinstance(choice, NamedChoice) else choice or "auto",
            text_format=_format_form(body),
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
    """With `conversation` or `previous_response_id` the last user message is sent to that room. Without one, a single
    message begins a new room, unless `store` is false; its `conversation` is in the response. `Idempotency-Key` makes a
    repeat in a room harmless."""
    del idempotency_key
    _check(body)
    await find_images(request, _INPUT, body.items)
    return await answered(request, _Turn(body))


def _check(body: ResponseRequest) -> None:
    """Raises ``InvalidRequest`` for what Parlor cannot do."""
    name = unsupported_response(body)
    if name is not None:
        raise invalid(("body", name), f"Parlor does not have `{name}` like this")
    check_items(_INPUT, body.items, _ITEMS)


def _turn(index: int, item: InputItem) -> PromptTurn | None:
    """None for what the model is not told again."""
    where = (*_INPUT, index)
    match item.type:
        case "reasoning":
            return None
        case "function_call":
            arguments = storable((*where, "arguments"), item.arguments)
            return PromptTurn("assistant", "", calls=(PromptCall(item.call_id, item.name, arguments),))
        case "function_call_output":
            return PromptTurn("tool", storable((*where, "output"), text_of(item.output)), call_id=item.call_id)
    content = storable((*where, "content"), text_of(item.content))
    role = "system" if item.role == "developer" else item.role
    return PromptTurn(role, content, images=tuple(images_of(where, item)))


def _choice(body: ResponseRequest) -> ToolChoice | None:
    choice = body.tool_choice
    if choice is None or not body.offers or isinstance(choice, dict):
        return None
    return ToolChoice("named", choice.name) if isinstance(choice, NamedChoice) else ToolChoice(choice)


def _form(body: ResponseRequest) -> AnswerForm | None:
    form = body.format
    if form.type == "text":
        return None
    return AnswerForm() if form.type == "json_object" else AnswerForm(form.schema_, form.name, bool(form.strict))


def _format_form(body: ResponseRequest) -> JsonForm:
    form = body.format
    if form.type != "json_schema":
        return {"type": form.type}
    return {
        "type": form.type,
        "name": form.name,
        "description": None,
        "schema": form.schema_,
        "strict": bool(form.strict),
    }

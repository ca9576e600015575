"""OpenAI's chat completions: in a room, or of a persona's model alone."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import AuthenticatedRoute
from api.dialect_offers import image_of_url, offered
from api.dialect_rooms import storable
from api.dialect_turns import HeaderTurn, answered
from api.dialects.openai_chat import ChatFrames, completion_form, failure_form, finish_of
from api.dialects.openai_requests import (
    ChatCompletionRequest,
    ChatFormat,
    ImageContent,
    InputMessage,
    NamedTool,
    odd_part,
    text_of,
    unsupported,
)
from api.idempotency import IdempotencyKey
from api.openai_documents import OPENAI_REFUSALS, ChatCompletionForm
from api.openapi import event_stream
from api.problems import invalid
from parlor.llm.ports import ModelCall, PromptTurn
from parlor.model.files import PromptImage
from parlor.model.messages import Message
from parlor.model.offers import AnswerForm, OfferedTool, ToolChoice
from parlor.model.tools import PromptCall
from parlor.model.wire import JsonForm

router = APIRouter(prefix="/openai/v1/chat/completions", tags=["OpenAI"], route_class=AuthenticatedRoute)


class _Turn(HeaderTurn):
    operation = "chat"

    def __init__(self, body: ChatCompletionRequest) -> None:
        self._body = body
        self.model = body.model
        self.streams = bool(body.stream)
        self.said_by = [(each.role, text_of(each.content)) for each in body.messages]

    def call(self) -> ModelCall:
        body = self._body
        turns = [_turn(index, message) for index, message in enumerate(body.messages)]
        return ModelCall(
            self.model, turns, body.temperature, body.tokens, _tools(body), _choice(body), _form(body.response_format)
        )

    def frames(self, reply: Message) -> ChatFrames:
        usage = self._body.stream_options is not None and self._body.stream_options.include_usage
        return ChatFrames(reply.message_id, self.model, reply.timestamp, include_usage=usage)

    def whole(self, reply: Message) -> tuple[JsonForm, int]:
        if finish_of(reply.finish_reason) is None:
            return dict(failure_form(reply.error, reply.finish_reason)), 500
        return completion_form(reply, self.model), 200


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
    return await answered(request, _Turn(body))


def _check(body: ChatCompletionRequest) -> None:
    """Raises ``InvalidRequest`` for what Parlor cannot do."""
    name = unsupported(body)
    if name is not None:
        raise invalid(("body", name), f"Parlor does not have `{name}` like this")
    for index, message in enumerate(body.messages):
        found = odd_part(message.content, images=message.role == "user")
        if found is not None:
            part, kind = found
            raise invalid(("body", "messages", index, "content", part), f"Content of type `{kind[:40]}` is not taken")


def _turn(index: int, message: InputMessage) -> PromptTurn:
    where = ("body", "messages", index)
    content = storable((*where, "content"), text_of(message.content))
    match message.role:
        case "user":
            return PromptTurn("user", content, images=_images((*where, "content"), message))
        case "assistant":
            asked = tuple(
                PromptCall(call.id, call.function.name, storable((*where, "tool_calls"), call.function.arguments))
                for call in message.tool_calls or ()
            )
            return PromptTurn("assistant", content, calls=asked)
        case "tool" if message.tool_call_id:
            return PromptTurn("tool", content, call_id=message.tool_call_id)
        case "system" | "developer":
            return PromptTurn("system", content)
    raise invalid((*where, "role"), "The result of a tool needs its `tool_call_id`")


def _images(where: tuple[str | int, ...], message: InputMessage) -> tuple[PromptImage, ...]:
    parts = message.content if isinstance(message.content, list) else []
    return tuple(
        image_of_url((*where, at, "image_url"), part.image_url.url)
        for at, part in enumerate(parts)
        if isinstance(part, ImageContent)
    )


def _tools(body: ChatCompletionRequest) -> tuple[OfferedTool, ...]:
    functions = [tool.function for tool in body.tools or () if tool.function is not None]
    found = [
        OfferedTool(each.name, each.description or "", each.parameters or {"type": "object", "properties": {}})
        for each in functions
    ]
    return offered(("body", "tools"), found)


def _choice(body: ChatCompletionRequest) -> ToolChoice | None:
    choice = body.tool_choice
    if choice is None or not body.tools:
        return None
    return ToolChoice("named", choice.function.name) if isinstance(choice, NamedTool) else ToolChoice(choice)


def _form(asked: ChatFormat | None) -> AnswerForm | None:
    if asked is None or asked.type == "text":
        return None
    if asked.type == "json_object":
        return AnswerForm()
    schema = asked.json_schema
    if schema is None:
        raise invalid(("body", "response_format", "json_schema"), "`json_schema` is missing")
    return AnswerForm(schema.schema_ or {}, schema.name, bool(schema.strict))

"""Anthropic's messages: in a room, or of a persona's model alone."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import READS, AuthenticatedRoute, Authenticator
from api.callers import Caller
from api.dialect_documents import ANTHROPIC_REFUSALS, AnthropicMessageForm, TokenCountForm
from api.dialect_offers import Where, image_of, offered
from api.dialect_rooms import require_model, storable
from api.dialect_turns import HeaderTurn, answered
from api.dialects.anthropic_messages import MessageFrames, message_answer
from api.dialects.anthropic_requests import (
    AnthropicMessage,
    AnthropicRequest,
    Block,
    Content,
    CountTokensRequest,
    odd_block,
    text_of,
    unsupported,
)
from api.edge import edge_of
from api.idempotency import IdempotencyKey
from api.openapi import event_stream
from api.problems import invalid
from parlor.errors import Unauthenticated
from parlor.llm.ports import ModelCall, PromptTurn
from parlor.llm.tokens import estimate_call
from parlor.model.files import PromptImage
from parlor.model.messages import Message
from parlor.model.offers import OfferedTool, ToolChoice
from parlor.model.tools import PromptCall
from parlor.model.wire import JsonForm, encode

_KEY = "x-api-key"


class AnthropicRoute(AuthenticatedRoute):
    """Takes an API key or a token in Anthropic's header too."""

    async def find_caller(self, request: Request, authenticator: Authenticator) -> Caller:
        given = request.headers.getlist(_KEY)
        if not given:
            return await super().find_caller(request, authenticator)
        if len(given) > 1 or "authorization" in request.headers:
            raise Unauthenticated(f"Give one `{_KEY}` or one `Authorization`, not both")
        return await authenticator.token_caller(edge_of(request), given[0].strip())


router = APIRouter(prefix="/anthropic/v1/messages", tags=["Anthropic"], route_class=AnthropicRoute)


class _Turn(HeaderTurn):
    operation = "anthropic"

    def __init__(self, body: AnthropicRequest) -> None:
        self._body = body
        self._thinking = body.thinking is None or body.thinking.type != "disabled"
        self.model = body.model
        self.streams = bool(body.stream)
        self.said_by = [(each.role, text_of(each.content)) for each in body.messages]

    def call(self) -> ModelCall:
        body = self._body
        return ModelCall(body.model, _turns(body), body.temperature, body.max_tokens, _tools(body), _choice(body))

    def frames(self, reply: Message) -> MessageFrames:
        return MessageFrames(reply.message_id, self.model, thinking=self._thinking)

    def whole(self, reply: Message) -> tuple[JsonForm, int]:
        return message_answer(reply, self.model, thinking=self._thinking)


@router.post(
    "",
    response_model=AnthropicMessageForm,
    responses={
        **ANTHROPIC_REFUSALS,
        200: {**event_stream("The message; with `stream`, its events"), "model": AnthropicMessageForm},
    },
    summary="Message",
)
async def create_message(request: Request, body: AnthropicRequest, idempotency_key: IdempotencyKey = None) -> Response:
    """With the header `Parlor-Room: <room id or external id>` the last user message is sent to that room and its reply
    is the answer; a new external id gets a room. Without it the messages go to the persona's model, and nothing is
    stored. `Idempotency-Key` makes a repeat in a room harmless."""
    del idempotency_key
    _check(body)
    return await answered(request, _Turn(body))


@router.post(
    "/count_tokens",
    response_model=TokenCountForm,
    responses=ANTHROPIC_REFUSALS,
    openapi_extra=READS,
    summary="Count tokens",
)
async def count_message_tokens(request: Request, body: CountTokensRequest) -> Response:
    """An estimate of the prompt without a room, the persona's own part included."""
    _check(body)
    persona = await require_model(edge_of(request), body.model)
    tokens = estimate_call(ModelCall(body.model, _turns(body)).prompt(persona), _tools(body))
    return Response(encode({"input_tokens": tokens}), media_type="application/json")


def _check(body: CountTokensRequest) -> None:
    """Raises ``InvalidRequest`` for what Parlor cannot do."""
    name = unsupported(body)
    if name is not None:
        raise invalid(("body", name), f"{name}: Parlor does not have this")
    contents: list[tuple[tuple[str | int, ...], Content | None, str]] = [(("system",), body.system, "system")]
    contents += [(("messages", at, "content"), each.content, each.role) for at, each in enumerate(body.messages)]
    for where, content, role in contents:
        found = odd_block(content, role)
        if found is not None:
            place = ".".join(str(step) for step in (*where, found[0]))
            raise invalid(("body", *where, found[0]), f"{place}: content of type `{found[1]}` is not taken")


def _turns(body: CountTokensRequest) -> list[PromptTurn]:
    """Raises ``InvalidRequest``."""
    turns = [turn for at, each in enumerate(body.messages) for turn in _said(("body", "messages", at, "content"), each)]
    system = storable(("body", "system"), text_of(body.system))
    return [PromptTurn("system", system), *turns] if system else turns


def _said(where: Where, message: AnthropicMessage) -> list[PromptTurn]:
    """The turns that a message is: the results of tools, then what else there is."""
    blocks = message.content if isinstance(message.content, list) else []
    text, images = storable(where, text_of(message.content)), _images(where, blocks)
    if message.role == "assistant":
        return [PromptTurn("assistant", text, calls=_uses(blocks))]
    results = [(at, block) for at, block in enumerate(blocks) if block.type == "tool_result"]
    turns = [_result((*where, at), block) for at, block in results]
    # What a tool shows can only be told as the person's: other protocols have texts as results.
    for at, block in results:
        images += _images((*where, at, "content"), block.content if isinstance(block.content, list) else [])
    return [*turns, PromptTurn("user", text, images=images)] if text or images or not turns else turns


def _uses(blocks: list[Block]) -> tuple[PromptCall, ...]:
    uses = [block for block in blocks if block.type == "tool_use"]
    return tuple(PromptCall(use.id or "", use.name or "", encode(use.input or {}).decode()) for use in uses)


def _result(where: Where, block: Block) -> PromptTurn:
    text = storable(where, text_of(block.content))
    return PromptTurn("tool", f"Error: {text}" if block.is_error else text, call_id=block.tool_use_id or "")


def _images(where: Where, blocks: list[Block]) -> tuple[PromptImage, ...]:
    return tuple(
        image_of((*where, at, "source"), block.source.data)
        for at, block in enumerate(blocks)
        if block.type == "image" and block.source is not None
    )


def _tools(body: CountTokensRequest) -> tuple[OfferedTool, ...]:
    found = [OfferedTool(each.name, each.description or "", each.input_schema or {}) for each in body.tools or ()]
    return offered(("body", "tools"), found)


def _choice(body: CountTokensRequest) -> ToolChoice | None:
    choice = body.tool_choice
    if choice is None or not body.tools:
        return None
    match choice.type:
        case "any":
            return ToolChoice("required")
        case "tool":
            return ToolChoice("named", choice.name or "")
        case "auto" | "none":
            return ToolChoice(choice.type)

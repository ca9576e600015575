"""Ollama's chat, in a room or of a persona's model alone, and its models: the personas."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version

from fastapi import APIRouter, Request, Response

from api.auth import AuthenticatedRoute
from api.dialect_documents import OLLAMA_REFUSALS, OllamaChatForm, OllamaModelListForm, OllamaVersionForm
from api.dialect_offers import image_of, offered
from api.dialect_rooms import storable
from api.dialect_turns import HeaderTurn, answered
from api.dialects.ollama_chat import ChatLines, chat_answer
from api.dialects.ollama_requests import OllamaMessage, OllamaRequest, unsupported
from api.edge import edge_of
from api.idempotency import IdempotencyKey
from api.problems import invalid
from parlor.llm.ports import ModelCall, PromptTurn
from parlor.model.messages import Message
from parlor.model.offers import AnswerForm, OfferedTool
from parlor.model.tools import PromptCall
from parlor.model.wire import JsonForm, encode

router = APIRouter(prefix="/api", tags=["Ollama"], route_class=AuthenticatedRoute)
_LINES = "application/x-ndjson"
_ANY = {"type": "object", "properties": {}}
_MODIFIED = "2023-11-14T22:13:20Z"
"""Personas are made by the operator, nobody knows when."""


class _Turn(HeaderTurn):
    operation = "ollama"
    stream_type = _LINES

    def __init__(self, body: OllamaRequest) -> None:
        self._body = body
        self._thinking = body.think is not False
        self.model = body.persona
        self.streams = body.stream is not False
        self.said_by = [(each.role, each.content) for each in body.messages]

    def call(self) -> ModelCall:
        body, options = self._body, self._body.options
        most = options.num_predict if options is not None else None
        temperature = options.temperature if options is not None else None
        functions = [tool.function for tool in body.tools or ()]
        tools = [OfferedTool(each.name, each.description or "", each.parameters or _ANY) for each in functions]
        form = AnswerForm(body.format if isinstance(body.format, dict) else None) if body.format else None
        return ModelCall(
            self.model,
            _turns(body.messages),
            temperature,
            most if most is not None and most > 0 else None,
            offered(("body", "tools"), tools),
            form=form,
        )

    def frames(self, reply: Message) -> ChatLines:
        return ChatLines(reply.message_id, self._body.model, reply.timestamp, thinking=self._thinking)

    def whole(self, reply: Message) -> tuple[JsonForm, int]:
        return chat_answer(reply, self._body.model, thinking=self._thinking)


@router.post(
    "/chat",
    response_model=OllamaChatForm,
    responses={
        **OLLAMA_REFUSALS,
        200: {
            "description": "With `stream: false` the answer, else lines of JSON as it is written",
            "content": {_LINES: {"schema": {"type": "string"}}},
            "model": OllamaChatForm,
        },
    },
    summary="Chat",
)
async def create_chat(request: Request, body: OllamaRequest, idempotency_key: IdempotencyKey = None) -> Response:
    """With the header `Parlor-Room: <room id or external id>` the last user message is sent to that room and its reply
    is the answer; a new external id gets a room. Without it the messages go to the persona's model, and nothing is
    stored. `Idempotency-Key` makes a repeat in a room harmless."""
    del idempotency_key
    if (found := unsupported(body)) is not None:
        where, message = found
        raise invalid(("body", *where), message)
    return await answered(request, _Turn(body))


@router.get("/tags", response_model=OllamaModelListForm, responses=OLLAMA_REFUSALS, summary="List models")
async def list_tags(request: Request) -> Response:
    """The personas."""
    models = [_model(persona.name) for persona in await edge_of(request).gateway.personas()]
    return Response(encode({"models": models}), media_type="application/json")


@router.get("/version", response_model=OllamaVersionForm, responses=OLLAMA_REFUSALS, summary="Version")
async def read_version() -> Response:
    """Parlor's own."""
    return Response(encode({"version": version("parlor")}), media_type="application/json")


def _turns(messages: Sequence[OllamaMessage]) -> list[PromptTurn]:
    """Raises ``InvalidRequest``. Calls have no ids in this protocol: a result is that of the next call of its name."""
    turns: list[PromptTurn] = []
    open_calls: list[PromptCall] = []
    for at, message in enumerate(messages):
        where = ("body", "messages", at)
        content = storable((*where, "content"), message.content)
        match message.role:
            case "assistant":
                asked = enumerate(message.tool_calls or ())
                calls = tuple(
                    PromptCall(f"call_{at}_{number}", call.function.name, encode(call.function.arguments).decode())
                    for number, call in asked
                )
                open_calls = list(calls)
                turns.append(PromptTurn("assistant", content, calls=calls))
            case "tool":
                answered_call = next((call for call in open_calls if message.tool_name in (None, call.name)), None)
                if answered_call is None:
                    raise invalid((*where, "role"), "There is no call of a tool that this could be the result of")
                open_calls.remove(answered_call)
                turns.append(PromptTurn("tool", content, call_id=answered_call.call_id))
            case "user" | "system":
                images = (image_of((*where, "images", at), image) for at, image in enumerate(message.images or ()))
                turns.append(PromptTurn(message.role, content, images=tuple(images)))
    return turns


def _model(name: str) -> JsonForm:
    details = {
        "parent_model": "",
        "format": "",
        "family": "parlor",
        "families": ["parlor"],
        "parameter_size": "",
        "quantization_level": "",
    }
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {
        "name": name,
        "model": name,
        "modified_at": _MODIFIED,
        "size": 0,
        "digest": digest,
        "details": details,
    }

"""What OpenAI's clients ask for a response: parameters that Parlor knows (see ``openai_requests``)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, PrivateAttr

from api.dialects.openai_requests import Lenient, OtherContent, Pairs, TextContent
from api.fields import PersonaName
from parlor.model.files import PromptImage

ResponseId = Annotated[str, Field(max_length=64)]
ConversationId = Annotated[str, Field(max_length=64)]


class InputImage(Lenient):
    type: Literal["input_image"]
    image_url: str | None = None
    """A data URL."""
    file_id: Annotated[str, Field(max_length=64)] | None = None
    """An image that was uploaded to `/v1/files`, instead of a URL."""
    _found: PromptImage | None = PrivateAttr(None)

    @property
    def found(self) -> PromptImage | None:
        """The image that `file_id` names, once it was read."""
        return self._found

    def find(self, image: PromptImage) -> None:
        self._found = image


ItemContent: TypeAlias = str | list[TextContent | InputImage | OtherContent] | None


class InputItem(Lenient):
    """An item of a response's input: a message, or what the caller's tools were asked and said. Reasoning that came
    with an answer is left out."""

    type: str = "message"
    role: Literal["system", "developer", "user", "assistant"] = "user"
    content: ItemContent = None
    call_id: Annotated[str, Field(max_length=256)] = ""
    """Of a `function_call` and of its `function_call_output`."""
    name: Annotated[str, Field(max_length=256)] = ""
    arguments: str = ""
    output: str | list[TextContent | OtherContent] = ""


class ConversationReference(Lenient):
    id: ConversationId


class TextFormat(Lenient):
    type: Literal["text", "json_object", "json_schema"] = "text"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "answer"
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class TextOptions(Lenient):
    format: TextFormat | None = None


class ResponseTool(Lenient):
    """A function of the caller's."""

    type: str = "function"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "-"
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedChoice(Lenient):
    type: Literal["function"]
    name: str


class ResponseRequest(Lenient):
    """Other parameters are ignored."""

    model: PersonaName
    """The name of a persona."""
    input: str | Annotated[list[InputItem], Field(min_length=1)]
    instructions: str | None = None
    """Not in a room that was there before: its persona decides that."""
    conversation: ConversationId | ConversationReference | None = None
    """`conv_` and the id of a room. The last user message of `input` is sent to it."""
    previous_response_id: ResponseId | None = None
    """The response whose room the last user message of `input` is sent to."""
    store: bool | None = None
    """Without a conversation: a new room, which begins with the `instructions` and what `input` has before its last
    message. What brings `tools`, their results or a `text.format` is answered and not stored, as with `false`; `store`
    in the response says which."""
    background: bool | None = None
    """The answer is the response as it begins; `GET /openai/v1/responses/{response_id}` says what became of it."""
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    metadata: Pairs | None = None
    """Kept with the message. `parlor_on_busy` says what to do while another reply is being written."""
    tools: list[ResponseTool] | None = None
    """Functions of the caller's, which makes the calls. Not in a room."""
    tool_choice: Literal["auto", "none", "required"] | NamedChoice | dict[str, Any] | None = None
    text: TextOptions | None = None
    """Not in a room."""

    @property
    def items(self) -> list[InputItem]:
        return [InputItem(content=self.input)] if isinstance(self.input, str) else self.input

    @property
    def said_in(self) -> str | None:
        """The id of the conversation."""
        return self.conversation.id if isinstance(self.conversation, ConversationReference) else self.conversation

    @property
    def format(self) -> TextFormat:
        found = self.text.format if self.text is not None else None
        return found or TextFormat()

    @property
    def offers(self) -> list[ResponseTool]:
        """The tools that the model may use."""
        return [] if self.tool_choice == "none" else self.tools or []


def unsupported_response(body: ResponseRequest) -> str | None:
    """The name of a parameter that asks for what Parlor does not have."""
    schema = body.format.type == "json_schema" and body.format.schema_ is None
    asked = {
        "previous_response_id": body.previous_response_id is not None and body.conversation is not None,
        "background": bool(body.background) and body.store is False,
        "tools": any(tool.type != "function" or tool.name == "-" for tool in body.offers),
        "tool_choice": isinstance(body.tool_choice, dict),
        "text": schema,
    }
    return next((name for name, is_asked in asked.items() if is_asked), None)

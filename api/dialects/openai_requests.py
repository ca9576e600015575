"""What OpenAI's clients ask for: parameters that Parlor knows. Others are ignored, as clients send more and more of
them; those that would change what the answer is, and that Parlor cannot heed, are refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.fields import PersonaName, _storable


class Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


PAIRS_MAX = 16
"""Of metadata, as OpenAI has it."""
PairName = Annotated[str, Field(max_length=64), AfterValidator(_storable)]
PairValue = Annotated[str, Field(max_length=512), AfterValidator(_storable)]
Pairs = Annotated[dict[PairName, PairValue], Field(max_length=PAIRS_MAX)]


class TextContent(Lenient):
    type: Literal["text", "input_text", "output_text"]
    text: str


class ImageUrl(Lenient):
    url: str
    """A data URL."""


class ImageContent(Lenient):
    type: Literal["image_url"]
    image_url: ImageUrl


class OtherContent(Lenient):
    """A kind of content that Parlor cannot take: audio, a file."""

    type: str


Content: TypeAlias = str | list[TextContent | ImageContent | OtherContent] | None


class CalledFunction(Lenient):
    name: str
    arguments: str = ""


class CalledTool(Lenient):
    id: Annotated[str, Field(min_length=1, max_length=256)]
    function: CalledFunction


class InputMessage(Lenient):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = None
    tool_calls: list[CalledTool] | None = None
    """Of the role `assistant`."""
    tool_call_id: Annotated[str, Field(max_length=256)] | None = None
    """Of the role `tool`: the call whose result it is."""


class OfferedFunction(Lenient):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class FunctionTool(Lenient):
    """A tool that the caller has."""

    type: str = "function"
    function: OfferedFunction | None = None


class NamedFunction(Lenient):
    name: str


class NamedTool(Lenient):
    type: Literal["function"] = "function"
    function: NamedFunction


class StreamOptions(Lenient):
    include_usage: bool = False


class JsonSchema(Lenient):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ChatFormat(Lenient):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None


class ChatCompletionRequest(Lenient):
    """Other parameters are ignored."""

    model: PersonaName
    """The name of a persona."""
    messages: Annotated[list[InputMessage], Field(min_length=1)]
    """With the header `Parlor-Room` only the last one of the role `user` counts."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    """1."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    tools: list[FunctionTool] | None = None
    """Functions of the caller's, which makes the calls. Not in a room."""
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    functions: list[dict[str, Any]] | None = None
    response_format: ChatFormat | None = None
    """Not in a room."""
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    stop: str | list[str] | None = None

    @property
    def tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


def unsupported(body: ChatCompletionRequest) -> str | None:
    """The name of a parameter that asks for what Parlor does not have."""
    asked = {
        "n": body.n not in (None, 1),
        "tools": any(tool.type != "function" or tool.function is None for tool in body.tools or ()),
        "functions": bool(body.functions),
        "logprobs": bool(body.logprobs),
        "top_logprobs": bool(body.top_logprobs),
        "modalities": body.modalities not in (None, ["text"]),
        "audio": body.audio is not None,
        "stop": bool(body.stop),
    }
    return next((name for name, is_asked in asked.items() if is_asked), None)


def text_of(content: str | Sequence[object] | None) -> str:
    """The text of a message's content."""
    if isinstance(content, str) or content is None:
        return content or ""
    return "".join(part.text for part in content if isinstance(part, TextContent))


def odd_part(content: Content, *, images: bool = False) -> tuple[int, str] | None:
    """Where a content has what is not taken, and of which type it is."""
    parts: Sequence[TextContent | ImageContent | OtherContent] = content if isinstance(content, list) else ()
    taken = (TextContent, ImageContent) if images else TextContent
    return next(((at, part.type) for at, part in enumerate(parts) if not isinstance(part, taken)), None)

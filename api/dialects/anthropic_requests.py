"""What Anthropic's clients ask for: parameters that Parlor knows. Others are ignored; those that would change what the
answer is, and that Parlor cannot heed, are refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from api.dialects.openai_requests import Lenient

_THOUGHTS = ("thinking", "redacted_thinking")
"""Blocks of earlier answers that clients send back; the model is not told them again."""


class ImageSource(Lenient):
    type: str
    """`base64`; others are not fetched."""
    data: str = ""


class Block(Lenient):
    """A block of content: `text`, `image`, `tool_use`, `tool_result`; thinking that came with an answer is left out."""

    type: Annotated[str, Field(max_length=64)]
    text: str | None = None
    source: ImageSource | None = None
    """Of an image."""
    id: Annotated[str, Field(max_length=256)] | None = None
    """Of a use of a tool."""
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: Annotated[str, Field(max_length=256)] | None = None
    """Of a result."""
    content: str | list[Block] | None = None
    is_error: bool | None = None


Content: TypeAlias = str | list[Block]


class AnthropicMessage(Lenient):
    role: Literal["user", "assistant"]
    content: Content


class AnthropicTool(Lenient):
    """A tool that the caller has; not one of Anthropic's own."""

    type: str = "custom"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class AnthropicToolChoice(Lenient):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class Thinking(Lenient):
    type: str = "enabled"


class CountTokensRequest(Lenient):
    """Other parameters are ignored."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    """The name of a persona."""
    messages: Annotated[list[AnthropicMessage], Field(min_length=1)]
    system: Content | None = None
    tools: list[AnthropicTool] | None = None
    """Tools of the caller's, which makes the calls. Not in a room."""
    tool_choice: AnthropicToolChoice | None = None


class AnthropicRequest(CountTokensRequest):
    """Other parameters are ignored. With the header `Parlor-Room` only the last message of the role `user` counts."""

    max_tokens: Annotated[int, Field(ge=1)]
    """Without a room; never more than the persona's own limit."""
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    thinking: Thinking | None = None
    """`{"type": "disabled"}` leaves the thinking out of the answer."""
    stop_sequences: list[str] | None = None
    mcp_servers: list[dict[str, Any]] | None = None
    output_format: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None


def unsupported(body: CountTokensRequest) -> str | None:
    """The name of a parameter that asks for what Parlor does not have."""
    if any(tool.type != "custom" or tool.input_schema is None for tool in body.tools or ()):
        return "tools"
    if not isinstance(body, AnthropicRequest):
        return None
    asked = {
        "stop_sequences": bool(body.stop_sequences),
        "mcp_servers": bool(body.mcp_servers),
        "output_format": bool(body.output_format),
        "output_config": bool((body.output_config or {}).get("format")),
    }
    return next((name for name, is_asked in asked.items() if is_asked), None)


def text_of(content: Content | None) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    return "".join(block.text or "" for block in content if block.type == "text")


def odd_block(content: Content | None, role: str) -> tuple[int, str] | None:
    """Where a content has what is not taken, and of which type it is."""
    blocks = content if isinstance(content, list) else []
    return next(((at, block.type) for at, block in enumerate(blocks) if not _is_taken(block, role)), None)


def _is_taken(block: Block, role: str) -> bool:
    match block.type:
        case "text":
            return block.text is not None
        case "image":
            return role in ("user", "result") and block.source is not None and block.source.type == "base64"
        case "tool_result":
            return role == "user" and bool(block.tool_use_id) and odd_block(block.content, "result") is None
        case "tool_use":
            return role == "assistant" and bool(block.id and block.name)
    return role == "assistant" and block.type in _THOUGHTS

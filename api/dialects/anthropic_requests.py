"""What Anthropic's clients ask for: parameters that Parlor knows. Others are ignored; those that would change what the
answer is, and that Parlor cannot heed, are refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from api.dialects.openai_requests import Lenient

_THOUGHTS = ("thinking", "redacted_thinking")
"""Blocks of earlier answers that clients send back; the model is not told them again."""


class Block(Lenient):
    """A block of content. `text` is taken; thinking that came with an answer is left out."""

    type: Annotated[str, Field(max_length=64)]
    text: str | None = None


Content: TypeAlias = str | list[Block]


class AnthropicMessage(Lenient):
    role: Literal["user", "assistant"]
    content: Content


class Thinking(Lenient):
    type: str = "enabled"


class CountTokensRequest(Lenient):
    """Other parameters are ignored."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    """The name of a persona."""
    messages: Annotated[list[AnthropicMessage], Field(min_length=1)]
    system: Content | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None


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
    if body.tools and (body.tool_choice or {}).get("type") != "none":
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
    for at, block in enumerate(blocks):
        is_text = block.type == "text" and block.text is not None
        if not is_text and not (role == "assistant" and block.type in _THOUGHTS):
            return at, block.type
    return None

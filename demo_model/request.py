"""A request for a completion, as far as the demo model reads it."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal

import msgspec

from demo_model.tools import Tool
from parlor.llm.ports import PromptTurn

MODEL = "parlor-demo"


class Url(msgspec.Struct):
    url: str = ""


class Part(msgspec.Struct):
    type: str
    text: str = ""
    image_url: Url | None = None


class Turn(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    tool_calls: list[Any] | None = None

    @property
    def text(self) -> str:
        content = self.content
        return content if isinstance(content, str) else "".join(part.text for part in content or [])

    @property
    def images(self) -> list[str]:
        """Returns what can be said about each image."""
        parts = self.content if isinstance(self.content, list) else []
        return [_seen(part.image_url.url) for part in parts if part.image_url is not None]

    def plain(self) -> PromptTurn:
        match self.role:
            case "user" | "assistant":
                return PromptTurn(self.role, self.text)
            case _:
                return PromptTurn("system", self.text)


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class Order(msgspec.Struct):
    messages: list[Turn]
    model: str = MODEL
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None

    def turns(self) -> list[PromptTurn]:
        """The conversation, without calls of tools and their results."""
        return [turn.plain() for turn in self.messages if turn.role != "tool" and not turn.tool_calls]

    def question(self) -> str:
        """What a person said last; empty for nothing."""
        return next((turn.text for turn in reversed(self.messages) if turn.role == "user"), "")

    def since_question(self) -> list[Turn]:
        """What follows it: calls, results, the beginning of an answer."""
        for at in range(len(self.messages), 0, -1):
            if self.messages[at - 1].role == "user":
                return self.messages[at:]
        return self.messages


def _seen(url: str) -> str:
    kind, marked, data = url.removeprefix("data:").partition(";base64,")
    if not marked:
        return f"an image at {url[:100]}"
    try:
        return f"an image ({kind}, {len(base64.b64decode(data, validate=True))} bytes)"
    except binascii.Error:
        return "an image that is damaged"

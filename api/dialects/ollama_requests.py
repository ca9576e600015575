"""What Ollama's clients ask for: parameters that Parlor knows. Others are ignored; those that would change what the
answer is, and that Parlor cannot heed, are refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.dialects.openai_requests import Lenient

_TAG = ":latest"


class OllamaMessage(Lenient):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    images: list[Any] | None = None
    tool_calls: list[Any] | None = None


class OllamaOptions(Lenient):
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    num_predict: int | None = None
    """Most tokens of the answer; below 1: as many as the persona allows."""
    stop: str | list[str] | None = None


class OllamaRequest(Lenient):
    """Other parameters are ignored. With the header `Parlor-Room` only the last message of the role `user` counts."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    """The name of a persona, with or without `:latest`."""
    messages: Annotated[list[OllamaMessage], Field(min_length=1)]
    stream: bool | None = None
    """Not `false`: lines of JSON, as the answer is written."""
    think: bool | str | None = None
    """`false` leaves the thinking out of the answer."""
    format: str | dict[str, Any] | None = None
    tools: list[Any] | None = None
    options: OllamaOptions | None = None

    @property
    def persona(self) -> str:
        return self.model.removesuffix(_TAG)


def unsupported(body: OllamaRequest) -> tuple[tuple[str | int, ...], str] | None:
    """Where the body asks for what Parlor does not have, and what to say of it."""
    if body.tools:
        return ("tools",), f"{body.model} does not support tools"
    if body.format:
        return ("format",), "Parlor does not have `format`"
    if body.options is not None and body.options.stop:
        return ("options", "stop"), "Parlor does not have `stop`"
    for index, message in enumerate(body.messages):
        if message.images:
            return ("messages", index, "images"), "Images are not taken"
        if message.role == "tool" or message.tool_calls:
            return ("messages", index), "Results of tools are not taken"
    return None

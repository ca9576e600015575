"""What Ollama's clients ask for: parameters that Parlor knows. Others are ignored; those that would change what the
answer is, and that Parlor cannot heed, are refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.dialects.openai_requests import Lenient

_TAG = ":latest"


class OllamaFunction(Lenient):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OllamaTool(Lenient):
    """A tool that the caller has."""

    type: Literal["function"] = "function"
    function: OllamaFunction


class CalledFunction(Lenient):
    name: str
    arguments: Annotated[dict[str, Any], Field(default_factory=dict)]


class CalledTool(Lenient):
    function: CalledFunction


class OllamaMessage(Lenient):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    images: list[str] | None = None
    """Of the role `user`, in base64."""
    tool_calls: list[CalledTool] | None = None
    """Of the role `assistant`."""
    tool_name: str | None = None
    """Of the role `tool`. Results belong to the calls before them, in order."""


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
    format: Literal["", "json"] | dict[str, Any] | None = None
    """Not in a room."""
    tools: list[OllamaTool] | None = None
    """Functions of the caller's, which makes the calls. Not in a room."""
    options: OllamaOptions | None = None

    @property
    def persona(self) -> str:
        return self.model.removesuffix(_TAG)


def unsupported(body: OllamaRequest) -> tuple[tuple[str | int, ...], str] | None:
    """Where the body asks for what Parlor does not have, and what to say of it."""
    if body.options is not None and body.options.stop:
        return ("options", "stop"), "Parlor does not have `stop`"
    return None

"""What callers bring along for a language model: tools of their own, and the form of the answer."""

from __future__ import annotations

from typing import Literal

import msgspec

from parlor.model.tools import Schema


class OfferedTool(msgspec.Struct, frozen=True):
    """A tool of a caller's own: the model's calls of it are the answer, and the caller makes them."""

    name: str
    description: str
    parameters: Schema


class ToolChoice(msgspec.Struct, frozen=True):
    """Whether the model has to use a tool."""

    kind: Literal["auto", "none", "required", "named"]
    name: str = ""
    """Of the one that it has to use."""


class AnswerForm(msgspec.Struct, frozen=True):
    """What an answer has to be: JSON."""

    schema: Schema | None = None
    """What the JSON has to fit; None: any."""
    name: str = "answer"
    strict: bool = False
    """Whether the provider has to hold the model to it."""

"""Tools that a persona's model may use, and their calls."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

Schema: TypeAlias = dict[str, Any]
"""A JSON schema."""


class HttpTool(msgspec.Struct, frozen=True):
    """A tool that is a URL: the arguments are posted to it as JSON, the answer is the result."""

    name: str
    title: str
    description: str
    parameters: Schema
    url: str
    headers: dict[str, str]
    timeout: float
    """Seconds for the whole request."""
    allow_private: bool
    """Whether its host may be on this machine or in a private network."""


class McpServer(msgspec.Struct, frozen=True):
    """A server of the Model Context Protocol: it tells itself which tools it has."""

    name: str
    url: str
    headers: dict[str, str]
    timeout: float
    """Seconds for a call."""
    allow_private: bool
    only: tuple[str, ...] | None
    """Its tools that may be used, by the server's names; None: all."""
    idempotent: tuple[str, ...] | None
    """Its tools that may be called twice; None: all."""
    trust_hints: bool
    """Whether what the server says of its tools decides that too."""


class McpTool(msgspec.Struct, frozen=True):
    """A tool of such a server, as it was listed."""

    name: str
    """What the model calls it: the server's name comes first."""
    title: str
    description: str
    parameters: Schema
    server: McpServer
    remote: str
    """What the server calls it."""


Tool: TypeAlias = HttpTool | McpTool
"""What a model is offered."""


class ToolState(StrEnum):
    """How far a call has come. Only what is in the table of ``TOOL_TRANSITIONS`` follows."""

    APPROVED = "approved"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """It was sent, and nobody will hear what became of it."""


TOOL_TRANSITIONS: dict[ToolState, frozenset[ToolState]] = {
    ToolState.APPROVED: frozenset({ToolState.RUNNING, ToolState.CANCELLED}),
    ToolState.RUNNING: frozenset({ToolState.DONE, ToolState.FAILED, ToolState.UNKNOWN}),
    ToolState.UNKNOWN: frozenset({ToolState.DONE, ToolState.FAILED}),
    ToolState.DONE: frozenset(),
    ToolState.FAILED: frozenset(),
    ToolState.CANCELLED: frozenset(),
}


class ToolResult(msgspec.Struct, frozen=True):
    """What a call came to."""

    content: str
    is_error: bool = False
    truncated: bool = False
    """Whether there was more than the limit allows."""


class AskedCall(msgspec.Struct, frozen=True):
    """A call as the model asked for it; ``arguments`` need not be JSON."""

    name: str
    arguments: str


class PromptCall(msgspec.Struct, frozen=True):
    """A call in a prompt."""

    call_id: str
    name: str
    arguments: str

"""Tools that a persona's model may use, their calls, and what people decide about them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, TypeAlias

import msgspec

Schema: TypeAlias = dict[str, Any]
"""A JSON schema."""


Approval: TypeAlias = Literal["never", "always", "first"]
"""Whether a person approves a call before it is made: ``first`` asks once in a room for the same call."""


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
    idempotent: bool = True
    """Whether the same call may be made twice."""
    approval: Approval = "never"
    editable: bool = False
    """Whether who approves a call may change its arguments."""


class ClientTool(msgspec.Struct, frozen=True):
    """A tool that whoever reads the events executes, and posts the result of."""

    name: str
    title: str
    description: str
    parameters: Schema
    approval: Approval = "never"
    editable: bool = False


DeclaredTool: TypeAlias = HttpTool | ClientTool
"""A tool that a persona declares."""


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
    """Whether those may too of which the server says so."""
    approval: Approval = "never"
    editable: bool = False


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
    idempotent: bool = True
    """Whether the same call may be made twice."""

    @property
    def timeout(self) -> float:
        return self.server.timeout

    @property
    def approval(self) -> Approval:
        return self.server.approval

    @property
    def editable(self) -> bool:
        return self.server.editable


Tool: TypeAlias = HttpTool | ClientTool | McpTool
"""What a model is offered."""


class ToolState(StrEnum):
    """How far a call has come. Only what is in the table of ``TOOL_TRANSITIONS`` follows."""

    PROPOSED = "proposed"
    """The model asked for it; never recorded."""
    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    """Nobody decided in time."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """It was sent, and nobody will hear what became of it."""


TOOL_TRANSITIONS: dict[ToolState, frozenset[ToolState]] = {
    ToolState.PROPOSED: frozenset({ToolState.WAITING, ToolState.APPROVED}),
    ToolState.WAITING: frozenset({ToolState.APPROVED, ToolState.DENIED, ToolState.EXPIRED, ToolState.CANCELLED}),
    ToolState.APPROVED: frozenset({ToolState.RUNNING, ToolState.CANCELLED}),
    ToolState.RUNNING: frozenset({ToolState.DONE, ToolState.FAILED, ToolState.UNKNOWN}),
    ToolState.UNKNOWN: frozenset({ToolState.DONE, ToolState.FAILED}),
    ToolState.DONE: frozenset(),
    ToolState.FAILED: frozenset(),
    ToolState.DENIED: frozenset(),
    ToolState.EXPIRED: frozenset(),
    ToolState.CANCELLED: frozenset(),
}


class ToolResult(msgspec.Struct, frozen=True):
    """What a call came to."""

    content: str
    is_error: bool = False
    truncated: bool = False
    """Whether there was more than the limit allows."""


class LostResult(ToolResult, frozen=True):
    """The tool may have been called, and nobody will hear what it did."""


class Decision(msgspec.Struct, frozen=True):
    """What a person says to a call that waits."""

    approve: bool
    digest: str
    """Of the call that they saw."""
    arguments: str | None = None
    """Other ones, as JSON; None leaves them."""
    reason: str = ""
    """Told to the model with a denial."""


class PostedResult(msgspec.Struct, frozen=True):
    """What came of a call that its caller executed."""

    digest: str
    result: ToolResult


class AskedCall(msgspec.Struct, frozen=True):
    """A call as the model asked for it; ``arguments`` need not be JSON."""

    name: str
    arguments: str


class PromptCall(msgspec.Struct, frozen=True):
    """A call in a prompt."""

    call_id: str
    name: str
    arguments: str

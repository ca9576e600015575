"""What becomes of a call that a model asks for: whether it may be made, and making it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import NamedTuple, Protocol

import structlog

from parlor.model.ids import InstallationId
from parlor.model.parts import ToolCallPart
from parlor.model.tools import AskedCall, ClientTool, HttpTool, McpServer, McpTool, Tool, ToolResult, ToolState
from parlor.tools.arguments import ArgumentsError, canonical_arguments, digest_of
from parlor.tools.http import idempotency_key

NAME_SHOWN = 200
"""Characters of a name that the model made up."""

_log = structlog.get_logger(__name__)


class Offer(NamedTuple):
    """What a model is offered."""

    tools: tuple[Tool, ...]
    missing: tuple[str, ...] = ()
    """Servers whose tools cannot be used now."""


class Caller(Protocol):
    """Makes calls of HTTP tools; ``HttpCaller`` does."""

    async def call(self, tool: HttpTool, arguments: str, key: str) -> ToolResult:
        """Calls the tool with these arguments. A failure is a result."""


class Servers(Protocol):
    """Knows the tools of servers, and calls them; ``McpServers`` does. Calls are as a ``Caller``'s."""

    async def tools_of(self, server: McpServer) -> tuple[McpTool, ...] | None:
        """Returns the tools of a server that may be used; None if it cannot be asked."""

    async def call(self, tool: McpTool, arguments: str, key: str) -> ToolResult: ...


class Toolbox:
    """``installation`` tells whose calls they are."""

    def __init__(self, caller: Caller, servers: Servers, installation: Callable[[], Awaitable[InstallationId]]) -> None:
        self._caller = caller
        self._servers = servers
        self._installation = installation

    async def offer(self, tools: Sequence[Tool], servers: Sequence[McpServer]) -> Offer:
        """Returns the tools that a model may use now: those that are declared, and what the servers have."""
        found = {tool.name: tool for tool in tools}
        listed = await asyncio.gather(*map(self._servers.tools_of, servers))
        for server, of_server in zip(servers, listed, strict=True):
            for tool in of_server or ():
                # A server cannot put its tool in the place of another one.
                if found.setdefault(tool.name, tool) is not tool:
                    _log.warning("tool_left_out", server=server.name, tool=tool.name, reason="the name is taken")
        missing = tuple(server.name for server, of_server in zip(servers, listed, strict=True) if of_server is None)
        return Offer(tuple(found.values()), missing)

    def examined(self, call: AskedCall, tool: Tool | None, step: int, slot: str) -> ToolCallPart:
        """Returns a call of a step as it is recorded: waiting for a person, approved, or failed with what the model is
        told. Its id is made of ``slot``, which tells it from all others, and of what it is: a reply that has to begin
        anew because Redis was lost, and whose model asks for the same, makes the same call."""
        arguments, result = "{}", None
        if tool is None:
            result = ToolResult(f"There is no tool {call.name[:NAME_SHOWN]!r}", is_error=True)
        else:
            try:
                arguments = canonical_arguments(call.arguments, tool.parameters)
            except ArgumentsError as error:
                result = ToolResult(str(error), is_error=True)
        name = tool.name if tool is not None else call.name[:NAME_SHOWN].encode(errors="replace").decode()
        digest = digest_of(name, arguments)
        asks = tool is not None and result is None and tool.approval != "never"
        return ToolCallPart(
            tool_call_id="call_" + sha256(f"{slot}\n{digest}".encode()).hexdigest()[:32],
            name=name,
            title=tool.title if tool is not None else "",
            arguments=arguments,
            digest=digest,
            state=ToolState.FAILED if result else ToolState.WAITING if asks else ToolState.APPROVED,
            approval="required" if asks else "none",
            result=result,
            step=step,
            editable=asks and tool is not None and tool.editable,
            client=isinstance(tool, ClientTool) and result is None,
            once=asks and tool is not None and tool.approval == "first",
        )

    async def key(self, call: ToolCallPart) -> str:
        """What every try of the call is sent with."""
        return idempotency_key(await self._installation(), call.tool_call_id, call.digest)

    async def run(self, tool: Tool | None, call: ToolCallPart, key: str) -> ToolResult:
        """Makes the call, with the bytes that were digested."""
        if isinstance(tool, McpTool):
            return await self._servers.call(tool, call.arguments, key)
        if not isinstance(tool, HttpTool):
            return ToolResult(f"There is no tool {call.name!r} any more", is_error=True)
        return await self._caller.call(tool, call.arguments, key)

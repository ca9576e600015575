"""What becomes of a call that a model asks for: whether it may be made, and making it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from parlor.model.ids import InstallationId
from parlor.model.parts import ToolCallPart
from parlor.model.tools import AskedCall, HttpTool, ToolResult, ToolState
from parlor.tools.arguments import ArgumentsError, canonical_arguments, digest_of
from parlor.tools.http import idempotency_key

NAME_SHOWN = 200
"""Characters of a name that the model made up."""


class Caller(Protocol):
    """Makes calls; ``HttpCaller`` does."""

    async def call(self, tool: HttpTool, arguments: str, key: str) -> ToolResult:
        """Calls the tool with these arguments. A failure is a result."""


class Toolbox:
    """``new_id`` makes the ids of calls, ``installation`` tells whose calls they are."""

    def __init__(
        self, caller: Caller, new_id: Callable[[], str], installation: Callable[[], Awaitable[InstallationId]]
    ) -> None:
        self._caller = caller
        self._new_id = new_id
        self._installation = installation

    def examined(self, call: AskedCall, tool: HttpTool | None, step: int) -> ToolCallPart:
        """Returns a call of a step as it is recorded: approved, or failed with what the model is told."""
        arguments, result = "{}", None
        if tool is None:
            result = ToolResult(f"There is no tool {call.name[:NAME_SHOWN]!r}", is_error=True)
        else:
            try:
                arguments = canonical_arguments(call.arguments, tool.parameters)
            except ArgumentsError as error:
                result = ToolResult(str(error), is_error=True)
        name = tool.name if tool is not None else call.name[:NAME_SHOWN].encode(errors="replace").decode()
        return ToolCallPart(
            tool_call_id=self._new_id(),
            name=name,
            title=tool.title if tool is not None else "",
            arguments=arguments,
            digest=digest_of(name, arguments),
            state=ToolState.FAILED if result is not None else ToolState.APPROVED,
            result=result,
            step=step,
        )

    async def run(self, tool: HttpTool | None, call: ToolCallPart) -> ToolResult:
        """Makes the call, with the bytes that were digested."""
        if tool is None:
            return ToolResult(f"There is no tool {call.name!r} any more", is_error=True)
        key = idempotency_key(await self._installation(), call.tool_call_id, call.digest)
        return await self._caller.call(tool, call.arguments, key)

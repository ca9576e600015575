"""Tools that answer what a test gives them."""

from __future__ import annotations

import asyncio

from parlor.model.tools import Approval, ClientTool, HttpTool, McpServer, McpTool, Tool, ToolResult


def tool(name: str = "weather", **parameters: object) -> HttpTool:
    """A tool whose arguments are strings with these names."""
    schema = {"type": "object", "properties": {each: {"type": "string"} for each in parameters}}
    return HttpTool(name, name.title(), f"Tells the {name}", schema, f"https://{name}.test/", {}, 5.0, False)


def client_tool(name: str = "browser", approval: Approval = "never") -> ClientTool:
    return ClientTool(name, name.title(), f"Opens the {name}", {"type": "object"}, approval)


class ScriptedTools:
    """``calls`` has every call that was made: the tool's name, the arguments and the key."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.results: dict[str, ToolResult] = {}
        """By tool; any other answers "ok"."""
        self.servers: dict[str, tuple[McpTool, ...]] = {}
        """By server; any other is away."""
        self.gate: asyncio.Event | None = None
        """No call is answered before it is set."""

    async def tools_of(self, server: McpServer) -> tuple[McpTool, ...] | None:
        return self.servers.get(server.name)

    async def call(self, tool: Tool, arguments: str, key: str) -> ToolResult:
        self.calls.append((tool.name, arguments, key))
        if self.gate is not None:
            await self.gate.wait()
        return self.results.get(tool.name, ToolResult("ok"))

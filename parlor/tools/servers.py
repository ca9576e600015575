"""The tools of MCP servers, as far as this process knows them.

A server is asked what it has when a reply begins, unless it has just been asked: a change is seen by replies that begin
``FRESH`` seconds later, or at once when the server announced it during a call. One that does not answer is asked again
after as long; until then replies do without its tools.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, NamedTuple

import structlog
from aiohttp.abc import AbstractResolver

from parlor.clock import Clock
from parlor.model.tools import LostResult, McpServer, McpTool, ToolResult
from parlor.tools.results import ToolUnreachable

if TYPE_CHECKING:
    from parlor.tools.mcp import McpClient

FRESH = 10.0
"""Seconds that a list of tools is used."""
LIST_TIMEOUT = 5.0
"""Seconds that a reply waits for a server's list at most."""

_log = structlog.get_logger(__name__)


class _Listed(NamedTuple):
    tools: tuple[McpTool, ...] | None
    until: float


class McpServers:
    """The servers that the models of one process use."""

    def __init__(
        self, clock: Clock, resolver: AbstractResolver | None = None, list_timeout: float = LIST_TIMEOUT
    ) -> None:
        self._clock = clock
        self._list_timeout = list_timeout
        self._resolver = resolver
        self._client: McpClient | None = None
        self._known: dict[str, _Listed] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def tools_of(self, server: McpServer) -> tuple[McpTool, ...] | None:
        """Returns the tools of a server that may be used; None if it cannot be asked."""
        about = _identity(server)
        async with self._asking.setdefault(about, asyncio.Lock()):
            known = self._known.get(about)
            if known is None or known.until <= self._clock.monotonic():
                tools = await self._list(server)
                known = self._known[about] = _Listed(tools, self._clock.monotonic() + FRESH)
        return known.tools

    async def call(self, tool: McpTool, arguments: str, key: str) -> ToolResult:
        """Calls the tool. Never raises but when it is cancelled."""
        client = await self._opened()
        sending = asyncio.Event()
        try:
            async with asyncio.timeout(tool.timeout):
                return await client.call(tool, arguments, key, sending.set, lambda: self._forget(tool.server))
        except TimeoutError:
            words = f"The tool did not answer within {tool.timeout:g} seconds"
        except ToolUnreachable as error:
            self._forget(tool.server)
            _log.warning("tool_failed", tool=tool.name, debug=error.debug)
            words = str(error)
        kind = LostResult if sending.is_set() else ToolResult
        return kind(words, is_error=True)

    async def _list(self, server: McpServer) -> tuple[McpTool, ...] | None:
        client = await self._opened()
        try:
            async with asyncio.timeout(self._list_timeout):
                return await client.tools_of(server)
        except (TimeoutError, ToolUnreachable) as error:
            debug = error.debug if isinstance(error, ToolUnreachable) else "timeout"
            _log.warning("mcp_server_away", server=server.name, detail=str(error), debug=debug)
            return None

    async def _opened(self) -> McpClient:
        if self._client is None:
            # The package takes half a second to import, in which others are served; most installations need it never.
            module = await asyncio.to_thread(importlib.import_module, "parlor.tools.mcp")
            self._client = module.McpClient(self._resolver)
        return self._client

    def _forget(self, server: McpServer) -> None:
        self._known.pop(_identity(server), None)


def _identity(server: McpServer) -> str:
    """What a list belongs to: two personas may declare one server with other filters."""
    return repr(server)

"""A real MCP server of a test's own, of the official package, in a thread."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parlor.model.tools import McpServer

Answer: TypeAlias = CallToolResult | InputRequiredResult
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}


def listed(name: str, **more: Any) -> Tool:
    return Tool(**{"name": name, "description": f"Tells the {name}", "input_schema": SCHEMA, **more})


def hinted(*, idempotent: bool | None = None, read_only: bool | None = None) -> ToolAnnotations:
    return ToolAnnotations(idempotent_hint=idempotent, read_only_hint=read_only)


class McpService:
    """What the server has and was asked. A tool answers with its arguments unless ``answers`` has something else."""

    def __init__(self) -> None:
        self.tools = [listed("forecast"), listed("tides")]
        self.pages = 1
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.lists = 0
        self.fails = False
        self.slow = False
        """Whether a list waits for ``gate`` too."""
        self.calls: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        """Name, arguments and ``_meta`` of each call."""
        self.headers: list[dict[str, str]] = []
        self.gate = threading.Event()
        """No call is answered before it is set."""
        self.gate.set()
        self.hangs_up = False
        """Whether the connection ends behind a call, in the middle of its answer."""
        self.announces = False
        """Whether a call tells that the tools have changed."""
        self.url = ""

    def declared(self, **more: Any) -> McpServer:
        """The server as a persona declares it."""
        fields = {
            "name": "sea",
            "url": self.url,
            "headers": {"Authorization": "Bearer s"},
            "timeout": 20.0,
            "allow_private": True,
            "only": None,
            "idempotent": None,
            "trust_hints": False,
        }
        return McpServer(**{**fields, **more})

    async def list_tools(self, _: ServerRequestContext[Any], params: PaginatedRequestParams | None) -> ListToolsResult:
        self.lists += 1
        if self.slow:
            await asyncio.to_thread(self.gate.wait, 20)
        if self.fails:
            raise RuntimeError("a bug")
        page = int((params.cursor if params is not None else None) or 0)
        size = -(-len(self.tools) // self.pages)
        following = str(page + 1) if page + 1 < self.pages else None
        return ListToolsResult(tools=self.tools[page * size : (page + 1) * size], next_cursor=following)

    async def call_tool(self, context: ServerRequestContext[Any], params: CallToolRequestParams) -> Answer:
        self.calls.append((params.name, params.arguments or {}, dict(params.meta or {})))
        if self.announces:
            await context.session.send_tool_list_changed()
        await asyncio.to_thread(self.gate.wait, 20)
        answer = self.answers.get(params.name)
        if answer is not None:
            return answer()
        return CallToolResult(content=[TextContent(text=json.dumps(params.arguments))])


@contextmanager
def mcp_serving(service: McpService, *, legacy: bool = False, port: int = 0) -> Iterator[McpService]:
    """Serves it, at this port or one that the system chooses. A legacy server knows nothing newer than
    ``initialize``."""
    server: Server[Any] = Server("sea", on_list_tools=service.list_tools, on_call_tool=service.call_tool)
    app = _Recorded(server.streamable_http_app(), service, legacy=legacy)
    runner = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(64)  # So that who comes before the server accepts waits for it.
        service.url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        thread = threading.Thread(target=runner.run, args=([listening],))
        thread.start()
        try:
            yield service
        finally:
            service.gate.set()
            runner.should_exit = True
            thread.join()


class _Recorded:
    def __init__(self, app: ASGIApp, service: McpService, *, legacy: bool) -> None:
        self._app = app
        self._service = service
        self._legacy = legacy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self._service.headers.append(headers)
            if self._legacy and headers.get("mcp-protocol-version", "") >= "2026":
                await send({"type": "http.response.start", "status": 400, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return

        async def cut(message: Message) -> None:
            if self._service.hangs_up and self._service.calls and message["type"] == "http.response.body":
                raise ConnectionError("as if the server had died")
            await send(message)

        await self._app(scope, receive, cut)

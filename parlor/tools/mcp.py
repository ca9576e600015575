"""Speaking with servers of the Model Context Protocol, by the protocol's own package.

There is a connection for each list and each call: nothing of one conversation stays for the next, and a server that was
restarted needs no special case. Redirects are not followed. What a server says is taken within limits: its tools, their
schemas, its results.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, cast

import httpx2
import structlog
from aiohttp.abc import AbstractResolver
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from mcp.client.client import Client
from mcp.client.session import IncomingMessage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    REQUEST_TIMEOUT,
    CallToolResult,
    EmbeddedResource,
    Implementation,
    InputRequiredResult,
    RequestParamsMeta,
    TextContent,
    TextResourceContents,
    ToolListChangedNotification,
)
from mcp_types import Tool as ListedTool

from parlor.model.tools import McpServer, McpTool, ToolResult
from parlor.tools.addresses import check_literal
from parlor.tools.results import ToolUnreachable, result_of
from parlor.tools.transport import CONNECT_TIMEOUT, CheckedTransport, is_refused

TOOLS_MAX = 64
"""Tools of one server that are offered."""
SCHEMA_MAX = 16_384
"""Characters of a tool's schema, as JSON."""
NAME_MAX = 64
"""Characters of a name that every provider takes."""
DESCRIPTION_MAX = 2000
_PAGES_MAX = 20
KEY = "parlor.idempotency-key"
"""Under this name in ``_meta`` a call has its key."""
_LOST = frozenset({CONNECTION_CLOSED, REQUEST_TIMEOUT})
"""What the package says in the server's place when no answer comes."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


class McpClient:
    """Asks servers. Raises ``ToolUnreachable`` for whatever goes wrong with one; the caller limits the time."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver

    async def tools_of(self, server: McpServer) -> tuple[McpTool, ...]:
        """Returns the tools of a server that may be used: those that are wanted."""
        tools: dict[str, McpTool] = {}
        try:
            found = await self._ask(server, _listed)
        except MCPError as error:
            raise ToolUnreachable("The tool's server does not tell its tools", error.message) from error
        for each in found:
            tool = _usable(server, each)
            if tool is not None and len(tools) < TOOLS_MAX:
                tools.setdefault(tool.name, tool)
        return tuple(tools.values())

    async def call(
        self, tool: McpTool, arguments: str, key: str, sending: Callable[[], None], changed: Callable[[], None]
    ) -> ToolResult:
        """Calls a tool. ``sending`` is called when the server may have the call from then on, ``changed`` when the
        server says meanwhile that its tools are others now."""

        async def called(client: Client) -> CallToolResult | InputRequiredResult:
            meta = cast("RequestParamsMeta", {KEY: key})
            if tool.idempotent:
                sending()
                return await client.call_tool(tool.remote, json.loads(arguments), meta=meta)
            # Below the client, which sends a call again that the server refuses for its headers, or asks something
            # about. The headers follow from the list.
            await _listed(client)
            sending()
            return await client.session.call_tool(
                tool.remote, json.loads(arguments), meta=meta, allow_input_required=True
            )

        try:
            return _result(await self._ask(tool.server, called, changed))
        except MCPError as error:
            if error.code in _LOST:
                raise ToolUnreachable("The tool's server cannot be reached", error.message) from error
            return result_of(f"The tool failed: {error.message}", is_error=True)

    async def _ask(
        self,
        server: McpServer,
        question: Callable[[Client], Awaitable[_T]],
        changed: Callable[[], None] = lambda: None,
    ) -> _T:
        transport = CheckedTransport(allow_private=server.allow_private, resolver=self._resolver)
        refusal: MCPError | None = None
        try:
            if not server.allow_private:
                # Here too: the HTTP client has words of its own for some spellings of an address.
                check_literal(server.url)
            async with _connected(server, transport, changed) as client:
                try:
                    return await question(client)
                except MCPError as error:
                    if transport.failure is not None:
                        raise
                    refusal = error
        except Exception as error:
            # The package's task groups raise whatever went wrong in them, in groups of groups.
            failure = transport.failure or error
            refused = is_refused(failure)
            words = "The tool's address is not allowed" if refused else "The tool's server cannot be reached"
            raise ToolUnreachable(words, repr(failure)) from error
        raise refusal


async def _listed(client: Client) -> list[ListedTool]:
    found, cursor = [], None
    for _ in range(_PAGES_MAX):
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            break
    return found


@asynccontextmanager
async def _connected(
    server: McpServer, transport: CheckedTransport, changed: Callable[[], None]
) -> AsyncIterator[Client]:
    async def heard(message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            changed()
        await asyncio.sleep(0)

    async with httpx2.AsyncClient(
        headers={**server.headers, "Accept-Encoding": "identity"},
        # The caller limits the whole.
        timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT, write=CONNECT_TIMEOUT),
        transport=transport,
        trust_env=False,
        max_redirects=0,
    ) as http:
        streams = streamable_http_client(server.url, http_client=http)
        async with Client(
            streams, message_handler=heard, cache=None, client_info=Implementation(name="parlor", version="1")
        ) as client:
            yield client


def _usable(server: McpServer, listed: ListedTool) -> McpTool | None:
    """The tool as it is offered; None if it is not wanted, or cannot be offered."""
    hints = listed.annotations
    hinted = server.trust_hints and hints is not None and bool(hints.idempotent_hint or hints.read_only_hint)
    declared = server.idempotent is None or listed.name in server.idempotent
    if server.only is not None and listed.name not in server.only:
        return None
    name = f"{server.name}_{_UNSAFE.sub('_', listed.name)}"
    reason = "its name is too long" if len(name) > NAME_MAX else _fault(listed)
    if reason:
        _log.warning("tool_left_out", server=server.name, tool=listed.name[:NAME_MAX], reason=reason)
        return None
    title = listed.title or (hints.title if hints is not None else None) or listed.name
    return McpTool(
        name=name,
        title=title[:200],
        description=(listed.description or title)[:DESCRIPTION_MAX],
        parameters=listed.input_schema,
        server=server,
        remote=listed.name,
        idempotent=declared or hinted,
    )


def _fault(listed: ListedTool) -> str:
    if len(json.dumps(listed.input_schema)) > SCHEMA_MAX:
        return "its schema is too large"
    if listed.input_schema.get("type") != "object":
        return "its schema is not of an object"
    try:
        Draft202012Validator.check_schema(listed.input_schema)
    except SchemaError:
        return "its schema is not a JSON schema"
    return ""


def _result(found: CallToolResult | InputRequiredResult) -> ToolResult:
    if isinstance(found, InputRequiredResult):
        return ToolResult("The tool asks for something that nobody can answer", is_error=True)
    text = "\n".join(map(_text_of, found.content))
    if not text and found.structured_content is not None:
        text = json.dumps(found.structured_content, ensure_ascii=False)
    return result_of(text, is_error=bool(found.is_error))


def _text_of(block: object) -> str:
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, EmbeddedResource) and isinstance(block.resource, TextResourceContents):
        return block.resource.text
    return f"[{getattr(block, 'type', 'something')} that cannot be shown]"

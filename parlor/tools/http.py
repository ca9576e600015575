"""Calls of HTTP tools: one POST with the arguments, and what comes back.

Every try of a call carries the same ``Idempotency-Key``. Redirects are
not followed, and unless a tool allows it, its host has to be public (``addresses.py``). A failure of any kind is a
result that tells the model; only being cancelled is not. One behind which the tool may have done what it was asked for
is a ``LostResult``.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver

from parlor.model.ids import InstallationId
from parlor.model.tools import HttpTool, LostResult, ToolResult
from parlor.tools.addresses import AddressRefused, PublicResolver, check_literal
from parlor.tools.results import RESULT_MAX, result_of

_BYTES_MAX = 4 * RESULT_MAX

_log = structlog.get_logger(__name__)


def idempotency_key(installation: InstallationId, tool_call_id: str, digest: str) -> str:
    """The key of a call: the same for each of its tries, whoever makes it, also after Redis was lost."""
    return sha256(f"{installation}\n{tool_call_id}\n{digest}".encode()).hexdigest()


class HttpCaller:
    """Makes the calls of one process."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver

    async def call(self, tool: HttpTool, arguments: str, key: str) -> ToolResult:
        """Calls the tool with these bytes. Never raises but when it is cancelled."""
        headers = {"Accept": "application/json, text/*", **tool.headers, "Idempotency-Key": key}
        headers["Content-Type"] = "application/json"
        try:
            if not tool.allow_private:
                check_literal(tool.url)
            async with asyncio.timeout(tool.timeout), self._session(tool) as session:
                request = session.post(tool.url, data=arguments.encode(), headers=headers, allow_redirects=False)
                async with request as response:
                    return await _result_of(response)
        except TimeoutError:
            return LostResult(f"The tool did not answer within {tool.timeout:g} seconds", is_error=True)
        except (aiohttp.ClientError, OSError) as error:
            refused = isinstance(error, AddressRefused) or isinstance(error.__cause__, AddressRefused)
            _log.warning("tool_failed", tool=tool.name, debug=repr(error))
            if refused:
                return ToolResult("The tool's address is not allowed", is_error=True)
            unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL)
            kind = ToolResult if unsent else LostResult
            return kind("The tool cannot be reached", is_error=True)

    def _session(self, tool: HttpTool) -> aiohttp.ClientSession:
        # One for each call: connections are not shared between tools, and nothing of one answer stays for the next.
        resolver = self._resolver if tool.allow_private else PublicResolver(self._resolver)
        connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=True
        )


async def _result_of(response: aiohttp.ClientResponse) -> ToolResult:
    if 300 <= response.status < 400:
        return ToolResult("The tool answered with a redirect, which is not followed", is_error=True)
    body = bytearray()
    async for chunk in response.content.iter_chunked(16_384):
        body += chunk
        if len(body) > _BYTES_MAX:
            break
    text = body.decode(errors="replace")
    failed = response.status >= 400
    return result_of(f"HTTP {response.status}\n{text}" if failed else text, is_error=failed)

"""Connections to MCP servers: where they may lead, and how much may come back.

The name is resolved here, checked, and the connection made to the address that was checked; the certificate is still
checked for the name. Each transport serves one conversation with one server: connections are not shared.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from functools import cache

import httpx2
from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver

from parlor.tools.addresses import AddressRefused, PublicResolver, check_literal, literal_address

CONNECT_TIMEOUT = 5.0
END_TIMEOUT = 1.0
ANSWER_MAX = 2 * 1024 * 1024
"""Bytes of one answer of a server."""


class AnswerTooLarge(httpx2.ReadError):
    """A server sends more than is read."""


class NotAsked(httpx2.ReadError):
    """A server compresses its answer, although it was asked not to: the limit would not hold."""


class CheckedTransport(httpx2.AsyncBaseTransport):
    """``failure`` says afterwards why a request was not sent or its answer not read, for those who only hear that it
    was not."""

    def __init__(self, *, allow_private: bool, resolver: AbstractResolver | None = None) -> None:
        self._allow_private = allow_private
        named = resolver or ThreadedResolver()
        self._resolver = named if allow_private else PublicResolver(named)
        self._inner = httpx2.AsyncHTTPTransport(verify=_certificates(), trust_env=False)
        self.failure: Exception | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            # The end of a conversation is told to the server when the caller's own limit is over already.
            async with asyncio.timeout(END_TIMEOUT if request.method == "DELETE" else None):
                response = await self._send(request)
        except Exception as error:
            self.failure = self.failure or error
            raise
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            self.failure = NotAsked(response.headers["content-encoding"])
            raise self.failure
        if not isinstance(response.stream, httpx2.AsyncByteStream):
            raise TypeError("an answer without a stream")
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Bounded(response.stream, self),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        host, url = request.url.host, request.url
        if not self._allow_private:
            check_literal(str(url))
        if literal_address(host) is not None:
            return await self._inner.handle_async_request(request)
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = [each["host"] for each in await self._resolver.resolve(host, port)]
        failed: httpx2.ConnectError | None = None
        for address in addresses:
            # The headers have the name already; TLS has to be told.
            pinned = httpx2.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except httpx2.ConnectError as error:
                failed = error
        raise failed or httpx2.ConnectError(f"{host} has no address")


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, transport: CheckedTransport) -> None:
        self._inner = inner
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = ANSWER_MAX
        async for part in self._inner:
            left -= len(part)
            if left < 0:
                self._transport.failure = AnswerTooLarge(f"more than {ANSWER_MAX} bytes")
                raise self._transport.failure
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


def is_refused(error: BaseException | None) -> bool:
    """Whether a connection was not made because of where it led."""
    return error is not None and (isinstance(error, AddressRefused) or is_refused(error.__cause__))


@cache
def _certificates() -> ssl.SSLContext:
    # Reading the authorities takes 20 ms.
    return httpx2.create_ssl_context()

"""Requests and event streams that go on through cuts, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Any, TypeVar

import httpx2

from parlor.client import calls
from parlor.client.calls import Call
from parlor.client.connection import (
    RECONNECT,
    UNLIMITED,
    Connection,
    cut,
    is_progress,
    may_repeat,
    require_events,
)
from parlor.client.errors import ClientError, NoAnswer, NotFound, Refused
from parlor.client.models import Event
from parlor.client.sse import EventParser

_T = TypeVar("_T")


class AsyncTransport:
    """A connection, tried again and again."""

    def __init__(
        self,
        connection: Connection,
        http: httpx2.AsyncClient | None,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._http = http or httpx2.AsyncClient(limits=UNLIMITED, verify=connection.is_secure)
        self._owned = http is None
        self._sleep = sleep

    async def aclose(self) -> None:
        if self._owned:
            await self._http.aclose()

    async def download(self, path: str) -> bytes:
        """What is at a path, whole. After a cut it goes on where it was, unless it has changed."""
        held, tag = bytearray(), ""
        pauses = self._connection.pauses()
        while True:
            token = self._connection.token
            rest = {"Range": f"bytes={len(held)}-", "If-Range": tag} if held and tag else {}
            try:
                async with self._opened(path, self._connection.stream_options("*/*", **rest)) as response:
                    if response.status_code != httpx2.codes.PARTIAL_CONTENT:
                        held.clear()
                    tag = response.headers.get("etag", "")
                    async for chunk in response.aiter_bytes():
                        held += chunk
                        pauses.progress()
                return bytes(held)
            except httpx2.RequestError as error:
                await self._sleep(pauses.after(cut(error)))
            except Refused as refused:
                if self._connection.renew(refused, token):
                    pauses.again(refused)
                    continue
                await self._sleep(pauses.after(refused))

    async def call(self, call: Call[_T]) -> _T:
        """What is answered in the end. Raises ``ClientError``."""
        pauses, connection = self._connection.pauses(), self._connection
        unanswered = False
        while True:
            token = connection.token
            try:
                response = await self._http.request(call.method, self._url(call.path), **connection.options(call))
                return connection.read(call, response)
            except httpx2.RequestError as error:
                failure: ClientError = cut(error)
                unanswered = True
            except Refused as refused:
                failure = refused
                if connection.renew(refused, token):
                    pauses.again(refused)
                    continue
                if unanswered and call.gone_is_done and isinstance(refused, NotFound):
                    return call.read(calls.Answer(refused.status, {}, b""))
            if not may_repeat(call, failure):
                raise failure
            await self._sleep(pauses.after(failure))

    async def events(self, path: str, cursor: str | None) -> AsyncGenerator[Event]:
        """What comes after the cursor, each event once, without end. Raises ``Refused``, and ``NoAnswer`` when try
        after try brings nothing."""
        pauses = self._connection.pauses()
        while True:
            parser, token = EventParser(cursor), self._connection.token
            try:
                async with self._opened(path, self._connection.event_options(cursor)) as response:
                    require_events(response)
                    async for chunk in response.aiter_bytes():
                        events, beats = parser.feed(chunk), parser.heartbeats
                        if beats or any(is_progress(event) for event in events):
                            pauses.progress()
                        for event in events:
                            cursor = event.id
                            if event.type != RECONNECT:
                                yield event
                        cursor = parser.cursor
                failure: ClientError = NoAnswer("the stream ended")
            except httpx2.RequestError as error:
                failure = cut(error)
            except Refused as refused:
                failure = refused
                if self._connection.renew(refused, token):
                    pauses.again(refused)
                    continue
            await self._sleep(pauses.after(failure))

    def _opened(self, path: str, options: dict[str, Any]) -> _Opened:
        return _Opened(self._connection, self._http, self._url(path), options)

    def _url(self, path: str) -> str:
        return f"{self._connection.base_url}{path}"


class _Opened:
    """A response whose body is read as it comes. Entering raises ``Refused``."""

    def __init__(self, connection: Connection, http: httpx2.AsyncClient, url: str, options: dict[str, Any]) -> None:
        self._connection = connection
        self._stream = http.stream("GET", url, **options)

    async def __aenter__(self) -> httpx2.Response:
        response = await self._stream.__aenter__()
        try:
            if not response.is_success:
                await response.aread()
            self._connection.check(response)
        except BaseException:
            await response.aclose()
            raise
        return response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stream.__aexit__(kind, error, trace)

"""Requests and event streams that go on through cuts.

Made from ``async_transport.py`` by ``python -m tests.sync_client``: change that."""

from __future__ import annotations

from collections.abc import Callable, Generator
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


class Transport:
    """A connection, tried again and again."""

    def __init__(
        self,
        connection: Connection,
        http: httpx2.Client | None,
        sleep: Callable[[float], None],
    ) -> None:
        self._connection = connection
        self._http = http or httpx2.Client(limits=UNLIMITED, verify=connection.is_secure)
        self._owned = http is None
        self._sleep = sleep

    def close(self) -> None:
        if self._owned:
            self._http.close()

    def download(self, path: str) -> bytes:
        """What is at a path, whole. After a cut it goes on where it was, unless it has changed."""
        held, tag = bytearray(), ""
        pauses = self._connection.pauses()
        while True:
            token = self._connection.token
            rest = {"Range": f"bytes={len(held)}-", "If-Range": tag} if held and tag else {}
            try:
                with self._opened(path, self._connection.stream_options("*/*", **rest)) as response:
                    if response.status_code != httpx2.codes.PARTIAL_CONTENT:
                        held.clear()
                    tag = response.headers.get("etag", "")
                    for chunk in response.iter_bytes():
                        held += chunk
                        pauses.progress()
                return bytes(held)
            except httpx2.RequestError as error:
                self._sleep(pauses.after(cut(error)))
            except Refused as refused:
                if self._connection.renew(refused, token):
                    pauses.again(refused)
                    continue
                self._sleep(pauses.after(refused))

    def call(self, call: Call[_T]) -> _T:
        """What is answered in the end. Raises ``ClientError``."""
        pauses, connection = self._connection.pauses(), self._connection
        unanswered = False
        while True:
            token = connection.token
            try:
                response = self._http.request(call.method, self._url(call.path), **connection.options(call))
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
            self._sleep(pauses.after(failure))

    def events(self, path: str, cursor: str | None) -> Generator[Event]:
        """What comes after the cursor, each event once, without end. Raises ``Refused``, and ``NoAnswer`` when try
        after try brings nothing."""
        pauses = self._connection.pauses()
        while True:
            parser, token = EventParser(cursor), self._connection.token
            try:
                with self._opened(path, self._connection.event_options(cursor)) as response:
                    require_events(response)
                    for chunk in response.iter_bytes():
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
            self._sleep(pauses.after(failure))

    def _opened(self, path: str, options: dict[str, Any]) -> _Opened:
        return _Opened(self._connection, self._http, self._url(path), options)

    def _url(self, path: str) -> str:
        return f"{self._connection.base_url}{path}"


class _Opened:
    """A response whose body is read as it comes. Entering raises ``Refused``."""

    def __init__(self, connection: Connection, http: httpx2.Client, url: str, options: dict[str, Any]) -> None:
        self._connection = connection
        self._stream = http.stream("GET", url, **options)

    def __enter__(self) -> httpx2.Response:
        response = self._stream.__enter__()
        try:
            if not response.is_success:
                response.read()
            self._connection.check(response)
        except BaseException:
            response.close()
            raise
        return response

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.__exit__(kind, error, trace)

"""One connection for many sends and for the events of many rooms, for asyncio."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from ssl import SSLContext
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from parlor.client import socket_frames
from parlor.client.async_line import AsyncLine
from parlor.client.async_waiting import AsyncPool, AsyncPromise, Running
from parlor.client.async_wire import AsyncWire
from parlor.client.calls import NewMessage, OnBusy
from parlor.client.connection import RECONNECT, SILENCE_SECONDS, USER_AGENT, Connection, is_progress
from parlor.client.errors import ClientError, NoAnswer, Unauthenticated
from parlor.client.exchange import Overflowed, Turns
from parlor.client.models import Event, File, JsonObject, Sent
from parlor.client.socket_frames import ACCOUNT, WINDOW, subject

_T = TypeVar("_T")


class AsyncSocket:
    """A connection that is opened again when it is cut. What was not answered is sent again with its key, and events go
    on behind the last one."""

    def __init__(
        self, connection: Connection, ssl: SSLContext | None, sleep: Callable[[float], Awaitable[None]] | None
    ) -> None:
        self._connection = connection
        self._ssl = ssl
        self._sleep = sleep
        self._turns: Turns[AsyncPromise[Any]] = Turns(AsyncPromise)
        self._opening = asyncio.Lock()
        self._line: AsyncLine | None = None
        self._failures = 0
        self._failure: ClientError | None = None
        self._readers: dict[str, object] = {}
        """Who reads the events of a subject."""
        self._pausing: set[AsyncPromise[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        """Opens it, so that a token that is not valid is refused here."""
        try:
            await self._persist(self._is_open)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the connection; what waits for it fails."""
        self._closed = True
        for pause in list(self._pausing):
            pause.give(None)
        async with self._opening:
            line, self._line = self._line, None
            if line is not None:
                await line.aclose()

    async def send(
        self,
        room_id: str,
        content: str | None = None,
        *,
        files: Sequence[File] = (),
        ai_persona: str | None = None,
        metadata: JsonObject | None = None,
        on_busy: OnBusy | None = None,
        reply: Literal["auto", "none"] | None = None,
        idempotency_key: str | None = None,
    ) -> Sent:
        """Sends a message; it is stored once, however often it has to be sent. Messages of one room are sent one after
        the other, in the order of the calls, each when the one before it has succeeded or failed."""
        message = NewMessage(
            room_id,
            content,
            files=files,
            ai_persona=ai_persona,
            metadata=metadata,
            on_busy=on_busy,
            reply=reply,
            idempotency_key=idempotency_key,
        )
        return await self._send(message, self._turns.enter(subject(room_id)))

    async def send_many(self, messages: Iterable[NewMessage]) -> AsyncGenerator[Sent]:
        """Sends messages, up to 32 at a time, those of one room one after the other; gives what became of each, in
        their order. No more are taken than can be sent. The first that fails is raised; a few behind it may have been
        sent, which their keys tell when they are sent again."""
        under_way: deque[Running[Sent]] = deque()
        turns: deque[tuple[str, AsyncPromise[Any]]] = deque(maxlen=WINDOW)
        try:
            async with AsyncPool() as pool:
                for message in messages:
                    key = subject(message.room_id)
                    turns.append((key, self._turns.enter(key)))
                    under_way.append(pool.start(self._send, message, turns[-1][1]))
                    while under_way and (len(under_way) == WINDOW or under_way[0].done()):
                        yield await pool.result(under_way.popleft())
                while under_way:
                    yield await pool.result(under_way.popleft())
        finally:
            for key, turn in turns:  # also of those that were given up before they began
                self._turns.leave(key, turn)

    def room_events(self, room_id: str, after: str | None = None) -> AsyncGenerator[Event]:
        """As the client's ``room_events``. Each room has one reader on a connection: the newest."""
        return self._events(subject(room_id), after)

    def account_events(self, after: str | None = None) -> AsyncGenerator[Event]:
        """As the client's ``account_events``, with one reader on a connection: the newest."""
        return self._events(ACCOUNT, after)

    async def _send(self, message: NewMessage, turn: AsyncPromise[Any]) -> Sent:
        fields = socket_frames.send_fields(message)

        async def once(line: AsyncLine) -> Sent:
            return socket_frames.sent(await line.ask("send", fields))

        try:
            if self._closed:
                raise RuntimeError("the connection is closed")
            await turn.wait()
            return await self._persist(once)
        finally:
            self._turns.leave(subject(message.room_id), turn)

    async def _events(self, key: str, after: str | None) -> AsyncGenerator[Event]:
        pauses, cursor = self._connection.pauses(), after
        self._readers[key] = reader = object()
        line, mailbox = None, None
        try:
            while True:
                try:
                    line = await self._connected()
                    cursor, mailbox = await line.subscribe(key, cursor)
                    while True:
                        event = await line.next(mailbox, SILENCE_SECONDS)
                        if event is None or is_progress(event):
                            pauses.progress()
                        if event is None:
                            continue
                        cursor = event.id
                        if event.type == RECONNECT:
                            break
                        yield event
                    failure: ClientError | None = NoAnswer("the subscription ended")
                except Overflowed:
                    failure = None  # what did not fit is asked for again, now that the rest is read
                except ClientError as error:
                    failure = error
                if self._readers.get(key) is not reader:
                    raise RuntimeError("another iterator follows it over this connection now")
                if failure is not None:
                    self._require_open(failure)
                    await self._pause(pauses.after(failure))
        finally:
            if self._readers.get(key) is reader:
                del self._readers[key]
            if line is not None and mailbox is not None:
                await line.leave(key, mailbox)

    async def _persist(self, once: Callable[[AsyncLine], Awaitable[_T]]) -> _T:
        """What is answered in the end. Raises ``ClientError``."""
        pauses = self._connection.pauses()
        while True:
            try:
                return await once(await self._connected())
            except ClientError as error:
                failure = error
            self._require_open(failure)
            await self._pause(pauses.after(failure))

    async def _pause(self, seconds: float) -> None:
        """Ends when the connection is closed."""
        if self._sleep is not None:
            await self._sleep(seconds)
            return
        pause = AsyncPromise[None]()
        self._pausing.add(pause)
        try:
            if not self._closed:
                with suppress(TimeoutError):
                    await pause.wait(seconds)
        finally:
            self._pausing.discard(pause)

    async def _is_open(self, line: AsyncLine) -> bool:
        return line.is_open

    def _require_open(self, failure: ClientError) -> None:
        if self._closed:
            raise failure

    async def _connected(self) -> AsyncLine:
        """The line, opened if there is none. All who wait for it while it cannot be opened learn the same."""
        if (line := self._line) is not None and line.is_open:
            return line
        failures = self._failures
        async with self._opening:
            if self._line is not None and self._line.is_open:
                return self._line
            if self._failure is not None and self._failures != failures:
                raise copy.copy(self._failure)
            try:
                self._line = await self._opened(self._line)
            except ClientError as error:
                self._failures += 1
                self._failure = error
                raise
            return self._line

    async def _opened(self, before: AsyncLine | None) -> AsyncLine:
        if before is not None:
            self._line = None
            await before.aclose()
        if self._closed:
            raise NoAnswer("the connection was closed")
        connection, token = self._connection, self._connection.token
        try:
            wire = await AsyncWire.open(connection.socket_url, connection.socket_headers(), USER_AGENT, self._ssl)
        except Unauthenticated as refused:
            if not connection.renew(refused, token):
                raise
            wire = await AsyncWire.open(connection.socket_url, connection.socket_headers(), USER_AGENT, self._ssl)
        return AsyncLine(wire, connection.timeout)

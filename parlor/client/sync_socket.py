"""One connection for many sends and for the events of many rooms.

Made from ``async_socket.py`` by ``python -m tests.sync_client``: change that."""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from ssl import SSLContext
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from parlor.client import socket_frames
from parlor.client.calls import NewMessage, OnBusy
from parlor.client.connection import RECONNECT, SILENCE_SECONDS, USER_AGENT, Connection, is_progress
from parlor.client.errors import ClientError, NoAnswer, Unauthenticated
from parlor.client.exchange import Overflowed, Turns
from parlor.client.models import Event, File, JsonObject, Sent
from parlor.client.socket_frames import ACCOUNT, WINDOW, subject
from parlor.client.sync_line import Line
from parlor.client.sync_waiting import Pool, Promise, Running
from parlor.client.sync_wire import Wire

_T = TypeVar("_T")


class Socket:
    """A connection that is opened again when it is cut. What was not answered is sent again with its key, and events go
    on behind the last one."""

    def __init__(self, connection: Connection, ssl: SSLContext | None, sleep: Callable[[float], None] | None) -> None:
        self._connection = connection
        self._ssl = ssl
        self._sleep = sleep
        self._turns: Turns[Promise[Any]] = Turns(Promise)
        self._opening = threading.Lock()
        self._line: Line | None = None
        self._failures = 0
        self._failure: ClientError | None = None
        self._readers: dict[str, object] = {}
        """Who reads the events of a subject."""
        self._pausing: set[Promise[None]] = set()
        self._closed = False

    def __enter__(self) -> Self:
        """Opens it, so that a token that is not valid is refused here."""
        try:
            self._persist(self._is_open)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; what waits for it fails."""
        self._closed = True
        for pause in list(self._pausing):
            pause.give(None)
        with self._opening:
            line, self._line = self._line, None
            if line is not None:
                line.close()

    def send(
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
        return self._send(message, self._turns.enter(subject(room_id)))

    def send_many(self, messages: Iterable[NewMessage]) -> Generator[Sent]:
        """Sends messages, up to 32 at a time, those of one room one after the other; gives what became of each, in
        their order. No more are taken than can be sent. The first that fails is raised; a few behind it may have been
        sent, which their keys tell when they are sent again."""
        under_way: deque[Running[Sent]] = deque()
        turns: deque[tuple[str, Promise[Any]]] = deque(maxlen=WINDOW)
        try:
            with Pool() as pool:
                for message in messages:
                    key = subject(message.room_id)
                    turns.append((key, self._turns.enter(key)))
                    under_way.append(pool.start(self._send, message, turns[-1][1]))
                    while under_way and (len(under_way) == WINDOW or under_way[0].done()):
                        yield pool.result(under_way.popleft())
                while under_way:
                    yield pool.result(under_way.popleft())
        finally:
            for key, turn in turns:  # also of those that were given up before they began
                self._turns.leave(key, turn)

    def room_events(self, room_id: str, after: str | None = None) -> Generator[Event]:
        """As the client's ``room_events``. Each room has one reader on a connection: the newest."""
        return self._events(subject(room_id), after)

    def account_events(self, after: str | None = None) -> Generator[Event]:
        """As the client's ``account_events``, with one reader on a connection: the newest."""
        return self._events(ACCOUNT, after)

    def _send(self, message: NewMessage, turn: Promise[Any]) -> Sent:
        fields = socket_frames.send_fields(message)

        def once(line: Line) -> Sent:
            return socket_frames.sent(line.ask("send", fields))

        try:
            if self._closed:
                raise RuntimeError("the connection is closed")
            turn.wait()
            return self._persist(once)
        finally:
            self._turns.leave(subject(message.room_id), turn)

    def _events(self, key: str, after: str | None) -> Generator[Event]:
        pauses, cursor = self._connection.pauses(), after
        self._readers[key] = reader = object()
        line, mailbox = None, None
        try:
            while True:
                try:
                    line = self._connected()
                    cursor, mailbox = line.subscribe(key, cursor)
                    while True:
                        event = line.next(mailbox, SILENCE_SECONDS)
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
                    self._pause(pauses.after(failure))
        finally:
            if self._readers.get(key) is reader:
                del self._readers[key]
            if line is not None and mailbox is not None:
                line.leave(key, mailbox)

    def _persist(self, once: Callable[[Line], _T]) -> _T:
        """What is answered in the end. Raises ``ClientError``."""
        pauses = self._connection.pauses()
        while True:
            try:
                return once(self._connected())
            except ClientError as error:
                failure = error
            self._require_open(failure)
            self._pause(pauses.after(failure))

    def _pause(self, seconds: float) -> None:
        """Ends when the connection is closed."""
        if self._sleep is not None:
            self._sleep(seconds)
            return
        pause = Promise[None]()
        self._pausing.add(pause)
        try:
            if not self._closed:
                with suppress(TimeoutError):
                    pause.wait(seconds)
        finally:
            self._pausing.discard(pause)

    def _is_open(self, line: Line) -> bool:
        return line.is_open

    def _require_open(self, failure: ClientError) -> None:
        if self._closed:
            raise failure

    def _connected(self) -> Line:
        """The line, opened if there is none. All who wait for it while it cannot be opened learn the same."""
        if (line := self._line) is not None and line.is_open:
            return line
        failures = self._failures
        with self._opening:
            if self._line is not None and self._line.is_open:
                return self._line
            if self._failure is not None and self._failures != failures:
                raise copy.copy(self._failure)
            try:
                self._line = self._opened(self._line)
            except ClientError as error:
                self._failures += 1
                self._failure = error
                raise
            return self._line

    def _opened(self, before: Line | None) -> Line:
        if before is not None:
            self._line = None
            before.close()
        if self._closed:
            raise NoAnswer("the connection was closed")
        connection, token = self._connection, self._connection.token
        try:
            wire = Wire.open(connection.socket_url, connection.socket_headers(), USER_AGENT, self._ssl)
        except Unauthenticated as refused:
            if not connection.renew(refused, token):
                raise
            wire = Wire.open(connection.socket_url, connection.socket_headers(), USER_AGENT, self._ssl)
        return Line(wire, connection.timeout)

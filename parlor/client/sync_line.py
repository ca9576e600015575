"""One WebSocket to the server, from its opening to its end.

Made from ``async_line.py`` by ``python -m tests.sync_client``: change that."""

from __future__ import annotations

from typing import Any

from parlor.client.errors import ClientError, NoAnswer, Refused
from parlor.client.exchange import Exchange, Mailbox, Turns
from parlor.client.models import Event, JsonObject, decode
from parlor.client.socket_frames import Answer, about
from parlor.client.sync_waiting import Promise, Task
from parlor.client.sync_wire import Wire
from parlor.client.wires import CLOSE_SECONDS


class Line:
    """Asks, and hears answers and events. When it breaks, all that is under way fails; it does not come back."""

    def __init__(self, wire: Wire, seconds: float) -> None:
        """``seconds``: for the answer to a frame."""
        self._wire = wire
        self._seconds = seconds
        self._exchange: Exchange[Promise[Any]] = Exchange(Promise, seconds)
        self._subjects: Turns[Promise[Any]] = Turns(Promise)
        self._reading = Task(self._read)

    @property
    def is_open(self) -> bool:
        return self._exchange.failure is None

    def close(self) -> None:
        self._exchange.fail(NoAnswer("the connection was closed"))
        self._wire.close()
        self._reading.join(CLOSE_SECONDS)

    def ask(self, op: str, fields: JsonObject) -> Answer:
        """The answer to a frame, whatever its status. Raises ``ClientError``; then the line has ended."""
        text, promise = self._exchange.ask(self._place(), op, fields)
        try:
            self._wire.send(text, self._seconds)
        except (NoAnswer, TimeoutError) as error:
            self._exchange.fail(error if isinstance(error, NoAnswer) else self._late())
        try:
            found: Answer | ClientError = promise.wait(self._seconds)
        except TimeoutError:
            self._exchange.fail(found := self._late())
        if isinstance(found, ClientError):
            raise found
        return found

    def subscribe(self, subject: str, after: str | None) -> tuple[str, Mailbox[Promise[Any]]]:
        """Where the events begin, and what they come into. Raises ``Refused``, ``NoAnswer`` and ``BadAnswer``."""
        turn = self._subjects.enter(subject)
        try:
            turn.wait()
            self._exchange.unfollow(subject)
            if self._exchange.is_subscribed(subject):
                self._unsubscribe(subject)
            mailbox = self._exchange.follow(subject)
            from_there = {} if after is None else {"after": after}
            try:
                answer = (self.ask("subscribe", {**about(subject), **from_there})).read()
            except BaseException as error:
                self._exchange.unfollow(subject)
                if isinstance(error, Refused):
                    self._exchange.unsubscribed(subject)
                raise
            return str(decode(answer.body)["cursor"]), mailbox
        finally:
            self._subjects.leave(subject, turn)

    def leave(self, subject: str, mailbox: Mailbox[Promise[Any]]) -> None:
        """Ends a subscription, unless somebody else has it by now."""
        turn = self._subjects.enter(subject)
        try:
            turn.wait()
            if self.is_open and self._exchange.is_followed_by(subject, mailbox):
                self._exchange.unfollow(subject)
                self._unsubscribe(subject)
        except NoAnswer:
            return  # the line has ended, and all subscriptions with it
        except Refused:
            return  # too many requests: its events are dropped, and whoever subscribes again ends it first
        finally:
            self._subjects.leave(subject, turn)

    def next(self, mailbox: Mailbox[Promise[Any]], seconds: float) -> Event | None:
        """The next event; None when there was none for so long. Raises what the mailbox ended with."""
        if (event := mailbox.take()) is not None:
            return event
        try:
            mailbox.bell().wait(seconds)
        except TimeoutError:
            return None
        return mailbox.take()

    def _place(self) -> Promise[Any]:
        """One in the window, however long it takes: each of the frames in it has its time."""
        while True:
            if self._exchange.is_late():
                self._exchange.fail(self._late())
            place = self._exchange.window.enter()
            try:
                place.wait(self._seconds)
            except BaseException as error:
                self._exchange.window.leave(place)
                if not isinstance(error, TimeoutError):
                    raise
            else:
                return place

    def _unsubscribe(self, subject: str) -> None:
        (self.ask("unsubscribe", about(subject))).read()
        self._exchange.unsubscribed(subject)

    def _read(self) -> None:
        try:
            while True:
                self._exchange.heard(self._wire.receive())
        except ClientError as error:
            self._exchange.fail(error)
        finally:
            self._exchange.fail(NoAnswer("the connection is not read any more"))

    def _late(self) -> NoAnswer:
        return NoAnswer(f"no answer within {self._seconds:g} seconds")

"""What is under way on one WebSocket: frames that wait for their answers, and events that wait for their readers.

Nothing here waits or connects, and several threads may use it. A promise is either kind's: what it is given wakes who
waits for it.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from parlor.client import socket_frames
from parlor.client.errors import BadAnswer, ClientError, NoAnswer, Problem, refusal_of
from parlor.client.models import Event, JsonObject
from parlor.client.socket_frames import WINDOW, Answer

MAILBOX = 256
"""Events that wait for a reader. What comes after them is fetched again when they are read."""


class FrameTooLong(NoAnswer):
    """The server ended the connection because of a frame's length."""


class Overflowed(Exception):
    """More events came than are kept."""


class Given(Protocol):
    """What the two kinds of promises have in common."""

    def give(self, value: Any) -> None:
        """Wakes who waits; the first value counts."""


_P = TypeVar("_P", bound=Given)


class Gate(Generic[_P]):
    """Lets so many in at a time, in the order in which they came."""

    def __init__(self, places: int, promise: Callable[[], _P]) -> None:
        self._promise = promise
        self._lock = threading.Lock()
        self._free = places
        self._inside: list[_P] = []
        self._waiting: deque[_P] = deque()

    @property
    def is_empty(self) -> bool:
        return not self._inside

    def enter(self) -> _P:
        """A promise that is kept when there is a place. Whoever has it leaves, also without having waited."""
        entry = self._promise()
        with self._lock:
            self._waiting.append(entry)
            self._admit()
        return entry

    def leave(self, entry: _P) -> None:
        """Gives the place back, or waits no longer. Harmless again."""
        with self._lock:
            if entry in self._inside:
                self._inside.remove(entry)
                self._free += 1
                self._admit()
            elif entry in self._waiting:
                self._waiting.remove(entry)

    def _admit(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            self._inside.append(self._waiting.popleft())
            self._inside[-1].give(None)


class Turns(Generic[_P]):
    """For each name, one at a time, in the order in which they came."""

    def __init__(self, promise: Callable[[], _P]) -> None:
        self._promise = promise
        self._lock = threading.Lock()
        self._gates: dict[str, Gate[_P]] = {}

    def enter(self, name: str) -> _P:
        with self._lock:
            return self._gates.setdefault(name, Gate(1, self._promise)).enter()

    def leave(self, name: str, turn: _P) -> None:
        """Harmless again."""
        with self._lock:
            if (gate := self._gates.get(name)) is None:
                return
            gate.leave(turn)
            if gate.is_empty:
                del self._gates[name]


class Mailbox(Generic[_P]):
    """Events that came and are not read yet."""

    def __init__(self, promise: Callable[[], _P]) -> None:
        self._promise = promise
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._failure: Exception | None = None
        self._bell: _P | None = None

    def offer(self, event: Event) -> None:
        """Keeps an event. One that finds no place ends the mailbox: it and all after it are asked for again."""
        with self._lock:
            if self._failure is None and len(self._events) < MAILBOX:
                self._events.append(event)
            else:
                self._failure = self._failure or Overflowed()
            self._ring()

    def end(self, failure: ClientError) -> None:
        """What has come before is still read."""
        with self._lock:
            self._failure = self._failure or failure
            self._ring()

    def take(self) -> Event | None:
        """The next event, if there is one by now. Raises ``Overflowed``, and what the mailbox was ended with."""
        with self._lock:
            if self._events:
                return self._events.popleft()
            if self._failure is not None:
                raise copy.copy(self._failure)
            return None

    def bell(self) -> _P:
        """A promise that is kept when there is something to take."""
        with self._lock:
            self._bell = bell = self._promise()
            if self._events or self._failure is not None:
                self._ring()
            return bell

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.give(None)
            self._bell = None


class _Asked(Generic[_P]):
    """A frame that was not answered yet."""

    def __init__(self, size: int, until: float, place: _P, answer: _P) -> None:
        self.size = size
        self.until = until
        self.place = place
        self.answer = answer


class Exchange(Generic[_P]):
    """The frames of one WebSocket, until it ends."""

    def __init__(self, promise: Callable[[], _P], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``seconds``: for the answer to a frame."""
        self._seconds = seconds
        self._clock = clock
        self.window = Gate(WINDOW, promise)
        """A place in it is held until the answer, also by a frame that nobody waits for any more."""
        self.failure: ClientError | None = None
        """Why it ended."""
        self._promise = promise
        self._lock = threading.Lock()
        self._count = 0
        self._asked: dict[int, _Asked[_P]] = {}
        self._subscribed: set[str] = set()
        """What the server may send events of."""
        self._mailboxes: dict[str, Mailbox[_P]] = {}

    def ask(self, place: _P, op: str, fields: JsonObject) -> tuple[str, _P]:
        """The frame to be sent, and a promise of an ``Answer``, or of the ``ClientError`` in its place. ``place``: in
        the window; it is given back with the answer. Raises what the exchange ended with."""
        with self._lock:
            if self.failure is not None:
                self.window.leave(place)
                raise copy.copy(self.failure)
            self._count += 1
            text, answer = socket_frames.write(op, self._count, fields), self._promise()
            self._asked[self._count] = _Asked(len(text), self._clock() + self._seconds, place, answer)
            return text, answer

    def is_late(self) -> bool:
        """Whether a frame was not answered in time, also one that nobody waits for any more."""
        with self._lock:
            oldest = next(iter(self._asked.values()), None)
            return oldest is not None and oldest.until <= self._clock()

    def is_subscribed(self, subject: str) -> bool:
        return subject in self._subscribed

    def is_followed_by(self, subject: str, mailbox: Mailbox[_P]) -> bool:
        return self._mailboxes.get(subject) is mailbox

    def follow(self, subject: str) -> Mailbox[_P]:
        """The mailbox for the events of a subscription that is asked for now. Raises what the exchange ended with."""
        with self._lock:
            if self.failure is not None:
                raise copy.copy(self.failure)
            self._subscribed.add(subject)
            mailbox = self._mailboxes[subject] = Mailbox(self._promise)
            return mailbox

    def unfollow(self, subject: str) -> None:
        """Nobody reads it any more; events that still come are dropped."""
        with self._lock:
            if (mailbox := self._mailboxes.pop(subject, None)) is not None:
                mailbox.end(NoAnswer("it is not followed any more"))

    def unsubscribed(self, subject: str) -> None:
        """The server sends no more events of it."""
        with self._lock:
            self._subscribed.discard(subject)

    def heard(self, text: str) -> None:
        """Raises ``BadAnswer`` for what is no frame, or belongs to nothing, and what refuses the connection itself."""
        frame = socket_frames.read(text)
        with self._lock:
            if isinstance(frame, Answer):
                self._answered(frame)
            elif frame.subject not in self._subscribed:
                raise BadAnswer(f"an event of what is not subscribed to: {frame.subject or 'the account'}")
            elif (mailbox := self._mailboxes.get(frame.subject)) is not None:
                mailbox.offer(frame.event)

    def _answered(self, answer: Answer) -> None:
        if answer.ref is None:
            answer.read()
        asked = None if answer.ref is None else self._asked.pop(answer.ref, None)
        if asked is None:
            raise BadAnswer(f"an answer to a frame that does not wait for one: {answer.ref}")
        self.window.leave(asked.place)
        asked.answer.give(answer)

    def fail(self, failure: ClientError) -> None:
        """Ends all that is under way. The first failure counts."""
        with self._lock:
            if self.failure is not None:
                return
            self.failure = failure
            asked, self._asked = list(self._asked.values()), {}
            # The server does not say which frame was too long; sent again, it would end each connection.
            is_too_long = isinstance(failure, FrameTooLong)
            longest = max(asked, key=lambda each: each.size, default=None) if is_too_long else None
            for each in asked:
                each.answer.give(_too_long(each.size) if each is longest else copy.copy(failure))
                self.window.leave(each.place)
            for mailbox in self._mailboxes.values():
                mailbox.end(failure)


def _too_long(size: int) -> ClientError:
    """What the same send is refused with over HTTP."""
    detail = f"The server takes no frame of {size} characters"
    return refusal_of(Problem(413, "content-too-large", 1008, detail, None, None, {}))

"""Which rooms get an actor of their own, and which give it back (ADR 0043). The Supervisor carries it out.

A room is served at once by an actor that it shares. While there is space, rooms that are talked in get one for
themselves, the busiest first; a room that is idle or gone gives its actor back, and so does the quietest one when a
much busier room waits. While the processors are busy only rooms that make a good part of the load have one: what comes
to an actor one by one costs ten times what it costs in a batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence, Set

from parlor.clock import Clock
from parlor.model.ids import RoomId
from parlor.settings import RoomSettings

PREFIX = "room-"
"""The name of a room's own actor is this and the room's id."""
ACTOR_BYTES = 110_000_000
"""What a RoomActor needs, Ray's part of it included: the private memory of one, from ``/proc/<pid>/smaps_rollup``."""
CONVERSATION = 10
"""Commands after which a room is a conversation, and not a look."""
FADE = 0.95
"""What is left of a room's score from one report of its actor to the next, a second later."""
MUCH_BUSIER = 4.0
PAUSE_SECONDS, BUSY_PAUSE_SECONDS = 10.0, 60.0
"""Between two starts, and where the processors are busy or were until then: each takes a core for a second or two from
those who talk."""
SHARE = 0.1
"""Of all rooms' commands: a room that makes fewer has no actor of its own while the processors are busy."""
SETTLED_SECONDS = 30.0
"""So long a room has its own actor before what it makes is judged: about what a score takes to be right."""
BUSY_SECONDS = 5.0
"""So long they are busy before such a room gives its actor back."""
EMPTY_SECONDS = 30.0
"""After so long without its room an actor ends."""
START_SECONDS = 120.0
"""The same for one that does not answer: it is being started, perhaps on a busy machine."""


class _Own:
    def __init__(self, now: float) -> None:
        self.node = ""
        self.answers = False
        self.empty_since: float | None = now
        """Since when its room has not been there; None while it is."""
        self.used_since = now
        """Since when its room has been there."""

    def ends(self, now: float) -> bool:
        patience = EMPTY_SECONDS if self.answers else START_SECONDS
        return self.empty_since is not None and now - self.empty_since >= patience


class OwnActors:
    """``limit``: most of them. The caller makes and ends the actors, and says what they report."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._own: dict[str, _Own] = {}
        self._made_at = float("-inf")
        """When the last one was made, on the monotonic clock."""
        self._served: dict[RoomId, int] = {}
        self._scores: dict[RoomId, float] = {}
        """About the commands of the last twenty seconds."""
        self._busy_since: float | None = None
        self._calm_since = float("-inf")

    @property
    def names(self) -> set[str]:
        return set(self._own)

    @property
    def answering(self) -> list[str]:
        return [name for name, own in self._own.items() if own.answers]

    def add(self, name: str) -> None:
        self._made_at = self._clock.monotonic()
        self._own[name] = _Own(self._made_at)

    def remove(self, name: str) -> None:
        self._own.pop(name, None)

    def silent(self, name: str) -> None:
        own = self._own[name]
        own.answers, own.empty_since = False, self._clock.monotonic()

    def on(self, nodes: Set[str]) -> list[str]:
        """The actors of these nodes."""
        return [name for name, own in self._own.items() if own.node in nodes]

    def answered(self, name: str, node: str, rooms: Sequence[RoomId]) -> None:
        own, now = self._own[name], self._clock.monotonic()
        if room_of(name) in rooms:
            if own.empty_since is not None:
                own.empty_since, own.used_since = None, now
        elif own.empty_since is None or not own.answers:
            own.empty_since = now
        own.node, own.answers = node, True

    def reported(self, held: Sequence[RoomId], served: Mapping[RoomId, int]) -> None:
        """Notes how many commands the rooms of one actor have served; ``held`` are those that it had before."""
        if not self._limit:
            return  # A cluster has thousands of rooms, and reports every second.
        self.forget(room for room in held if room not in served)
        for room, count in served.items():
            # Of a room that was not known, all commands since it was loaded, however long ago.
            known = self._served.get(room, count - min(count, CONVERSATION))
            more = max(0, count - known)
            self._served[room] = count
            self._scores[room] = self._scores.get(room, 0.0) * FADE + more

    def forget(self, rooms: Iterable[RoomId]) -> None:
        """Nobody holds these rooms any more."""
        for room in rooms:
            self._served.pop(room, None)
            self._scores.pop(room, None)

    def next(self, *, busy: bool) -> str | None:
        """The name of the actor to make now: one at a time, for the busiest room that shares one. ``busy`` says how the
        processors are, once in a while; ``surplus`` goes by it too."""
        now = self._clock.monotonic()
        if not busy:
            self._busy_since = None
        else:
            self._busy_since, self._calm_since = now if self._busy_since is None else self._busy_since, now
        if now < self._made_at + (BUSY_PAUSE_SECONDS if busy else PAUSE_SECONDS):
            return None
        if any(not own.answers for own in self._own.values()) or len(self._own) >= self._limit:
            return None
        room = self._busiest()
        if room is None or (now < self._calm_since + BUSY_PAUSE_SECONDS and self._makes_little(room)):
            return None
        return name_of(room)

    def surplus(self) -> list[str]:
        """The actors that end now."""
        now = self._clock.monotonic()
        empty = [name for name, own in self._own.items() if own.ends(now)]
        if empty or not self._own:
            return empty
        if self._busy_since is not None and now >= self._busy_since + BUSY_SECONDS:
            # A room's score may have been forgotten as it moved.
            settled = [name for name, own in self._own.items() if now >= own.used_since + SETTLED_SECONDS]
            little = [name for name in settled if self._makes_little(room_of(name))]
            if little:
                return [min(little, key=self._score)]
        quietest = min(self._own, key=self._score)
        waiting = self._busiest()
        if waiting is None or len(self._own) < self._limit:
            return []
        return [quietest] if self._scores[waiting] > MUCH_BUSIER * (self._score(quietest) + 1) else []

    def _makes_little(self, room: RoomId) -> bool:
        return self._scores.get(room, 0.0) < SHARE * sum(self._scores.values())

    def _busiest(self) -> RoomId | None:
        sharing = [
            room for room, count in self._served.items() if count >= CONVERSATION and name_of(room) not in self._own
        ]
        return max(sharing, key=lambda room: self._scores[room], default=None)

    def _score(self, name: str) -> float:
        return self._scores.get(room_of(name), 0.0)


def most_own_actors(settings: RoomSettings) -> int:
    """Returns how many rooms may have an actor of their own on this machine."""
    if settings.own_actors is not None:
        return settings.own_actors
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(8 * (os.cpu_count() or 1), memory // 4 // ACTOR_BYTES)


def name_of(room: RoomId) -> str:
    return f"{PREFIX}{room}"


def room_of(name: str) -> RoomId:
    return RoomId(name.removeprefix(PREFIX))


def is_own(name: str) -> bool:
    return name.startswith(PREFIX)

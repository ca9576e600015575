"""The pool of RoomActors: how many it needs, which of them take rooms, and which leave. The Supervisor carries out what
is decided here.

An actor takes rooms from its first answer on, for as long as it answers; no room waits for an actor that has no node
yet or whose node has died. Rooms of a silent actor may be placed elsewhere at once, because the claim decides who owns
a room, not this pool (I3).
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from parlor.clock import Clock
from parlor.model.ids import RoomId
from parlor.rooms.own_actors import OwnActors, is_own, room_of
from parlor.rooms.placement import PlacementBook
from parlor.settings import RoomSettings


class _Member:
    """What the pool knows about one actor."""

    def __init__(self, now: float) -> None:
        self.node = ""
        self.answers = False
        self.empty_since: float | None = now
        """Since when it has had no room; None while it has one."""


class RoomPool:
    """The caller chooses the names; a name may be used again after ``remove``. Names of rooms' own actors are those of
    ``own_actors.name_of``; ``own_limit`` is how many there may be."""

    def __init__(self, settings: RoomSettings, clock: Clock, own_limit: int = 0) -> None:
        self._settings = settings
        self._clock = clock
        self._spares = 1 if settings.spare else 0
        self._book = PlacementBook(settings.max_rooms_per_actor, self._spares)
        self._own = OwnActors(own_limit, clock)
        self._members: dict[str, _Member] = {}
        self._leaving: set[str] = set()

    @property
    def answering(self) -> list[str]:
        """The actors that take rooms now."""
        return self._book.actors

    @property
    def names(self) -> set[str]:
        """The names of all actors, including those that are leaving."""
        return {*self._members, *self._own.names, *self._leaving}

    def add(self, name: str) -> None:
        """Adds an actor that was made or found. It takes rooms once it has answered."""
        if is_own(name):
            self._own.add(name)
        else:
            self._members[name] = _Member(self._clock.monotonic())

    def remove(self, name: str) -> None:
        """Removes an actor that has ended."""
        self._leaving.discard(name)
        self._members.pop(name, None)
        self._own.remove(name)
        self._drop(name)

    def answered(self, name: str, node: str, rooms: Sequence[RoomId], served: Sequence[int] = ()) -> None:
        """Notes that an actor answered from this node and holds these rooms, of which each has served so many
        commands."""
        if name in self._leaving:
            return  # It was asked before it was told to leave.
        self._own.reported(self._book.held_by(name), dict(zip(rooms, served, strict=False)))
        if name in self._own.names:
            self._book.add_own_actor(name, room_of(name))
            self._book.reported(name, rooms)
            self._own.answered(name, node, rooms)
            return
        member = self._members.get(name)
        if member is None:
            return
        member.node, member.answers = node, True
        self._book.add_actor(name)
        self._book.reported(name, rooms)
        self._note_use(name, member)

    def silent(self, name: str) -> None:
        """Notes that an actor does not answer: its rooms are placed elsewhere when they are next asked for."""
        if (member := self._members.get(name)) is not None:
            member.answers = False
            self._drop(name)
        elif name in self._own.names:
            self._own.silent(name)
            self._drop(name)

    def place(self, room: RoomId, avoid: str | None = None) -> str:
        """Returns the room's actor, and chooses one if the room has none or has the one to ``avoid``. Raises
        ``Overloaded`` when every actor is full or none answers."""
        name = self._book.place(room, avoid)
        if (member := self._members.get(name)) is not None:
            member.empty_since = None
        return name

    def next_own(self, *, busy: bool = False) -> str | None:
        """The name of the own actor to make now; less often while the processors are ``busy``."""
        name = self._own.next(busy=busy)
        return None if name in self._leaving else name

    def to_move(self) -> list[tuple[RoomId, str, str]]:
        """The rooms that can move into their own actor: each with the actor that holds it, and its own."""
        places = [(room_of(name), self._book.place_of(room_of(name)), name) for name in self._own.answering]
        return [(room, held, own) for room, held, own in places if held is not None and held != own]

    def move(self, room: RoomId, to: str) -> None:
        """Notes that a room was given away for this actor: its own, or a shared one."""
        if to in self._own.answering or to in self.answering:
            self._book.move(room, to)

    def dismiss(self, name: str) -> None:
        """Has an actor leave: it takes no rooms from here on."""
        self._leaving.add(name)
        self._members.pop(name, None)
        self._own.remove(name)
        self._drop(name)

    def lacking(self, draining: Set[str]) -> int:
        """Returns how many actors to make. The pool keeps one more than there are rooms, within its limits, and the
        spare. Actors on ``draining`` nodes do not count, because they have to leave."""
        staying = sum(1 for member in self._members.values() if member.node not in draining)
        return max(0, self._wanted() - staying)

    def let_go(self, draining: Set[str]) -> list[str]:
        """Returns the actors that leave now; they take no rooms from here on.

        These are the actors on draining nodes, once another one can take their rooms, and surplus actors that have been
        empty for ``shrink_after``, beginning with the nodes that have the fewest, so that a node becomes free; and the
        own actors of rooms that do not need one any more.
        """
        endangered = [name for name, member in self._members.items() if member.node in draining and member.node]
        safe = [name for name, member in self._members.items() if member.answers and name not in endangered]
        going = [*endangered, *self._own.on(draining)] if safe else []
        going += self._idle_extras(endangered)
        going += [name for name in self._own.surplus() if name not in going]
        for name in going:
            self.dismiss(name)
        return going

    def _idle_extras(self, endangered: Sequence[str]) -> list[str]:
        staying = {name: member for name, member in self._members.items() if name not in endangered}
        nodes = [member.node for member in staying.values()]
        empty = {name: member.empty_since for name, member in staying.items() if member.empty_since is not None}
        # Newest first, but ahead of all others those that still wait for a node: they are no longer needed.
        order = sorted(empty, reverse=True)
        order.sort(key=lambda name: (staying[name].answers, nodes.count(staying[name].node)))
        # First choose among all empty actors, then check how long they have been empty. The other way round, whichever
        # became empty first would leave, and the rest would keep a node busy that could have become free.
        latest = self._clock.monotonic() - self._settings.shrink_after.total_seconds()
        return [name for name in order[: max(0, len(staying) - self._wanted())] if empty[name] <= latest]

    def _wanted(self) -> int:
        rooms = sum(self._book.rooms_of(name) for name in self._book.actors)
        return min(self._settings.pool_limit, max(self._settings.actors_min, rooms + 1)) + self._spares

    def _drop(self, name: str) -> None:
        """Its rooms have no place until they are placed again; what they did there says nothing any more."""
        self._own.forget(self._book.held_by(name))
        self._book.remove_actor(name)

    def _note_use(self, name: str, member: _Member) -> None:
        if self._book.rooms_of(name):
            member.empty_since = None
        elif member.empty_since is None:
            member.empty_since = self._clock.monotonic()

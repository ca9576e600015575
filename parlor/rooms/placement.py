"""The Supervisor's record of which actor each room lives on.

A room gets an actor to itself while the pool has a free one; after that rooms share actors, least loaded first (ADR
0001). The record serves liveness only: if two actors serve a room at once, the claim decides which one owns it.
"""

from __future__ import annotations

from collections.abc import Iterable

from parlor.errors import Overloaded
from parlor.model.ids import RoomId


class PlacementBook:
    """Places rooms on actors; one actor takes at most ``max_rooms``. A room may have an actor of its own, which takes
    no other. ``spares`` actors take no room while there are others."""

    def __init__(self, max_rooms: int, spares: int = 0) -> None:
        self._max_rooms = max_rooms
        self._spares = spares
        self._rooms: dict[str, set[RoomId]] = {}
        self._place: dict[RoomId, str] = {}
        self._own: dict[RoomId, str] = {}

    @property
    def actors(self) -> list[str]:
        """Those that take any room."""
        own = set(self._own.values())
        return [actor for actor in self._rooms if actor not in own]

    def held_by(self, actor: str) -> list[RoomId]:
        return list(self._rooms.get(actor, ()))

    def rooms_of(self, actor: str) -> int:
        return len(self._rooms.get(actor, ()))

    def add_actor(self, actor: str) -> None:
        self._rooms.setdefault(actor, set())

    def add_own_actor(self, actor: str, room: RoomId) -> None:
        """Adds a room's own actor. The room stays where it is until it is moved, or placed anew."""
        self._rooms.setdefault(actor, set())
        self._own[room] = actor

    def place_of(self, room: RoomId) -> str | None:
        return self._place.get(room)

    def move(self, room: RoomId, actor: str) -> None:
        self.forget(room)
        self._note(room, actor)

    def remove_actor(self, actor: str) -> None:
        """Removes an actor; its rooms have no place until they are placed again."""
        self._own = {room: own for room, own in self._own.items() if own != actor}
        for room in self._rooms.pop(actor, set()):
            del self._place[room]

    def reported(self, actor: str, rooms: Iterable[RoomId]) -> None:
        """Takes an actor's report of the rooms that it holds: forgets those that it let go, and records those that are
        on no actor. A report from an unknown or removed actor is ignored."""
        if actor not in self._rooms:
            return
        held = set(rooms)
        for room in self._rooms.get(actor, set()) - held:
            self.forget(room)
        for room in held:
            if room not in self._place:
                self._note(room, actor)

    def place(self, room: RoomId, avoid: str | None = None) -> str:
        """Returns the room's actor, and chooses one if the room has none or has the one to ``avoid``. Raises
        ``Overloaded``."""
        known = self._place.get(room)
        if known is not None and known != avoid:
            return known
        self.forget(room)
        own = self._own.get(room)
        if own is not None and own != avoid:
            self._note(room, own)
            return own
        loads = {actor: self.rooms_of(actor) for actor in self.actors if self.rooms_of(actor) < self._max_rooms}
        others = {actor: load for actor, load in loads.items() if actor != avoid} or loads
        if not others:
            raise Overloaded("Every room actor is full", retry_after=2.0)
        # The spares are empty ones: whichever took over from an actor that died is none any more.
        in_use = sorted(others, key=lambda name: (others[name] == 0, name))[: max(1, len(others) - self._spares)]
        actor = min(in_use, key=lambda name: (others[name], name))
        self._note(room, actor)
        return actor

    def forget(self, room: RoomId) -> None:
        actor = self._place.pop(room, None)
        if actor is not None:
            self._rooms[actor].discard(room)

    def _note(self, room: RoomId, actor: str) -> None:
        self._place[room] = actor
        self._rooms[actor].add(room)

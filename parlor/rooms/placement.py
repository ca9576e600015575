"""Where rooms live: the Supervisor's book.

A room gets an actor to itself while the pool has a free one; past that, rooms share, least loaded first (ADR 0001). The
book is for liveness only: two owners at once are told apart by the claim, not by it.
"""

from __future__ import annotations

from collections.abc import Iterable

from parlor.errors import Overloaded
from parlor.ids import RoomId


class PlacementBook:
    """``max_rooms`` is the most that one actor takes."""

    def __init__(self, max_rooms: int) -> None:
        self._max_rooms = max_rooms
        self._rooms: dict[str, set[RoomId]] = {}
        self._place: dict[RoomId, str] = {}

    @property
    def actors(self) -> list[str]:
        return list(self._rooms)

    def rooms_of(self, actor: str) -> int:
        return len(self._rooms.get(actor, ()))

    def add_actor(self, actor: str) -> None:
        self._rooms.setdefault(actor, set())

    def remove_actor(self, actor: str) -> None:
        """Its rooms have no place any more."""
        for room in self._rooms.pop(actor, set()):
            del self._place[room]

    def reported(self, actor: str, rooms: Iterable[RoomId]) -> None:
        """What an actor says it holds: rooms that it let go are forgotten, rooms that nobody has are noted. An actor
        that is not in the book (any more) says nothing."""
        if actor not in self._rooms:
            return
        held = set(rooms)
        for room in self._rooms.get(actor, set()) - held:
            self.forget(room)
        for room in held:
            if room not in self._place:
                self._note(room, actor)

    def place(self, room: RoomId, avoid: str | None = None) -> str:
        """The room's actor; chosen now if it has none, or if it has the one to avoid. Raises ``Overloaded``."""
        known = self._place.get(room)
        if known is not None and known != avoid:
            return known
        self.forget(room)
        loads = {actor: len(held) for actor, held in self._rooms.items() if len(held) < self._max_rooms}
        others = {actor: load for actor, load in loads.items() if actor != avoid} or loads
        if not others:
            raise Overloaded("Every room actor is full", retry_after=2.0)
        actor = min(others, key=lambda name: (others[name], name))
        self._note(room, actor)
        return actor

    def forget(self, room: RoomId) -> None:
        actor = self._place.pop(room, None)
        if actor is not None:
            self._rooms[actor].discard(room)

    def _note(self, room: RoomId, actor: str) -> None:
        self._place[room] = actor
        self._rooms[actor].add(room)

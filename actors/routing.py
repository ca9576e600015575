"""The way from a process to the owners of rooms.

The actor that is remembered for a room is a copy of what the Supervisor decided, and an actor that does not hold the
room says so.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from msgspec import structs
from ray.exceptions import RayActorError, RayError

from actors.channel import ActorUnreachable, RoomChannel
from actors.contracts import SUPERVISOR, InstallationStatus
from actors.handles import Handle, find_actor
from parlor.cache.reads import CacheReader
from parlor.errors import Overloaded, RoomMoved
from parlor.model.ids import RoomId
from parlor.rooms.commands import Command, Outcome, Refused
from parlor.rooms.forwarding import Forwarder, Unanswered

PLACES = 100_000
"""Rooms whose place is remembered."""
ROUTE_ATTEMPTS = 4
"""Attempts to find a room's place before the client is told to retry; by then a dead actor is back or replaced."""
ROUTE_PAUSE = 0.25
"""Seconds between these attempts."""
PLACE_SECONDS = 5.0
"""Longest wait for the Supervisor to place a room, in seconds."""
HEALTH_SECONDS = 2.0
"""Longest wait for the Supervisor to say which actors are missing, in seconds."""


STATUS_SECONDS = 15.0
"""Longest wait for the Supervisor's report: it asks every actor first, each for five seconds at most."""


class RoomRouter:
    """Call ``close`` when done."""

    def __init__(self, reader: CacheReader, namespace: str, forwarder: Forwarder) -> None:
        self._reader = reader
        self._namespace = namespace
        self._forwarder = forwarder
        self._channels: dict[str, RoomChannel] = {}
        self._places: OrderedDict[RoomId, tuple[str, int]] = OrderedDict()
        """By room: its actor, and how often that actor's channel had broken when it was remembered."""
        self._supervisor: Handle | None = None

    async def route(self, command: Command) -> Outcome:
        """Has the room's owner serve the command; its ids make repeating it harmless. Raises ``Overloaded`` when no
        owner is found."""
        room_id, failed = command.room_id, None
        outcome: Outcome | None
        known, breaks = self._places.get(room_id, ("", 0))
        if known and self._channel(known).breaks > breaks:
            # The channel broke for another room: ask the Supervisor, which checks whether the actor answers.
            failed = known
        elif known:
            self._places.move_to_end(room_id)
            try:
                outcome = await self._channel(known).execute(command)
            except ActorUnreachable:
                failed = known
            else:
                if not _moved(outcome):
                    return outcome
        self._places.pop(room_id, None)
        least = 0
        for attempt in range(ROUTE_ATTEMPTS):
            if attempt:
                await asyncio.sleep(ROUTE_PAUSE)
            # Read the ticket before asking for the place, so that any later claim is newer than this copy of the
            # command: also one of an owner in another cluster, whose room nobody here takes with this ticket.
            holder = await self._reader.holder(room_id)
            ticket = max(holder.ticket, least)
            copy = structs.replace(command, ticket=ticket)
            try:
                outcome = await self._forwarder.forward(holder.cluster, copy)
            except Unanswered:
                outcome = Refused(RoomMoved().to_wire())
            if outcome is not None:
                if not _moved(outcome):
                    return outcome
                # The copy may lie there for long: any other one outdates it.
                least = ticket + 1
                continue
            actor = await self._place(room_id, failed)
            try:
                outcome = await self._channel(actor).activate(copy)
            except ActorUnreachable:
                failed = actor
                continue
            if not _moved(outcome):
                if not isinstance(outcome, Refused):
                    self._places[room_id] = (actor, self._channel(actor).breaks)
                    if len(self._places) > PLACES:
                        self._places.popitem(last=False)
                return outcome
        raise Overloaded("The room is being moved", retry_after=1.0)

    async def missing_actors(self) -> list[str]:
        """Returns which actors the Supervisor misses. Raises ``RayError``, ``TimeoutError`` or ``ValueError`` if it
        does not answer."""
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                missing: list[str] = await (await self._find_supervisor()).missing.remote()
        except (RayError, TimeoutError, ValueError):
            self._supervisor = None
            raise
        return missing

    async def status(self) -> InstallationStatus:
        """Raises ``Overloaded`` when the Supervisor does not answer."""
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                found: InstallationStatus = await (await self._find_supervisor()).status.remote()
        except (RayError, TimeoutError, ValueError) as error:
            self._supervisor = None
            raise Overloaded("The Supervisor does not answer", debug=repr(error), retry_after=2.0) from error
        return found

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    async def _place(self, room_id: RoomId, failed: str | None) -> str:
        try:
            async with asyncio.timeout(PLACE_SECONDS):
                actor = await self._ask_for_place(room_id, failed)
        except (RayError, TimeoutError, ValueError) as error:
            self._supervisor = None
            raise Overloaded("No room actor can be found now", debug=repr(error), retry_after=2.0) from error
        if actor is None:
            raise Overloaded("Every room actor is full, or none has started yet", retry_after=2.0)
        return actor

    async def _ask_for_place(self, room_id: RoomId, failed: str | None) -> str | None:
        """Waits for a Supervisor that is being started again: it takes a second or two."""
        while True:
            supervisor = await self._find_supervisor()
            try:
                actor: str | None = await supervisor.place_room.remote(room_id, failed)
            except RayActorError:
                self._supervisor = None
                await asyncio.sleep(ROUTE_PAUSE)
            else:
                return actor

    def _channel(self, actor: str) -> RoomChannel:
        if actor not in self._channels:
            self._channels[actor] = RoomChannel(actor, self._namespace)
        return self._channels[actor]

    async def _find_supervisor(self) -> Handle:
        if self._supervisor is None:
            self._supervisor = await find_actor(SUPERVISOR, self._namespace)
        return self._supervisor


def _moved(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.error.kind == RoomMoved.__name__

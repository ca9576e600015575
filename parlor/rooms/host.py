"""The rooms that one RoomActor holds: routes commands to them, activates rooms, and lets idle ones go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from parlor.errors import InternalError, Overloaded, ParlorError, RoomMoved
from parlor.model.ids import RoomId
from parlor.model.messages import FinishReason
from parlor.rooms.commands import Command, Outcome, Refused, Result
from parlor.rooms.room import Room
from parlor.rooms.room_ports import RoomPorts

_log = structlog.get_logger(__name__)

DRAIN_POLL = 0.05
"""Seconds between checks whether rooms are still busy, while they are being let go."""

HAND_OVER_AFTER = 8
"""Commands in a row that came to a room from another cluster: then it goes there. Requests that alternate between two
clusters, or come to either by chance, do not move it."""

SETTLE_SECONDS = 5.0
"""For so long a room that was given away is not taken back: until then its new place is known."""


class RoomHost:
    """Holds rooms. Start ``run``, which lets idle rooms go, once as a task."""

    def __init__(self, ports: RoomPorts) -> None:
        self._ports = ports
        self._settings = ports.reply.settings.rooms
        self._clock = ports.reply.clock
        self._rooms: dict[RoomId, Room] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._given_away: dict[RoomId, float] = {}
        """Until when a room is not taken back, on the monotonic clock."""
        self._draining = False
        self._leaving = False

    @property
    def leaving(self) -> bool:
        """Whether the host is giving up its rooms for good."""
        return self._leaving

    @property
    def rooms(self) -> list[RoomId]:
        return list(self._rooms)

    @property
    def served(self) -> list[int]:
        """Commands that each of the rooms has served here."""
        return [room.served for room in self._rooms.values()]

    @property
    def replies(self) -> int:
        """Replies that are being written."""
        return sum(room.writing for room in self._rooms.values())

    async def execute(self, commands: Sequence[Command], *, activate: bool) -> list[Outcome]:
        """Serves commands for any rooms concurrently and returns an outcome for each, in order.

        Without ``activate``, a command for a room that is not on this host is answered with ``RoomMoved``. Only a
        caller that has just asked for the room's place may make this host its owner; otherwise two hosts could take the
        room from each other for ever.
        """
        self._ports.reply.metrics.commands(len(commands))
        answers = [self._submit(command, activate) for command in commands]
        # asyncio.wait does not cancel the futures, so the commands are served even if the caller is cancelled.
        pending = [answer for answer in answers if isinstance(answer, asyncio.Future)]
        if pending:
            await asyncio.wait(pending)
        for command in commands:
            if command.forwarded and (room := self._rooms.get(command.room_id)) is not None:
                self._hand_over(room)
        return [
            self._outcome(
                command, answer.exception() or answer.result() if isinstance(answer, asyncio.Future) else answer
            )
            for command, answer in zip(commands, answers, strict=True)
        ]

    async def run(self) -> None:
        """Lets idle rooms go, until it is cancelled."""
        interval = self._settings.idle_after.total_seconds()
        while True:
            await self._clock.sleep(interval / 4)
            for room in list(self._rooms.values()):
                if room.idle_seconds >= interval:
                    await self.passivate(room.room_id)

    async def passivate(self, room_id: RoomId) -> None:
        """Lets a room go: first answers new commands with ``RoomMoved``, then gives up the claim."""
        room = self._rooms.pop(room_id, None)
        if room is not None:
            await room.close()
            self._count()

    async def give_away(self, room_id: RoomId, seconds: float) -> bool:
        """Lets one room go to another host between two of its replies; those that wait are written there. Returns
        whether it is gone: not when a reply takes longer than ``seconds``. For ``SETTLE_SECONDS`` it is not taken
        back, so that who asks for its place meanwhile does not make this host its owner again."""
        deadline = self._clock.monotonic() + seconds
        if (room := self._rooms.get(room_id)) is not None:
            with room.between_replies():
                while room.writing:
                    if self._clock.monotonic() >= deadline:
                        return False
                    await self._clock.sleep(DRAIN_POLL)
                now = self._clock.monotonic()
                self._given_away = {room: until for room, until in self._given_away.items() if until > now}
                self._given_away[room_id] = now + SETTLE_SECONDS
                if self._rooms.get(room_id) is room:
                    await self.passivate(room_id)
        return True

    async def leave(self, seconds: float) -> None:
        """Lets all rooms go to other hosts: each as soon as it is not busy, the rest after ``seconds``. A reply that
        this interrupts is begun again by the room's next owner. Commands for other rooms are answered with
        ``RoomMoved``."""
        self._leaving = True
        deadline = self._clock.monotonic() + seconds
        while self._rooms and self._clock.monotonic() < deadline:
            quiet = [room.room_id for room in self._rooms.values() if not room.busy]
            await asyncio.gather(*(self.passivate(room_id) for room_id in quiet))
            if self._rooms:
                await self._clock.sleep(DRAIN_POLL)
        await self._ports.reply.observer.close()
        await asyncio.gather(*(self.passivate(room_id) for room_id in self.rooms))
        await asyncio.gather(*self._closing)

    async def drain(self, seconds: float) -> None:
        """Refuses new commands, gives replies ``seconds`` to end, ends the rest as interrupted, and lets all rooms
        go."""
        self._draining = True
        deadline = self._clock.monotonic() + seconds
        while self._busy() and self._clock.monotonic() < deadline:
            await self._clock.sleep(DRAIN_POLL)
        for room in self._rooms.values():
            room.end_replies(FinishReason.INTERRUPTED)
        deadline = self._clock.monotonic() + 2.0
        while self._busy() and self._clock.monotonic() < deadline:
            await self._clock.sleep(DRAIN_POLL)
        await self._ports.reply.observer.close()
        await asyncio.gather(*(self.passivate(room_id) for room_id in self.rooms))
        await asyncio.gather(*self._closing)

    def _submit(self, command: Command, activate: bool) -> asyncio.Future[Result] | ParlorError:
        try:
            return self._room(command.room_id, activate).submit(command)
        except ParlorError as error:
            return error

    def _outcome(self, command: Command, answer: Result | BaseException) -> Outcome:
        if not isinstance(answer, BaseException):
            return answer
        if not isinstance(answer, ParlorError):
            raise answer
        if isinstance(answer, InternalError):
            _log.error("command_refused", room_id=command.room_id, request_id=command.request_id, debug=answer.debug)
        return Refused(answer.to_wire())

    def _room(self, room_id: RoomId, activate: bool) -> Room:
        if self._draining:
            raise Overloaded("The server is shutting down", retry_after=5.0)
        room = self._rooms.get(room_id)
        if room is None:
            if not activate or self._leaving or self._given_away.get(room_id, 0.0) > self._clock.monotonic():
                raise RoomMoved
            if len(self._rooms) >= self._settings.max_rooms_per_actor:
                raise Overloaded("Every room actor is full", retry_after=2.0)
            room = self._rooms[room_id] = Room(self._ports, room_id, self._forget)
            self._count()
        return room

    def _forget(self, room_id: RoomId) -> None:
        """Drops a room that was deleted or taken by another owner. The room's own task calls this, so another task
        closes it."""
        room = self._rooms.pop(room_id, None)
        if room is not None:
            closing = asyncio.create_task(self._close(room))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._count()

    async def _close(self, room: Room) -> None:
        # Let the command and the reply in progress finish first; both have their own time limits.
        while room.busy:
            await self._clock.sleep(DRAIN_POLL)
        await room.close()

    def _hand_over(self, room: Room) -> None:
        """Lets a room go whose requests all come to another cluster, as soon as it is not busy: its next command makes
        an owner there."""
        if room.forwarded == HAND_OVER_AFTER:
            leaving = asyncio.create_task(self._passivate_when_quiet(room))
            self._closing.add(leaving)
            leaving.add_done_callback(self._closing.discard)

    async def _passivate_when_quiet(self, room: Room) -> None:
        while room.busy:
            await self._clock.sleep(DRAIN_POLL)
        if room.forwarded >= HAND_OVER_AFTER and self._rooms.get(room.room_id) is room:
            _log.info("room_goes_to_another_cluster", room_id=room.room_id)
            await self.passivate(room.room_id)

    def _busy(self) -> bool:
        return any(room.busy for room in self._rooms.values())

    def _count(self) -> None:
        self._ports.reply.metrics.rooms_active(len(self._rooms))

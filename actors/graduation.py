"""Rooms graduate: from an actor that they share into one of their own, between two of their replies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import structlog
from ray.exceptions import RayError

from actors.pools import Pools
from parlor.errors import ParlorError
from parlor.model.ids import RoomId
from parlor.rooms.commands import Wake, encode_commands
from parlor.rooms.pool import RoomPool

_log = structlog.get_logger(__name__)

GIVE_AWAY_SECONDS = 60.0
"""Longest wait for the end of a reply; then the room is asked for again."""
ANSWER_SECONDS = 5.0
"""For the answer, beyond that."""

Change = Callable[[Callable[[], None]], Awaitable[None]]
"""Changes the pools, one change at a time."""
Claims = Callable[[RoomId], Awaitable[int]]
"""How often a room has been claimed (``parlor.cache.reads.CacheReader.claims``)."""


class Graduation:
    """``parlor.rooms.own_actors`` decides, this carries it out, a step at a time. Nothing of a promise rests on it: two
    owners of a room are told apart by its claim (I3)."""

    def __init__(self, rooms: RoomPool, pools: Pools, change: Change, claims: Claims, busy: Callable[[], bool]) -> None:
        """``busy``: whether the processors are."""
        self._rooms = rooms
        self._busy = busy
        self._pools = pools
        self._change = change
        self._claims = claims
        self._moving: dict[RoomId, asyncio.Task[bool]] = {}
        self._paused: set[str] = set()

    @property
    def moving(self) -> list[asyncio.Task[bool]]:
        return list(self._moving.values())

    async def step(self) -> None:
        """Makes the actor whose turn it is, and begins to move rooms whose own actor answers."""
        if (name := self._rooms.next_own(busy=self._busy())) is not None:
            _log.info("room_gets_its_own_actor", name=name)
            await self._change(partial(self._pools.make_own_actor, name))
        for room, holder, own in self._rooms.to_move():
            if room not in self._moving and not {holder, own} & self._paused:
                task = self._moving[room] = asyncio.create_task(self.hand_over(room, holder, own, GIVE_AWAY_SECONDS))
                task.add_done_callback(partial(self._moved, room))

    @contextmanager
    def paused(self, own: str) -> Iterator[None]:
        """Moves no room into this actor, or out of it, inside the ``with`` block."""
        self._paused.add(own)
        try:
            yield
        finally:
            self._paused.discard(own)

    async def hand_over(self, room: RoomId, holder: str, to: str, seconds: float) -> bool:
        """Moves a room between two of its replies; whether the holder has let it go: not when a reply takes longer."""
        gone = False
        try:
            async with asyncio.timeout(seconds + ANSWER_SECONDS):
                gone = await self._pools.rooms[holder].give_away.remote(room, seconds)
            if not gone:
                return False
            self._rooms.move(room, to)
            _log.info("room_moved", room_id=room, name=to)
            # So that replies that wait there begin at once.
            wake = Wake(None, room, "", ticket=await self._claims(room))
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._pools.rooms[to].execute.remote(encode_commands([wake]), True)
        except (RayError, TimeoutError, KeyError, ParlorError) as error:
            # One of the actors has ended, or Redis is away: the next command finds a place, or the sweep.
            _log.warning("room_moves_later", room_id=room, holder=holder, debug=repr(error))
        return gone

    def _moved(self, room: RoomId, task: asyncio.Task[bool]) -> None:
        del self._moving[room]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("room_not_moved", room_id=room, exc_info=error)

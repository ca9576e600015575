"""The Supervisor's part in a pair of clusters: commands that the other one forwards, and who is there (ADR 0059)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from ray.exceptions import RayError

from actors.handles import Handle
from parlor.errors import Overloaded, ParlorError, RoomMoved
from parlor.model.ids import ClusterId, RoomId
from parlor.rooms.commands import Command, Outcome, Refused, decode_outcomes, encode_commands
from parlor.rooms.forwarding import ForwardedCalls, Forwarder
from parlor.wiring import Wiring

_log = structlog.get_logger(__name__)

ANSWER_SECONDS = 4.0
"""Longest wait for a RoomActor: below that of the other cluster."""

Place = Callable[[RoomId, str | None], Awaitable[str | None]]
"""``SupervisorContract.place_room``."""


class Clusters:
    """``rooms`` are the RoomActors of this cluster, by name."""

    def __init__(self, cluster: ClusterId, place: Place, rooms: Mapping[str, Handle]) -> None:
        self._cluster = cluster
        self._place = place
        self._rooms = rooms
        self._failed: dict[RoomId, str] = {}
        """Actors that did not answer, until their room is asked for again."""
        self._forwarder: Forwarder | None = None
        self._calls: ForwardedCalls | None = None
        self._taking: asyncio.Task[None] | None = None

    def begin(self, wiring: Wiring) -> None:
        """Gives signs of life and serves what others forward, until ``close``; harmless when it has begun."""
        self._forwarder = wiring.forwarder(self._cluster)
        if self._cluster and self._taking is None:
            self._calls = ForwardedCalls(self._cluster, wiring.clusters, wiring.clock, self.serve)
            self._taking = asyncio.create_task(self._calls.run())

    async def serve(self, command: Command) -> Outcome:
        """The ticket stays that of the caller, which may send other copies: with a new one, a late copy would pass for
        a new command (ADR 0013)."""
        room_id = command.room_id
        actor = await self._place(room_id, self._failed.pop(room_id, None))
        if actor is None:
            return Refused(Overloaded("Every room actor is full, or none has started yet", retry_after=2.0).to_wire())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return decode_outcomes(await self._rooms[actor].execute.remote(encode_commands([command]), True))[0]
        except (RayError, TimeoutError, KeyError) as error:
            # The caller asks again, with a higher ticket.
            _log.warning("forwarded_command_not_served", room_id=room_id, name=actor, debug=repr(error))
            self._failed[room_id] = actor
            return Refused(RoomMoved().to_wire())

    async def elsewhere(self, clusters: set[ClusterId]) -> set[ClusterId]:
        """See ``Forwarder.elsewhere``."""
        return await self._forwarder.elsewhere(clusters) if self._forwarder is not None else set()

    async def others(self) -> list[ClusterId]:
        """The other clusters that live, as far as that can be known."""
        try:
            return await self._calls.others() if self._calls is not None else []
        except ParlorError as error:
            _log.warning("clusters_not_known", debug=error.debug)
            return []

    async def known(self) -> dict[str, str]:
        """All that serve the installation, for ``InstallationStatus``; only this one where others are not known."""
        return {**({self._cluster: "this one"} if self._cluster else {}), **dict.fromkeys(await self.others(), "lives")}

    async def close(self) -> None:
        """Leaves what is left to the others."""
        if self._calls is None or self._taking is None:
            return
        self._taking.cancel()
        await asyncio.gather(self._taking, return_exceptions=True)
        try:
            await self._calls.close()
        except ParlorError as error:
            # It counts as alive for some seconds more.
            _log.warning("cluster_not_signed_off", debug=error.debug)

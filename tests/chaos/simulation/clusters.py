"""One Ray cluster of a run: the way to its owners, and its Supervisor. Most runs have one, without a name."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Protocol

from msgspec import structs

from actors.overdue import overdue_wakes
from parlor.errors import Overloaded, ParlorError, RoomMoved
from parlor.model.ids import NO_CLUSTER, ClusterId, Partition, RoomId
from parlor.rooms.commands import Command, Outcome, Refused, Wake
from parlor.rooms.forwarding import ForwardedCalls, Unanswered
from parlor.rooms.host import RoomHost
from parlor.wiring import Wiring
from tests.chaos.simulation.loop import Process

PARTITIONS = (Partition(0), Partition(2))
"""Both of the first shard, when a run begins."""
CALL_SECONDS = 5.0
"""Longest wait of the edge for an owner, before it asks another one (``actors.channel``)."""
GIVE_AWAY_SECONDS = 20.0
"""Longest wait for the reply of a room that is to be given away."""
ROUTES = 4
"""As ``actors.routing``."""


class Node(Protocol):
    """A process of a run."""

    process: Process
    wiring: Wiring


class Host(Protocol):
    """The process of a RoomActor."""

    @property
    def process(self) -> Process: ...
    @property
    def host(self) -> RoomHost: ...


class SimCluster:
    """``owners`` are the numbers of its owners among ``everybody``, whoever that is at the time; ``edge`` and
    ``supervisor`` are its other processes."""

    def __init__(
        self,
        cluster: ClusterId,
        everybody: Sequence[Host],
        owners: list[int],
        edge: Node,
        supervisor: Node,
        chance: random.Random,
    ) -> None:
        self.cluster = cluster
        self.supervisor = supervisor
        self.owners = owners
        self._everybody = everybody
        self._chance = chance
        self._edge = edge
        self._forwarder = edge.wiring.forwarder(cluster)
        self._sweeping = supervisor.wiring.forwarder(cluster)
        self._places: dict[RoomId, int] = {}
        self._known: dict[RoomId, int] = {}
        self.tasks = [supervisor.process.spawn(self._wake_overdue())]
        self._calls: ForwardedCalls | None = None
        if cluster != NO_CLUSTER:
            wiring = supervisor.wiring
            self._calls = ForwardedCalls(cluster, wiring.clusters, wiring.clock, self._serve)
            self.tasks.append(supervisor.process.spawn(self._calls.run()))

    async def ask(self, command: Command) -> Outcome:
        """As the gateway does it: to the room's place, and to another one when that does not answer; to another cluster
        when the room is there. The same command may reach several owners, the last copy of it long after the answer."""
        room_id, failed, least = command.room_id, None, 0
        known = self._known.get(room_id)
        if known is not None:
            outcome = await self._call(known, command, activate=False)
            if outcome is not None and not _moved(outcome):
                return outcome
            failed = known if outcome is None else None
            self._known.pop(room_id, None)
        for _ in range(ROUTES):
            await asyncio.sleep(0.25)
            holder = await self._edge.wiring.reader.holder(room_id)
            copy = structs.replace(command, ticket=max(holder.ticket, least))
            try:
                outcome = await self._forwarder.forward(holder.cluster, copy)
            except Unanswered:
                outcome = Refused(RoomMoved().to_wire())
            if outcome is not None:
                if not _moved(outcome):
                    return outcome
                least = max(holder.ticket, least) + 1
                continue
            place = self._place(room_id, failed)
            outcome = await self._call(place, copy, activate=True)
            if outcome is None:
                failed = place
            elif not _moved(outcome):
                self._known[room_id] = place
                return outcome
        raise Overloaded("The room is being moved", retry_after=1.0)

    def misplace(self, room_id: RoomId) -> None:
        """Another owner is asked from now on, while the one that holds the room lives."""
        self._known.pop(room_id, None)
        self._places[room_id] = self._chance.choice(self.owners)

    async def give_away(self, room_id: RoomId) -> None:
        """Its owner lets the room go between two replies, as the Supervisor asks when it gets an actor of its own; only
        then is another one asked."""
        holder = self._places.get(room_id)
        if holder is None:
            return
        owner = self._everybody[holder]
        asked = owner.process.spawn(owner.host.give_away(room_id, GIVE_AWAY_SECONDS))
        done, _ = await asyncio.wait({asked}, timeout=GIVE_AWAY_SECONDS + CALL_SECONDS)
        if done and asked.result():
            others = [number for number in self.owners if number != holder]
            self._places[room_id] = self._chance.choice(others)

    async def drain(self, seconds: float) -> None:
        """As the Supervisor does it while another cluster lives."""
        owners = [self._everybody[number] for number in self.owners]
        leaving = [owner.process.spawn(owner.host.leave(seconds)) for owner in owners if not owner.process.killed]
        if leaving:
            await asyncio.wait(leaving, timeout=seconds + CALL_SECONDS)
        for task in self.tasks:
            task.cancel()
        if self._calls is not None:
            closing = self.supervisor.process.spawn(self._calls.close())
            await asyncio.wait({closing}, timeout=CALL_SECONDS)

    async def _serve(self, command: Command) -> Outcome:
        """As the Supervisor does it (``actors.clusters``)."""
        place = self._place(command.room_id, None)
        outcome = await self._call(place, command, activate=True)
        if outcome is None:
            self._place(command.room_id, place)
            return Refused(RoomMoved().to_wire())
        return outcome

    async def _call(self, place: int, command: Command, *, activate: bool) -> Outcome | None:
        """None: no answer in time; it may have happened, or happen later."""
        await asyncio.sleep(self._chance.uniform(0.0005, 0.005))
        owner = self._everybody[place]
        served = owner.process.spawn(owner.host.execute([command], activate=activate))
        done, _ = await asyncio.wait({served}, timeout=0.05 if owner.process.killed else CALL_SECONDS)
        return served.result()[0] if done else None

    def _place(self, room_id: RoomId, failed: int | None) -> int:
        if room_id not in self._places or self._places[room_id] == failed:
            others = [number for number in self.owners if number != failed]
            self._places[room_id] = self._chance.choice(others)
        return self._places[room_id]

    async def _wake_overdue(self) -> None:
        """The Supervisor's sweep."""
        while True:
            await asyncio.sleep(1.0)
            reader, elsewhere = self.supervisor.wiring.reader, self._sweeping.elsewhere
            if self.cluster != NO_CLUSTER:
                try:
                    for wake in await overdue_wakes(reader, PARTITIONS, elsewhere):
                        await self._call(self._place(wake.room_id, None), wake, activate=True)
                except ParlorError:
                    pass  # The next sweep may do better.
                continue
            for partition in PARTITIONS:
                try:
                    for room_id in await reader.overdue_rooms(partition, 100):
                        await self.ask(Wake(None, room_id, "sweep"))
                except ParlorError:
                    continue  # The next sweep may do better.


def _moved(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.error.kind == RoomMoved.__name__

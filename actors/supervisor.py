"""Supervisor: makes all other actors, knows where rooms live, sweeps up what an owner left unfinished."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import structlog
from ray.exceptions import RayActorError

from actors.contracts import SUPERVISOR, ActorStatus, InstallationStatus, QueueStatus
from actors.handles import Handle, this_node
from actors.logs import configure_logs
from actors.pools import Pools
from parlor.assembly import Assembly
from parlor.cache.queue import WriterQueue
from parlor.commands import Wake, encode_commands
from parlor.errors import ParlorError
from parlor.ids import Partition, RoomId
from parlor.placement import PlacementBook
from parlor.settings import Settings

_log = structlog.get_logger(__name__)

SWEEP_SECONDS = 1.0
"""Between two sweeps: an owner's death is noticed by the second, and replies go on within a few."""
ANSWER_SECONDS = 5.0
"""Longest wait for an actor's status."""
START_SECONDS = 60.0
"""Longest wait for an actor to start: on a cluster, a node may have to be added for it."""
OVERDUE_AT_ONCE = 100
"""Rooms of one partition that one sweep wakes."""


class Supervisor:
    """See ``actors.contracts.SupervisorContract``."""

    def __init__(self, settings_json: str) -> None:
        self._settings = Settings.model_validate_json(settings_json)
        self._pools = Pools(self._settings, settings_json)
        self._book = PlacementBook(self._settings.rooms.max_rooms_per_actor)
        self._assembly: Assembly | None = None
        self._starting: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._draining = False
        configure_logs(self._settings.log, SUPERVISOR)

    async def ready(self) -> None:
        await self._started()

    async def place_room(self, room_id: RoomId, failed: str | None) -> str | None:
        """None when every actor is full."""
        await self._started()
        if failed is not None and await self._answers(failed):
            failed = None
        try:
            actor = self._book.place(room_id, failed)
        except ParlorError:
            return None
        self._grow()
        return actor

    async def state_machine_names(self) -> dict[str, str]:
        await self._started()
        return dict(self._pools.state_machine_of_node)

    async def status(self) -> InstallationStatus:
        await self._started()
        actors, queues, services = await asyncio.gather(self._actors(), self._queues(), self._services())
        return InstallationStatus(self._settings.ray.namespace, actors, queues, services)

    async def drain(self, seconds: float) -> None:
        self._draining = True
        await self._started()
        rooms = [handle.drain.remote(seconds) for handle in self._pools.rooms.values()]
        await _settle(rooms, seconds + ANSWER_SECONDS)
        # After the rooms: what they queued at their end is flushed too.
        await _settle([handle.stop.remote() for handle in self._pools.writers.values()], seconds + ANSWER_SECONDS)

    # Start

    async def _started(self) -> None:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        try:
            await asyncio.shield(self._starting)
        except Exception:
            # The next caller tries again.
            if self._starting.done():
                self._starting = None
            raise

    async def _start(self) -> None:
        if self._assembly is None:
            self._assembly = await Assembly.open(self._settings)
        store = self._assembly.store
        self._pools.ensure_state_machines()
        for number in range(self._settings.rooms.actors_min):
            self._book.add_actor(self._pools.ensure_room_actor(number))
        writers = self._settings.ray.writers_per_shard
        for shard in store.shard_ids():
            partitions = await store.partitions_of(shard)
            for number in range(writers):
                self._pools.ensure_writer(shard, number, partitions[number::writers])
        handles = [*self._pools.state_machines.values(), *self._pools.rooms.values(), *self._pools.writers.values()]
        async with asyncio.timeout(START_SECONDS):
            await asyncio.gather(*(handle.status.remote() for handle in handles))
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep_for_ever())

    def _grow(self) -> None:
        """One more RoomActor when all are taken, up to the most; the room that asked does not wait for it."""
        if self._book.all_taken and len(self._pools.rooms) < self._settings.rooms.actors_max:
            self._book.add_actor(self._pools.ensure_room_actor(len(self._pools.rooms)))

    # Sweeps

    async def _sweep_for_ever(self) -> None:
        while not self._draining:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self._sweep()
            except ParlorError as error:
                _log.warning("sweep_delayed", code=error.code, debug=error.debug)
            except Exception:  # noqa: BLE001 - the next sweep may do better
                _log.exception("sweep_failed")

    async def _sweep(self) -> None:
        await asyncio.to_thread(self._pools.ensure_state_machines)
        # Asking for its status also makes a restarted writer begin.
        for status in await self._actors():
            if status.kind == "RoomActor" and status.alive:
                self._book.reported(status.name, [RoomId(room) for room in status.rooms])
        await self._wake_overdue()

    async def _wake_overdue(self) -> None:
        """Rooms with unfinished replies whose owner was not heard of in time get an owner."""
        assert self._assembly is not None  # noqa: S101 - sweeps begin after the start
        reader, store = self._assembly.reader, self._assembly.store
        partitions = [partition for shard in store.shard_ids() for partition in await store.partitions_of(shard)]
        found = await asyncio.gather(*(reader.overdue_rooms(partition, OVERDUE_AT_ONCE) for partition in partitions))
        for room_id in (room for rooms in found for room in rooms):
            actor = self._book.place(room_id)
            blob = encode_commands([Wake(None, room_id, "sweep")])
            await _settle([self._pools.rooms[actor].execute.remote(blob, True)], ANSWER_SECONDS)

    # Status

    async def _answers(self, actor: str) -> bool:
        handle = self._pools.rooms.get(actor)
        if handle is None:
            return False
        try:
            async with asyncio.timeout(1.0):
                await handle.status.remote()
        except (RayActorError, TimeoutError):
            return False
        return True

    async def _actors(self) -> list[ActorStatus]:
        kinds = {
            "RoomActor": self._pools.rooms,
            "ShardWriter": self._pools.writers,
            "StateMachine": self._pools.state_machines,
        }
        asked = [(kind, name, handle) for kind, handles in kinds.items() for name, handle in handles.items()]
        found = await asyncio.gather(*(_status(kind, name, handle) for kind, name, handle in asked))
        node = this_node()
        return [ActorStatus(SUPERVISOR, "Supervisor", os.getpid(), node, True), *found]

    async def _queues(self) -> list[QueueStatus]:
        assert self._assembly is not None  # noqa: S101 - asked after the start
        assembly, now = self._assembly, time.time_ns() // 1_000_000
        queue = WriterQueue(assembly.live, self._settings.redis)
        try:

            async def one(shard: int, partition: Partition) -> QueueStatus:
                depth, oldest, dead = await queue.depth(partition)
                lag = max(0, now - oldest) / 1000 if oldest else 0.0
                return QueueStatus(int(partition), shard, depth, lag, dead)

            places = [(s, p) for s in assembly.store.shard_ids() for p in await assembly.store.partitions_of(s)]
            return list(await asyncio.gather(*(one(shard, partition) for shard, partition in places)))
        except ParlorError as error:
            _log.warning("queues_unknown", code=error.code, debug=error.debug)
            return []
        finally:
            await queue.close()

    async def _services(self) -> dict[str, str]:
        assert self._assembly is not None  # noqa: S101 - asked after the start
        return {health.name: "ok" if health.ok else health.detail for health in await self._assembly.health()}

    def __repr__(self) -> str:
        return "Supervisor"


async def _status(kind: str, name: str, handle: Handle) -> ActorStatus:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found: ActorStatus = await handle.status.remote()
    except (RayActorError, TimeoutError):
        return ActorStatus(name, kind, 0, "", alive=False)
    return found


async def _settle(calls: list[Any], seconds: float) -> None:
    """Waits for calls whose failure is somebody else's to notice."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(*calls, return_exceptions=True)
    except TimeoutError:
        _log.warning("actors_slow", seconds=seconds)

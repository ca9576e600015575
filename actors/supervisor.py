"""Supervisor: creates all other actors, knows where rooms live, and wakes rooms whose owner left work unfinished.

Nothing here waits for an actor that has to wait for a node: only actors that pass the liveness check are relied on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import structlog
from ray.exceptions import RayError

from actors.assignment import Assignments, Writers, assigned
from actors.clusters import Clusters
from actors.contracts import STATE_MACHINE, SUPERVISOR, ActorsFailed, ActorStatus, InstallationStatus
from actors.graduation import Graduation
from actors.handles import this_node
from actors.liveness import HUNG_SECONDS, LivenessCheck
from actors.logs import observe
from actors.nodes import alive_nodes, draining_nodes
from actors.once import Once
from actors.overdue import by_actor, overdue_wakes
from actors.pools import Pools, state_machine_name
from actors.process import ActorProcess
from actors.processors import Processors
from actors.renewal import Renewal
from actors.replicas import announced
from actors.report import queue_statuses, service_statuses
from actors.status import ask_started, ask_status, settle
from parlor.clock import SystemClock
from parlor.errors import ForeignCache, ParlorError, ShardBehind
from parlor.model.ids import RoomId, ShardId
from parlor.rooms.commands import encode_commands
from parlor.rooms.own_actors import is_own, most_own_actors
from parlor.rooms.pool import RoomPool
from parlor.wiring import Wiring

_log = structlog.get_logger(__name__)

SWEEP_SECONDS = 1.0
"""Seconds between two sweeps. An owner's death is noticed within one, and its replies go on within a few."""
BUDGETS_SECONDS = 10.0
"""Seconds between two looks at what accounts have reserved: what nothing needs any more is found within a minute."""
DOUBT_SECONDS = 0.5
"""Seconds in which an actor has to answer after a caller has reported it as failed."""
PATIENCE_SECONDS = 4.0
"""Longest wait for a RoomActor when none answers: if the only one has died, it is restarted by then, on a busy machine
too. Below the longest wait of those who ask (``actors.routing.PLACE_SECONDS``)."""
ANSWER_SECONDS = 5.0
"""Longest wait for an actor that is known to answer."""
OWN_LEAVES_SECONDS = 600.0
"""Longest wait for the reply of a room that gives its own actor back."""
REST_SECONDS = 15.0
"""Seconds that the rest of the pools has to start, once one actor of each has."""


class Supervisor:
    """See ``actors.contracts.SupervisorContract``."""

    def __init__(self, settings_json: str) -> None:
        self._process = ActorProcess(SUPERVISOR, "Supervisor", settings_json)
        self._settings = self._process.settings
        self._clock = SystemClock()
        self._pools = Pools(self._settings, self._process.settings_json)
        bound = self._settings.ray.placement == "resources"
        own = 0 if bound else most_own_actors(self._settings.rooms)
        self._rooms = RoomPool(self._settings.rooms, self._clock, own)
        self._graduation = Graduation(self._rooms, self._pools, self._change, self._claims, Processors().are_busy)
        self._liveness = LivenessCheck(self._clock, self._answered, self._rooms.silent)
        parts = (self._pools, self._rooms, self._liveness, self._graduation, self._change, self._retire)
        self._renewal = Renewal(*parts, bound=bound)
        self._clusters = Clusters(self._process.cluster, self.place_room, self._pools.rooms)
        self._changing = asyncio.Lock()
        self._pool_may_grow = asyncio.Event()
        """Set when the pool may have to grow, so that this does not wait for the next sweep."""
        self._wiring: Wiring | None = None
        self._started = Once(self._start)
        self._sweeping: list[asyncio.Task[None]] = []
        self._retiring: dict[str, asyncio.Task[None]] = {}
        self._writers: Writers = {}
        """Empty until the partition map has been read."""
        self._assignments = Assignments()
        self._writers_wait_for = "the partition map"
        self._nodes_draining: set[str] = set()
        self._budgets_due = 0.0
        self._draining = False
        observe(self._settings, SUPERVISOR)

    async def ready(self) -> None:
        await self._started()
        await self._liveness.until(lambda: not self._missing() or bool(self._liveness.hopeless()))
        if self._missing():
            raise ActorsFailed("; ".join(self._liveness.hopeless()))
        try:
            async with asyncio.timeout(REST_SECONDS):
                await self._liveness.until(lambda: all(map(self._liveness.has_answered, self._pools.all)))
        except TimeoutError:
            _log.warning("pools_incomplete", waiting=[n for n in self._pools.all if not self._liveness.has_answered(n)])

    async def missing(self) -> list[str]:
        await self._started()
        return self._missing()

    async def place_room(self, room_id: RoomId, failed: str | None) -> str | None:
        """Returns None when every actor is full, or none answers within ``PATIENCE_SECONDS``."""
        await self._started()
        if failed is not None and await self._answers(failed):
            failed = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._liveness.until(lambda: bool(self._rooms.answering))
        try:
            actor = self._rooms.place(room_id, failed)
        except ParlorError:
            return None
        finally:
            if self._rooms.lacking(self._nodes_draining):
                self._pool_may_grow.set()
        return actor

    async def state_machine_for(self, node: str) -> str:
        await self._started()
        if node == this_node() or node in self._nodes_draining:
            return self._renewal.instead_of(STATE_MACHINE)
        await self._ensure_state_machine(node)
        return self._renewal.instead_of(state_machine_name(node, first=False))

    async def status(self) -> InstallationStatus:
        wiring = await self._started()
        actors, queues, services = await asyncio.gather(
            self._actors(), queue_statuses(wiring), service_statuses(wiring)
        )
        troubles = self._writer_troubles()
        for shard in {shard for shard, _, _ in self._writers.values()}:
            told = "; ".join(trouble for of_shard, trouble in troubles if of_shard == shard)
            services[f"writers:shard{shard}"] = told or "ok"
        if not self._writers:
            services["writers"] = f"they wait for {self._writers_wait_for}"
        clusters = await self._clusters.known()
        return InstallationStatus(self._settings.ray.namespace, actors, queues, services, clusters)

    async def renew(self, name: str, seconds: float) -> ActorStatus | None:
        await self._started()
        return await self._renewal.renew(name, seconds)

    async def drain(self, seconds: float) -> None:
        self._draining = True
        await self._started()
        await settle([*self._sweeping, *self._retiring.values(), *self._graduation.moving], ANSWER_SECONDS)
        answering = [handle for name, handle in self._pools.rooms.items() if self._liveness.answers(name)]
        if await self._clusters.others():
            # They are served on until each can go there.
            await settle([handle.leave.remote(seconds) for handle in answering], seconds + ANSWER_SECONDS)
        await settle([handle.drain.remote(seconds) for handle in answering], seconds + ANSWER_SECONDS)
        await self._clusters.close()
        # After the rooms, so that what they queued while draining is flushed too.
        writers = [handle.stop.remote() for name, handle in self._pools.writers.items() if self._liveness.answers(name)]
        await settle(writers, seconds + ANSWER_SECONDS)

    # Start

    async def _start(self) -> Wiring:
        if self._wiring is None:
            self._wiring = await Wiring.open(self._settings)
        await self._change(self._pools.adopt)
        await self._change(partial(self._pools.ensure_state_machine, this_node(), first=True))
        await self._reconcile()
        self._clusters.begin(self._wiring)
        self._sweeping = [
            asyncio.create_task(self._for_ever(self._reconcile, self._pool_may_grow)),
            asyncio.create_task(self._for_ever(self._wake_overdue, asyncio.Event())),
            asyncio.create_task(self._for_ever(self._wiring.deletions().step, asyncio.Event())),
            asyncio.create_task(self._for_ever(self._sweep_budgets, asyncio.Event())),
        ]
        return self._wiring

    def _missing(self) -> list[str]:
        found = []
        if not self._rooms.answering:
            found.append(f"no RoomActor answers, of {len(self._pools.rooms)}{self._why(self._pools.rooms)}")
        if not self._liveness.has_answered(STATE_MACHINE):
            found.append(f"the StateMachine has not started{self._why([STATE_MACHINE])}")
        if not self._writers:
            found.append(f"the ShardWriters wait for {self._writers_wait_for}")
        started = {shard for name, (shard, _, _) in self._writers.items() if self._liveness.has_answered(name)}
        waiting = {shard for shard, _, _ in self._writers.values()} - started
        for shard in sorted(waiting):
            writers = [name for name, (its_shard, _, _) in self._writers.items() if its_shard == shard]
            found.append(f"no ShardWriter of shard {shard} has started{self._why(writers)}")
        return found + [f"shard {shard}: {trouble}" for shard, trouble in self._writer_troubles()]

    def _why(self, names: Iterable[str]) -> str:
        """The end of a sentence about actors that have not started: the first reason that is known."""
        failures = (self._liveness.failure(name) for name in names)
        return next((f": {failure}" for failure in failures if failure is not None), "")

    def _writer_troubles(self) -> list[tuple[ShardId, str]]:
        """What the writers that answer tell, by shard."""
        told = [
            (self._writers[status.name][0], f"{status.name}: {status.trouble}")
            for status in self._liveness.statuses()
            if status.alive and status.trouble and status.name in self._writers
        ]
        return sorted(told)

    # Sweeps

    async def _for_ever(self, step: Callable[[], Awaitable[None]], requested: asyncio.Event) -> None:
        """Runs a step every ``SWEEP_SECONDS``, or as soon as it is requested."""
        while not self._draining:
            try:
                async with asyncio.timeout(SWEEP_SECONDS):
                    await requested.wait()
            except TimeoutError:
                pass
            requested.clear()
            try:
                await step()
            except ParlorError as error:
                _log.warning("sweep_delayed", code=error.code, debug=error.debug)
            except Exception:  # noqa: BLE001 - the next sweep may do better
                _log.exception("sweep_failed")

    async def _reconcile(self) -> None:
        """Restarts actors that hang, creates missing ones, and ends those that are not needed or whose node is
        draining."""
        for name in self._liveness.take_hung():
            _log.warning("actor_hangs", name=name, seconds=HUNG_SECONDS)
            await self._change(partial(self._pools.restart, name))
        alive, self._nodes_draining = await asyncio.to_thread(alive_nodes), await asyncio.to_thread(draining_nodes)
        lacking = self._rooms.lacking(self._nodes_draining)
        if lacking:
            await self._change(partial(self._pools.make_room_actors, lacking))
        for name in self._rooms.let_go(self._nodes_draining):
            self._retire(name)
        await self._reconcile_writers()
        await self._reconcile_state_machines(alive)
        await self._graduation.step()

    async def _reconcile_writers(self) -> None:
        assert self._wiring is not None  # noqa: S101 - the start opened it
        store = self._wiring.store
        try:
            # Partitions move to other shards while this runs.
            await store.refresh_shard_map()
            partitions = {shard: await store.partitions_of(shard) for shard in store.shard_ids()}
        except ParlorError as error:
            # Rooms work without the databases; what they queue waits.
            self._writers_wait_for = f"the partition map: {error.detail}"
            partitions = {}
        if not self._writers and not partitions:
            return
        if not self._writers:
            try:
                await self._wiring.identity.claim()
            except (ForeignCache, ShardBehind) as error:
                # Writers would be refused, partition by partition.
                self._writers_wait_for = f"a Redis of this installation: {error.detail}"
                return
            except ParlorError as error:
                # They are made all the same, and wait for what does not answer.
                _log.warning("installation_not_checked", code=error.code, debug=error.debug)
        if partitions:
            self._writers = assigned(self._writers, partitions, self._settings.ray.writers_per_shard)
        for name, parts in self._writers.items():
            if name not in self._pools.writers:
                await self._change(partial(self._pools.ensure_writer, *parts))
        await self._tell_writers()
        for status in self._liveness.statuses():
            if status.kind == "ShardWriter" and status.alive and status.node in self._nodes_draining:
                _log.info("writer_moves", name=status.name, node=status.node)
                await settle([self._pools.writers[status.name].stop.remote()], ANSWER_SECONDS)
                await self._end(status.name)

    async def _tell_writers(self) -> None:
        """Has each writer know its partitions. Only what cannot be known is told again."""
        for name, partitions in self._assignments.due(self._writers, self._liveness.statuses()).items():
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._pools.writers[name].assign.remote(partitions)
            except (RayError, TimeoutError) as error:
                self._assignments.forget(name)
                _log.warning("writer_not_told", name=name, debug=str(error))

    async def _reconcile_state_machines(self, alive: set[str]) -> None:
        """Keeps one on each node that has RoomActors; other nodes have one from the first request until it is idle."""
        room_nodes = {
            status.node for status in self._liveness.statuses() if status.kind == "RoomActor" and status.alive
        }
        for node in (room_nodes & alive) - self._nodes_draining - {this_node()}:
            await self._ensure_state_machine(node)
        staying = {state_machine_name(node, first=False) for node in alive - self._nodes_draining}
        in_use = {state_machine_name(node, first=False) for node in room_nodes}
        idle_after = self._settings.rooms.shrink_after.total_seconds()
        for status in self._liveness.statuses():
            if status.kind != "StateMachine" or status.name == STATE_MACHINE:
                continue
            idle = status.idle_seconds >= idle_after and status.name not in in_use
            if idle or status.name not in staying:
                await self._end(status.name)

    async def _wake_overdue(self) -> None:
        """Gives an owner to rooms with unfinished replies whose owner has not renewed them in time."""
        assert self._wiring is not None  # noqa: S101 - sweeps begin after the start
        store = self._wiring.store
        partitions = [partition for shard in store.shard_ids() for partition in await store.partitions_of(shard)]
        wakes = await overdue_wakes(self._wiring.reader, partitions, self._clusters.elsewhere)
        batches = by_actor(wakes, self._rooms.place).items()
        calls = [self._pools.rooms[name].execute.remote(encode_commands(batch), True) for name, batch in batches]
        await settle(calls, ANSWER_SECONDS)

    async def _sweep_budgets(self) -> None:
        """Settles reservations that nothing needs any more, every ``BUDGETS_SECONDS``."""
        if self._clock.monotonic() < self._budgets_due:
            return
        self._budgets_due = self._clock.monotonic() + BUDGETS_SECONDS
        assert self._wiring is not None  # noqa: S101 - sweeps begin after the start
        store = self._wiring.store
        for shard in store.shard_ids():
            await self._wiring.budgets.sweep(await store.partitions_of(shard))

    # Actors

    async def _change(self, action: Callable[[], None]) -> None:
        """Changes the pools: in a thread, because Ray's calls block, and one change at a time, because its
        get-or-create is not safe to call concurrently (ray #41324)."""
        async with self._changing:
            await asyncio.to_thread(action)
        for name, (kind, handle) in self._pools.all.items():
            self._liveness.watch(name, kind, partial(ask_started, handle))
        for name in self._pools.rooms.keys() - self._rooms.names:
            self._rooms.add(name)

    async def _claims(self, room: RoomId) -> int:
        return await (await self._started()).reader.claims(room)

    async def _ensure_state_machine(self, node: str) -> None:
        if state_machine_name(node, first=False) not in self._pools.state_machines:
            await self._change(partial(self._pools.ensure_state_machine, node, first=False))

    def _retire(self, name: str, seconds: float | None = None) -> asyncio.Task[None]:
        """Moves an actor's rooms elsewhere, then ends it."""
        if name not in self._retiring:
            if seconds is None:
                # A room that only gives its own actor back can wait for the end of its reply.
                patient = is_own(name) and not self._nodes_draining
                seconds = OWN_LEAVES_SECONDS if patient else self._settings.rooms.drain_timeout.total_seconds()
            task = self._retiring[name] = asyncio.create_task(self._drain_and_end(name, seconds))
            task.add_done_callback(partial(self._retired, name))
        return self._retiring[name]

    async def _drain_and_end(self, name: str, seconds: float) -> None:
        _log.info("room_actor_leaves", name=name)
        if self._liveness.answers(name):
            await settle([self._pools.rooms[name].leave.remote(seconds)], seconds + ANSWER_SECONDS)
        await self._end(name)
        self._rooms.remove(name)

    def _retired(self, name: str, task: asyncio.Task[None]) -> None:
        del self._retiring[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("room_actor_stays", name=name, exc_info=error)

    async def _end(self, name: str) -> None:
        self._liveness.forget(name)
        await self._change(partial(self._pools.end, name))

    def _answered(self, status: ActorStatus) -> None:
        if status.kind == "RoomActor":
            if status.leaving:
                # Perhaps an earlier Supervisor began to retire it.
                self._rooms.silent(status.name)
                self._retire(status.name)
            else:
                rooms = [RoomId(room) for room in status.rooms]
                self._rooms.answered(status.name, status.node, rooms, status.served)

    async def _answers(self, actor: str) -> bool:
        handle = self._pools.rooms.get(actor)
        if handle is None or not self._liveness.answers(actor):
            return False
        return await ask_status(handle, DOUBT_SECONDS) is not None

    async def _actors(self) -> list[ActorStatus]:
        """Returns the present status of actors that answer, and the last known one of the others."""
        known = {status.name: status for status in self._liveness.statuses()}
        asked = [name for name, status in known.items() if status.alive and name in self._pools.all]
        found = await asyncio.gather(*(ask_status(self._pools.all[name][1], ANSWER_SECONDS) for name in asked))
        known |= {status.name: status for status in found if status is not None}
        replicas = await asyncio.to_thread(announced, self._settings.ray.namespace)
        return [self._process.status(), *known.values(), *replicas]

    def __repr__(self) -> str:
        return "Supervisor"

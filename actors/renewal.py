"""Giving an actor a new process, which runs the code that is installed by then: what `parlor upgrade` asks for, one
actor after the other.

Rooms are handed over as they are when they graduate, each between two of its replies, before their actor ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from ray.exceptions import RayError

from actors.contracts import STATE_MACHINE, ActorsFailed, ActorStatus
from actors.graduation import Change, Graduation
from actors.handles import this_node
from actors.liveness import LivenessCheck
from actors.pools import Pools, state_machine_name
from actors.status import ask_status
from parlor.model.ids import RoomId
from parlor.rooms.own_actors import is_own
from parlor.rooms.pool import RoomPool

_log = structlog.get_logger(__name__)

START_SECONDS = 60.0
"""Longest wait for the first answer of a new process, on a busy machine too."""
ANSWER_SECONDS = 5.0
"""Longest wait for an answer of the old one."""
STOP_SECONDS = 30.0
"""Longest wait for a ShardWriter to commit what it has."""
AT_ONCE = 20
"""Rooms that are handed over side by side."""
ROUNDS = 5
"""Looks at which rooms an actor still has; what is left then leaves without a hand-over."""

Retire = Callable[[str, float], Awaitable[object]]
"""Has a RoomActor leave within so many seconds, and ends it."""


class Renewal:
    """One actor at a time: a second call waits for the first."""

    def __init__(
        self,
        pools: Pools,
        rooms: RoomPool,
        liveness: LivenessCheck,
        graduation: Graduation,
        change: Change,
        retire: Retire,
        *,
        bound: bool = False,
    ) -> None:
        """``bound``: RoomActors take a resource of their node, so that there may be no place for one more."""
        self._pools = pools
        self._rooms = rooms
        self._liveness = liveness
        self._graduation = graduation
        self._change = change
        self._retire = retire
        self._bound = bound
        self._one = asyncio.Lock()
        self._stand_ins: dict[str, str] = {}

    def instead_of(self, name: str) -> str:
        """The StateMachine to call: another one while this one is replaced."""
        return self._stand_ins.get(name, name)

    async def renew(self, name: str, seconds: float) -> ActorStatus | None:
        """See ``SupervisorContract.renew``."""
        async with self._one:
            kind, _ = self._pools.all.get(name, ("", None))
            _log.info("actor_renewed", name=name)
            match kind:
                case "RoomActor" if is_own(name):
                    return await self._own_actor(name, seconds)
                case "RoomActor":
                    return await self._shared_actor(name, seconds)
                case "ShardWriter":
                    return await self._writer(name)
                case "StateMachine":
                    return await self._state_machine(name)
                case _:
                    return None

    async def _shared_actor(self, name: str, seconds: float) -> ActorStatus:
        """Another one of the pool takes its rooms, and it leaves."""
        others = [one for one in self._rooms.answering if one != name]
        if self._bound and others:
            return await self._in_place(name, others, seconds)
        before = set(self._pools.rooms)
        await self._change(partial(self._pools.make_room_actors, 1))
        (successor,) = set(self._pools.rooms) - before
        try:
            status = await self._started(successor)
        except ActorsFailed:
            # Nobody relies on it yet.
            self._liveness.forget(successor)
            await self._change(partial(self._pools.end, successor))
            self._rooms.remove(successor)
            raise
        await self._empty(name, [successor], seconds)
        self._rooms.dismiss(name)
        await self._retire(name, 0.0)
        return status

    async def _in_place(self, name: str, others: Sequence[str], seconds: float) -> ActorStatus:
        """The others of the pool take its rooms, and it gets a new process; or one that waited for a node takes its
        place, for Ray gives it to whoever asked first."""
        await self._empty(name, others, seconds)
        waiting = self._pools.rooms.keys() - {name, *others}
        status = await self._again(name, *waiting)
        if status.name != name:
            self._rooms.dismiss(name)
            await self._retire(name, 0.0)
        return status

    async def _own_actor(self, name: str, seconds: float) -> ActorStatus:
        """Its room is shared until the new process answers; then it moves in again like any other."""
        with self._graduation.paused(name):
            shared = self._rooms.answering
            if shared:
                await self._empty(name, shared[:1], seconds)
            return await self._again(name)

    async def _state_machine(self, name: str) -> ActorStatus:
        """The first one stands in for those of other nodes, and one that is made for it for the first."""
        helper = STATE_MACHINE
        if name == STATE_MACHINE:
            helper = state_machine_name(this_node(), first=False)
            await self._change(partial(self._pools.ensure_state_machine, this_node(), first=False))
            await self._started(helper)
        self._stand_ins[name] = helper
        try:
            return await self._again(name)
        finally:
            del self._stand_ins[name]
            if helper != STATE_MACHINE:
                self._liveness.forget(helper)
                await self._change(partial(self._pools.end, helper))

    async def _writer(self, name: str) -> ActorStatus:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._pools.writers[name].stop.remote()
        except (RayError, TimeoutError) as error:
            # The next one goes on where the shard's watermark says, whatever this one did last.
            _log.warning("writer_not_stopped", name=name, debug=repr(error))
        return await self._again(name)

    async def _again(self, name: str, *instead: str) -> ActorStatus:
        """The same actor in a new process, or one of those that may come instead."""
        _, handle = self._pools.all[name]
        last = await ask_status(handle, ANSWER_SECONDS)
        await self._change(partial(self._pools.restart, name))
        return await self._started(name, 0 if last is None else last.pid, *instead)

    async def _started(self, name: str, before: int = 0, *instead: str) -> ActorStatus:
        """Its status once it answers from another process than ``before``, or that of one of ``instead`` when that is
        quicker. Raises ``ActorsFailed``."""

        def found() -> ActorStatus | None:
            return next(
                (
                    one
                    for one in self._liveness.statuses()
                    if one.name in (name, *instead)
                    and one.alive
                    and one.started
                    and one.pid not in ((0, before) if one.name == name else (0,))
                ),
                None,
            )

        def hopeless() -> list[str]:
            return [reason for reason in self._liveness.hopeless() if reason.startswith(f"{name}: ")]

        try:
            async with asyncio.timeout(START_SECONDS):
                await self._liveness.until(lambda: found() is not None or bool(hopeless()))
        except TimeoutError:
            why = self._liveness.failure(name) or "it does not answer"
            raise ActorsFailed(f"{name} did not start within {START_SECONDS:g} s: {why}") from None
        if (status := found()) is None:
            raise ActorsFailed("; ".join(hopeless()))
        return status

    async def _empty(self, name: str, successors: Sequence[str], seconds: float) -> None:
        """Hands its rooms over, to each of the successors in turn; what is left are those whose reply takes longer, and
        those of an actor that does not answer."""
        gate = asyncio.Semaphore(AT_ONCE)
        left: set[RoomId] = set()

        async def one(room: RoomId, successor: str) -> None:
            async with gate:
                if not await self._graduation.hand_over(room, name, successor, seconds):
                    left.add(room)

        for _ in range(ROUNDS):
            status = await ask_status(self._pools.rooms[name], ANSWER_SECONDS)
            rooms = [RoomId(room) for room in status.rooms] if status is not None else []
            if not (moving := [room for room in rooms if room not in left]):
                break
            async with asyncio.TaskGroup() as group:
                for number, room in enumerate(moving):
                    group.create_task(one(room, successors[number % len(successors)]))
        if left:
            _log.warning("rooms_leave_during_a_reply", name=name, count=len(left), rooms=sorted(left)[:10])

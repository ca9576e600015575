"""Who watches the Supervisor, which watches everybody else: the first StateMachine, the other actor there is one of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from ray.exceptions import RayError

from actors.contracts import SUPERVISOR, ActorStatus
from actors.handles import Handle, find_actor, start_again
from actors.liveness import HUNG_SECONDS, STEP_SECONDS, LivenessCheck
from parlor.clock import Clock

_log = structlog.get_logger(__name__)


async def watch_supervisor(namespace: str, clock: Clock, restart: Callable[[Handle], None] = start_again) -> None:
    """Has Ray start it again when it stands still; runs until it is cancelled. ``restart`` may block."""
    supervisor: Handle | None = None

    async def ask() -> ActorStatus | None:
        nonlocal supervisor
        try:
            if supervisor is None:
                supervisor = await find_actor(SUPERVISOR, namespace)
            await supervisor.missing.remote()
        except (RayError, ValueError):
            # Dead, being started, or gone; the next one of its name is another actor.
            supervisor = None
            return None
        return ActorStatus(SUPERVISOR, "Supervisor", 0, "", True)

    liveness = LivenessCheck(clock, _nothing, _nothing)
    liveness.watch(SUPERVISOR, "Supervisor", ask)
    try:
        while True:
            await clock.sleep(STEP_SECONDS)
            if liveness.take_hung() and supervisor is not None:
                _log.warning("actor_hangs", name=SUPERVISOR, seconds=HUNG_SECONDS)
                await asyncio.to_thread(restart, supervisor)
    finally:
        await liveness.close()


def _nothing(_: object) -> None:
    """Only whether it hangs is asked for."""

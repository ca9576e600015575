"""Asking a pooled actor how it is, and having it start if it has not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable

import structlog
from ray.exceptions import RayActorError, RayError, RayTaskError

from actors.contracts import ActorStatus
from actors.handles import Handle
from actors.liveness import NotStarted
from parlor.errors import ParlorError

TRIES = 3
"""Failures in a row after which an actor whose start fails, for another reason than an outage, is given up."""

_log = structlog.get_logger(__name__)


async def ask_status(handle: Handle, seconds: float | None = None) -> ActorStatus | None:
    """Its status; None when it is dead, being restarted, or silent for so long."""
    try:
        async with asyncio.timeout(seconds):
            found: ActorStatus = await handle.status.remote()
    except (RayError, TimeoutError):
        return None
    return found


async def ask_started(handle: Handle) -> ActorStatus | None:
    """Its status once it has started; None when it is dead or being restarted. Raises ``NotStarted``.

    An actor that Ray has restarted is a new process: it knows its name, and has begun nothing.
    """
    try:
        found: ActorStatus = await handle.status.remote()
        if not found.started:
            await handle.start.remote()
            found = await handle.status.remote()
    except RayTaskError as error:
        reason = task_failure(error)
        _log.warning("actor_not_started", error=reason)
        raise NotStarted(reason, math.inf if isinstance(error.cause, ParlorError) else TRIES) from error
    except RayActorError as error:
        if not error.actor_init_failed:
            return None
        # Ray does not try again, whatever `max_restarts` says.
        reason = constructor_failure(error)
        _log.error("actor_not_made", error=reason)
        raise NotStarted(reason, 1) from error
    except RayError:
        return None
    return found


async def settle(calls: list[Awaitable[object]], seconds: float) -> None:
    """Waits for calls; the liveness check or the next sweep deals with those that fail."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(*calls, return_exceptions=True)
    except TimeoutError:
        _log.warning("actors_slow", seconds=seconds)


def counted(count: int, noun: str) -> str:
    """A number of things, as in an actor's representation."""
    if count != 1:
        noun = f"{noun.removesuffix('y')}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun}"


def task_failure(error: RayTaskError) -> str:
    """What a method raised, in one line."""
    cause = error.cause
    if isinstance(cause, ParlorError):
        return f"{cause.detail} {cause.debug}".rstrip()
    return f"{type(cause).__name__}: {cause}"


def constructor_failure(error: RayActorError) -> str:
    """What a constructor raised, in one line: the last one of the traceback, which Ray passes on as text."""
    return (error.error_msg.strip().splitlines() or [type(error).__name__])[-1].strip()

"""Asking a pooled actor how it is, and having it start if it has not."""

from __future__ import annotations

import asyncio

import structlog
from ray.exceptions import RayError, RayTaskError

from actors.contracts import ActorStatus
from actors.handles import Handle

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
    """Its status once it has started; None when it is dead, being restarted, or cannot start.

    An actor that Ray has restarted is a new process: it knows its name, and has begun nothing.
    """
    try:
        found: ActorStatus = await handle.status.remote()
        if not found.started:
            await handle.start.remote()
            found = await handle.status.remote()
    except RayTaskError as error:
        _log.warning("actor_not_started", error=str(error.cause))
        return None
    except RayError:
        return None
    return found

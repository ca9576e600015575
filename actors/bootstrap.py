"""What the command line asks of the actors: be there, tell how it goes, stop. Ray is initialised by the caller."""

from __future__ import annotations

import ray
import structlog

from actors.contracts import SUPERVISOR, InstallationStatus
from actors.handles import Handle, find_actor_blocking
from actors.supervisor import Supervisor
from parlor.settings import Settings

_log = structlog.get_logger(__name__)

READY_SECONDS = 120.0
"""Longest wait for the pools; on a cluster, nodes may have to be added for them."""
STATUS_SECONDS = 30.0


def ensure_supervisor(settings: Settings) -> Handle:
    """The installation's Supervisor, made if need be; returns when all pools answer. Raises ``ray.exceptions.RayError``
    (``GetTimeoutError`` when they do not in time)."""
    supervisor: Handle = (
        ray.remote(Supervisor)
        .options(
            name=SUPERVISOR,
            namespace=settings.ray.namespace,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=1000,
        )
        .remote(settings.dump_secrets())
    )
    ray.get(supervisor.ready.remote(), timeout=READY_SECONDS)
    return supervisor


def status(settings: Settings) -> InstallationStatus:
    """Raises ``ValueError`` when there is no Supervisor, ``ray.exceptions.RayError`` when it does not answer."""
    supervisor = find_actor_blocking(SUPERVISOR, settings.ray.namespace)
    found: InstallationStatus = ray.get(supervisor.status.remote(), timeout=STATUS_SECONDS)
    return found


def shut_down(settings: Settings, timeout_s: float) -> None:
    """Drains the rooms and the queues, then ends every actor; harmless when there is none."""
    try:
        supervisor = find_actor_blocking(SUPERVISOR, settings.ray.namespace)
    except ValueError:
        return
    try:
        names = [actor.name for actor in ray.get(supervisor.status.remote(), timeout=STATUS_SECONDS).actors]
        ray.get(supervisor.drain.remote(timeout_s), timeout=3 * timeout_s + STATUS_SECONDS)
    except ray.exceptions.RayError as error:
        # What is not drained stays in Redis and is taken up at the next start.
        _log.warning("not_drained", error=repr(error))
        names = [SUPERVISOR]
    # The Supervisor first: it would make the others again.
    for name in sorted(names, key=lambda other: other != SUPERVISOR):
        try:
            ray.kill(find_actor_blocking(name, settings.ray.namespace), no_restart=True)
        except ValueError:
            continue

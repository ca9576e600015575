"""What the command line asks of the actors: be there, tell how it goes, stop. Ray is initialised by the caller."""

from __future__ import annotations

import time
from collections.abc import Callable

import ray
import structlog

from actors.contracts import SUPERVISOR, ActorsFailed, ActorStatus, InstallationStatus
from actors.handles import Handle, find_actor_blocking, start_again
from actors.nodes import HEAD_RESOURCE
from actors.pools import installed_actors
from actors.process import forget_latest_settings
from actors.status import constructor_failure, task_failure
from actors.supervisor import Supervisor
from parlor.settings import Settings

_log = structlog.get_logger(__name__)

AGAIN_SECONDS = 0.25
"""Seconds between the death of the Supervisor and the next question: Ray needs about that to start a process."""
STATUS_SECONDS = 30.0
"""Longest wait for an answer of the Supervisor."""
_RENEW_SECONDS = 180.0
"""For the replacement of one actor, beyond the patience with its replies."""


def obtain_supervisor(settings: Settings) -> Handle:
    """The installation's Supervisor, made if need be; it may not have started yet. Safe to call from several processes
    at once: a name in a namespace is given once. An existing one keeps the settings that it was made with."""
    supervisor: Handle = (
        ray.remote(Supervisor)
        .options(
            name=SUPERVISOR,
            namespace=settings.ray.namespace,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            # On the head: elsewhere it would keep a node from being removed, and could die alone.
            resources={HEAD_RESOURCE: 0.001},
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=1000,
        )
        .remote(settings.dump_secrets())
    )
    return supervisor


def ensure_supervisor(
    settings: Settings, monotonic: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> Handle:
    """Obtains the Supervisor and waits until every pool has started. A Supervisor that dies meanwhile is waited for
    again, because Ray starts it again. Raises ``ActorsFailed`` when an actor cannot start, and ``TimeoutError``, which
    says what is missing, after ``ray.start_timeout``."""
    seconds = settings.ray.start_timeout.total_seconds()
    deadline = monotonic() + seconds
    while True:
        supervisor = obtain_supervisor(settings)
        try:
            ray.get(supervisor.ready.remote(), timeout=max(0.0, deadline - monotonic()))
        except ray.exceptions.GetTimeoutError as error:
            raise TimeoutError(f"not ready within {seconds:g} s: {_missing(supervisor)}") from error
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ActorsFailed):
                raise ActorsFailed(str(error.cause)) from error
            raise ActorsFailed(f"{SUPERVISOR}: {task_failure(error)}") from error
        except ray.exceptions.RayActorError as error:
            if error.actor_init_failed:
                raise ActorsFailed(f"{SUPERVISOR}: {constructor_failure(error)}") from error
            _log.warning("supervisor_died_at_the_start", error=str(error))
            if monotonic() >= deadline:
                raise TimeoutError(f"not ready within {seconds:g} s: the Supervisor died again and again") from error
            sleep(AGAIN_SECONDS)
        else:
            return supervisor


def _missing(supervisor: Handle) -> str:
    try:
        found: list[str] = ray.get(supervisor.missing.remote(), timeout=STATUS_SECONDS)
    except ray.exceptions.RayTaskError as error:
        return f"{SUPERVISOR}: {task_failure(error)}"
    except ray.exceptions.RayError as error:
        return f"the Supervisor does not answer: {type(error).__name__}"
    return "; ".join(found) or "slow"


def status(settings: Settings) -> InstallationStatus:
    """Raises ``ValueError`` when there is no Supervisor, ``ray.exceptions.RayError`` when it does not answer."""
    supervisor = find_actor_blocking(SUPERVISOR, settings.ray.namespace)
    found: InstallationStatus = ray.get(supervisor.status.remote(), timeout=STATUS_SECONDS)
    return found


class RayFleet:
    """See ``actors.upgrade.Fleet``; without the replicas, which are Serve's."""

    def __init__(self, settings: Settings, patience: float) -> None:
        """``patience``: seconds for the end of a reply."""
        self._settings = settings
        self._patience = patience

    def statuses(self) -> list[ActorStatus]:
        try:
            return status(self._settings).actors
        except (ValueError, ray.exceptions.RayError) as error:
            raise ActorsFailed(f"the Supervisor does not answer: {error}") from error

    def restart_supervisor(self) -> None:
        before = self._process()
        start_again(find_actor_blocking(SUPERVISOR, self._settings.ray.namespace))
        deadline = time.monotonic() + self._settings.ray.start_timeout.total_seconds()
        while self._process() in (None, before):
            if time.monotonic() > deadline:
                raise ActorsFailed("the Supervisor did not start again")
            time.sleep(AGAIN_SECONDS)
        try:
            ensure_supervisor(self._settings)
        except TimeoutError as error:
            raise ActorsFailed(f"the new Supervisor is {error}") from error

    def _process(self) -> int | None:
        """The Supervisor's; None while it does not answer."""
        try:
            return next((one.pid for one in status(self._settings).actors if one.kind == "Supervisor"), None)
        except (ValueError, ray.exceptions.RayTaskError) as error:
            raise ActorsFailed(f"the Supervisor: {error}") from error
        except ray.exceptions.RayActorError as error:
            if error.actor_init_failed:
                raise ActorsFailed(f"the Supervisor: {constructor_failure(error)}") from error
            return None
        except ray.exceptions.RayError:
            return None

    def renew(self, name: str) -> ActorStatus | None:
        supervisor = find_actor_blocking(SUPERVISOR, self._settings.ray.namespace)
        try:
            found: ActorStatus | None = ray.get(
                supervisor.renew.remote(name, self._patience), timeout=self._patience + _RENEW_SECONDS
            )
        except ray.exceptions.RayTaskError as error:
            raise ActorsFailed(task_failure(error)) from error
        except ray.exceptions.RayError as error:
            raise ActorsFailed(f"{name} was not replaced: {error}") from error
        return found


def shut_down(settings: Settings, timeout_s: float) -> None:
    """Drains the rooms and the queues, then ends every actor; harmless when there is none."""
    names = installed_actors(settings.ray.namespace)
    if SUPERVISOR in names:
        try:
            supervisor = find_actor_blocking(SUPERVISOR, settings.ray.namespace)
            ray.get(supervisor.drain.remote(timeout_s), timeout=3 * timeout_s + STATUS_SECONDS)
        except (ray.exceptions.RayError, ValueError) as error:
            # What is not drained stays in Redis and is taken up at the next start.
            _log.warning("not_drained", error=repr(error))
        _end(SUPERVISOR, settings.ray.namespace)
    forget_latest_settings(settings.ray.namespace)
    # After the Supervisor, which would make the others again; and read anew, for it may have made more meanwhile.
    for name in installed_actors(settings.ray.namespace):
        _end(name, settings.ray.namespace)


def _end(name: str, namespace: str) -> None:
    try:
        ray.kill(find_actor_blocking(name, namespace), no_restart=True)
    except ValueError:
        # It is gone already.
        return

"""`parlor cluster`: commands for an installation that `serve deploy` started, run on a node of its cluster.

It has no data directory: the settings in the environment name its Ray and its namespace. Without an address, its Ray is
the one on this machine whose nodes were started with settings of Parlor's (``ray_cluster.yaml`` does that). Nobody
else's Ray is connected to, not even to ask: that would be a job in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

from parlor.settings import Settings
from parlor.settings.names import VARIABLES
from parlor_cli import processes, ray_cluster
from parlor_cli.configuration import load
from parlor_cli.installation import MARKER
from parlor_cli.refusal import Refusal
from parlor_cli.status import with_lag
from parlor_cli.tables import write

_AUTO = "auto"
_GCS = "--gcs-address="
"""The option of a raylet that names its cluster (Ray 2.60, ``ray/_private/services.py``)."""


def show(*, as_json: bool, wide: bool) -> None:
    """Prints the report of the actors. Raises ``Refusal`` when they do not answer."""
    with _joined() as settings:
        from ray.exceptions import RayError

        from actors import bootstrap

        try:
            found = with_lag(bootstrap.status(settings))
        except (ValueError, RayError) as error:
            raise Refusal(f"the actors of {settings.ray.namespace} do not answer: {error}") from error
    write(found, as_json=as_json, wide=wide)


def stop() -> None:
    """Drains the rooms and queues, and ends the actors.

    Raises ``Refusal`` while the HTTP application runs, because its replicas would create the actors again.
    """
    with _joined() as settings:
        from ray import serve

        from actors import bootstrap
        from parlor_cli.ingress import APP_NAME

        if APP_NAME in serve.status().applications:
            raise Refusal("the HTTP application still runs: `serve shutdown` first")
        bootstrap.shut_down(settings, settings.rooms.drain_timeout.total_seconds())


@contextmanager
def _joined() -> Iterator[Settings]:
    settings = load()
    ray_cluster.join(_address(settings), settings.ray.namespace)
    try:
        yield settings
    finally:
        ray_cluster.leave()


def _address(settings: Settings) -> str:
    if settings.ray.address not in ("", _AUTO):
        return settings.ray.address
    found = sorted(set(filter(None, map(_address_of_ours, processes.own_pids()))))
    if not found:
        raise Refusal(
            "no Ray of a Parlor cluster runs on this machine: set PARLOR_RAY__ADDRESS to the head's host:port. "
            "An installation that `parlor up` started is looked at with `parlor status`."
        )
    if len(found) > 1:
        raise Refusal(
            f"several clusters run on this machine, at {', '.join(found)}: set PARLOR_RAY__ADDRESS to one of them"
        )
    return found[0]


def _address_of_ours(pid: int) -> str | None:
    """The address of the cluster whose node this process is; None unless the node was started with our settings."""
    words = processes.command_line(pid)
    if not words or PurePath(words[0]).name != "raylet":
        return None
    names = {variable.partition("=")[0] for variable in processes.environment(pid)}
    if MARKER in names or names.isdisjoint(VARIABLES):
        return None
    return next((word.removeprefix(_GCS) for word in words if word.startswith(_GCS)), None)

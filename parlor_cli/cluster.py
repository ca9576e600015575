"""`parlor cluster`: commands for an installation that `serve deploy` started, run on a node of its cluster.

It has no data directory: the settings in the environment name its Ray and its namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from parlor.settings import Settings
from parlor_cli import ray_cluster
from parlor_cli.configuration import load
from parlor_cli.refusal import Refusal
from parlor_cli.status import with_lag
from parlor_cli.tables import write


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
    ray_cluster.join(settings.ray.address or "auto", settings.ray.namespace)
    try:
        yield settings
    finally:
        ray_cluster.leave()

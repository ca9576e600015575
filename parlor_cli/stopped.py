"""The servers of an installation that is stopped, started for as long as a command needs them; no Ray, no actors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from parlor.settings import Settings
from parlor_cli import leftovers, migrate
from parlor_cli.configuration import merge
from parlor_cli.endpoints import RedisEndpoint, StoreEndpoint
from parlor_cli.installation import Installation
from parlor_cli.options import UpOptions, decide, effective
from parlor_cli.refusal import Refusal
from parlor_cli.servers.process import Server


@contextmanager
def servers_of(installation: Installation, options: UpOptions | None = None) -> Iterator[Settings]:
    """Yields the settings with the servers' addresses, and the databases at this version's schema. Holds the lock, so
    that nothing else uses the data meanwhile. ``options`` say which servers, for an installation whose first start was
    refused because of its Redis. Raises ``Refusal`` when there is nothing yet, or when another process has the lock."""
    founding = installation.founding
    if founding.store is None or (founding.redis is None and options is None):
        raise Refusal(f"{installation.data_dir} has never been started: it holds nothing")
    options = options or UpOptions(installation.data_dir)
    overrides = options.overrides()
    blueprint = decide(options, effective(installation, overrides), founding)
    started: list[Server] = []
    with installation.locked():
        # A Redis that a killed run has left would write to the same files.
        leftovers.end(installation)
        installation.remove_runtime_dir()
        installation.make_runtime_dir()
        try:
            prefix = effective(installation, overrides).redis.prefix
            redis = RedisEndpoint(installation, blueprint.redis, prefix)
            for endpoint in (redis, StoreEndpoint(installation, blueprint)):
                if (plan := endpoint.plan()) is not None:
                    started.append(Server.start(plan))
                overrides = merge(overrides, endpoint.overrides())
            report = migrate.apply(effective(installation, overrides), _no_progress, installation)
            yield effective(installation, merge(overrides, {"store": {"installation": report.installation}}))
        finally:
            for server in reversed(started):
                server.stop()
            installation.remove_runtime_dir()


def _no_progress(_step: str) -> None:
    """Commands print what they were asked for."""

"""The servers of an installation that is stopped, started for as long as a command needs them; no Ray, no actors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from parlor.settings import Settings
from parlor_cli import leftovers
from parlor_cli.configuration import Overrides, merge
from parlor_cli.endpoints import RedisEndpoint, StoreEndpoint
from parlor_cli.installation import Installation
from parlor_cli.options import UpOptions, decide, effective
from parlor_cli.refusal import Refusal
from parlor_cli.servers.process import Server


@contextmanager
def servers_of(installation: Installation) -> Iterator[Settings]:
    """Yields the settings with the servers' addresses. Holds the lock, so that nothing else uses the data meanwhile.
    Raises ``Refusal`` when there is nothing yet, or when another process has the lock."""
    founding = installation.founding
    if founding.redis is None or founding.store is None:
        raise Refusal(f"{installation.data_dir} has never been started: it holds nothing")
    blueprint = decide(UpOptions(installation.data_dir), effective(installation, {}), founding)
    started: list[Server] = []
    with installation.locked():
        # A Redis that a killed run has left would write to the same files.
        leftovers.end(installation)
        installation.make_runtime_dir()
        try:
            overrides: Overrides = {}
            for endpoint in (RedisEndpoint(installation, blueprint.redis), StoreEndpoint(installation, blueprint)):
                if (plan := endpoint.plan()) is not None:
                    started.append(Server.start(plan))
                overrides = merge(overrides, endpoint.overrides())
            yield effective(installation, overrides)
        finally:
            for server in reversed(started):
                server.stop()
            installation.remove_runtime_dir()

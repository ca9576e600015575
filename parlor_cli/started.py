"""What the launcher has started so far, and its record in the run file."""

from __future__ import annotations

import os
import time

import msgspec

from parlor.settings import Settings
from parlor_cli import processes
from parlor_cli.ingress import Ingress
from parlor_cli.installation import Installation, RunFile
from parlor_cli.ray_cluster import RayHead
from parlor_cli.servers.managed import ManagedServer


class Started:
    """The parts of a running installation, in the order in which they start."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.servers: list[ManagedServer] = []
        self.settings: Settings | None = None
        """The effective settings; None before they are complete."""
        self.head: RayHead | None = None
        self.actors = False
        self.ingress: Ingress | None = None
        self.run = RunFile(
            boot_id=processes.boot_id(),
            launcher=processes.reference(os.getpid()),
            runtime_dir=str(installation.runtime_dir),
            started_at=int(time.time()),
        )

    def add(self, server: ManagedServer) -> None:
        self.servers.append(server)
        self.record()

    def record(self) -> None:
        """Writes the run file, with which later commands find the processes even after a crash."""
        found = {managed.plan.name: managed.server.ref for managed in self.servers}
        if self.head is not None:
            found |= self.head.processes
            self.run = msgspec.structs.replace(
                self.run,
                ray_address=self.head.address,
                dashboard_url=self.head.dashboard_url,
                metrics_url=self.head.metrics_url,
                namespace=self.settings.ray.namespace if self.settings else "",
            )
        self.run = msgspec.structs.replace(self.run, processes=found)
        self._installation.write_run(self.run)

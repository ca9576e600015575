"""The running installation of a data directory, and the connection to its Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parlor.settings import Settings
from parlor_cli import ray_cluster
from parlor_cli.configuration import restore
from parlor_cli.installation import Installation, RunFile
from parlor_cli.refusal import Refusal


def running(data_dir: Path) -> tuple[Installation, RunFile] | None:
    """The installation in ``data_dir`` and its run file; None when it does not run."""
    installation = Installation.find(data_dir)
    run = installation.running() if installation else None
    return (installation, run) if installation is not None and run is not None else None


@contextmanager
def joined(installation: Installation, run: RunFile) -> Iterator[Settings]:
    """Connects to the Ray of a running installation; yields its effective settings. Raises ``Refusal``."""
    settings_json = installation.read_settings()
    if settings_json is None:
        raise Refusal(f"{installation.data_dir}/settings.json is gone although the installation runs")
    settings = restore(settings_json)
    if run.private_ray:
        os.environ.update(ray_cluster.client_environment(installation.ray_token_path))
    ray_cluster.join(run.ray_address, settings.ray.namespace, private=run.private_ray)
    try:
        yield settings
    finally:
        ray_cluster.leave()

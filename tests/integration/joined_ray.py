"""Being a process of a running installation's Ray cluster, as a second replica or an operator's program is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from parlor.settings import Settings
from parlor_cli import ray_cluster
from parlor_cli.configuration import restore
from parlor_cli.running import running


@contextlib.contextmanager
def joined_ray(data_dir: Path) -> Iterator[Settings]:
    """Joins the cluster, yields the installation's settings, and leaves the cluster. Exits if nothing runs there."""
    found = running(data_dir)
    settings_json = found[0].read_settings() if found else None
    if found is None or settings_json is None:
        raise SystemExit("nothing runs there")
    installation, run = found
    settings = restore(settings_json)
    if run.private_ray:
        os.environ.update(ray_cluster.client_environment(installation.ray_token_path))
    ray_cluster.join(run.ray_address, settings.ray.namespace, private=run.private_ray)
    try:
        yield settings
    finally:
        ray_cluster.leave()


def clean_environment() -> dict[str, str]:
    """Returns the environment for such a program: without this process's own settings of Parlor and Ray."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PARLOR_", "RAY_"))}

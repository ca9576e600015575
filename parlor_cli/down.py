"""`parlor down`: asks the launcher to drain, waits for it, and removes what a killed one left."""

from __future__ import annotations

import signal
from pathlib import Path

from parlor_cli import leftovers, processes
from parlor_cli.installation import Installation
from parlor_cli.progress import Progress

STOP_TIMEOUT_S = 180.0
"""More than all limits of the launcher together; after that it is killed, and its children with it."""


def down(data_dir: Path, progress: Progress) -> None:
    """Returns when everything has ended. Raises ``Refusal`` when another start has taken the directory meanwhile."""
    installation = Installation.find(data_dir)
    if installation is None:
        progress.show("note", f"nothing runs here: {data_dir} holds no installation", step="down")
        return
    run = installation.running()
    if run is not None:
        progress.show("note", f"stopping (launcher pid {run.launcher.pid})", step="down")
        processes.send(run.launcher, signal.SIGTERM)
        if processes.wait_until_gone([run.launcher], STOP_TIMEOUT_S):
            progress.show("warn", f"the launcher did not end within {STOP_TIMEOUT_S:g} s and is killed", step="down")
            processes.end([run.launcher], grace_s=0.0)
    with installation.locked():
        ended = leftovers.end(installation)
        installation.clear_run()
        installation.remove_runtime_dir()
    if ended:
        progress.show("note", f"ended what was left: {', '.join(ended)}", step="down")
    progress.show("done", "all is gone" if run is not None or ended else "nothing runs here", step="down")

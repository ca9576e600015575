"""The code of an earlier commit, from the repository's own history."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

OLD = "defe993"
"""The last commit without `parlor upgrade`."""
PACKAGES = ("actors", "api", "demo_model", "parlor", "parlor_bench", "parlor_cli", "sql")
ROOT = Path(__file__).parents[1]


def unpack(folder: Path, commit: str = OLD, packages: Sequence[str] = PACKAGES) -> None:
    """Puts these packages there. Fails where the history is not: a shallow clone needs `git fetch --unshallow`."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", commit, *packages]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, f"commit {commit} is not in this repository (a shallow clone?): {done.stderr.decode()}"
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
        files.extractall(folder, filter="data")

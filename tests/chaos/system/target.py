"""An installation of the suite's own, to be broken: started, killed, started again, ended.

Processes are found among the children of its own raylet and in its own run file, and signalled by pid and start time:
nothing of another installation on the machine can be hit.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from parlor_cli import leftovers, processes
from parlor_cli.installation import Installation as DataDirectory
from parlor_cli.installation import RunFile
from parlor_cli.processes import ProcessRef
from parlor_cli.servers import mariadb
from tests.installation import DOWN_TIMEOUT, UP_TIMEOUT, Installation, Kind, run_parlor
from tests.starts import one_start_at_a_time

SETTINGS = {
    # Two owners at least, so that a room can go to another one.
    "PARLOR_ROOMS__ACTORS_MIN": "2",
    "PARLOR_ROOMS__ACTORS_MAX": "2",
    "PARLOR_ROOMS__SPARE": "false",
    # Refused stale writes are counted between two faults.
    "RAY_metrics_report_interval_ms": "1000",
}
"""What differs from the defaults; leases, batches and time limits do not."""
_MIB = 1024 * 1024


class Disk:
    """A small tmpfs in a directory's place, to be filled. Only root may mount it."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._ballast = path / "ballast"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = f"size={size // _MIB}m,mode=700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "parlor-chaos", str(path)], check=True, timeout=20)

    def fill(self) -> None:
        """Takes every free byte, again and again until the other writers' last blocks are taken too."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (_MIB, 4096, 1):
                block = bytes(size)
                try:
                    while file.write(block) == size:
                        pass
                except OSError:
                    continue  # full, for blocks of this size

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.path)], check=True, timeout=20)


class Target:
    """``kind`` says what it stands on; with ``disks`` its Redis and its shards are on small file systems."""

    def __init__(self, kind: Kind, *, disks: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._settings = {**SETTINGS, **(settings or {})}
        self.root = Path(tempfile.mkdtemp(prefix="plc", dir="/tmp"))
        self.data_dir = self.root / "d"
        self.disks: dict[str, Disk] = {}
        self.failed_starts: list[str] = []
        """What the starts that had to be repeated ended with."""
        self._port = 0
        self._asked_for_disks = disks

    def start(self) -> Installation:
        """The first `up`. Raises ``RuntimeError`` with what it printed."""
        self.data_dir.mkdir(mode=0o700)
        if self._asked_for_disks:
            self._mount()
        return self.up()

    def up(self) -> Installation:
        """`parlor up --detach`, on the same port as before. Ray gives itself 30 s to start, which a machine under this
        load may miss: then it is asked once more, and that is told (``failed_starts``)."""
        try:
            return self._up()
        except RuntimeError as error:
            self.failed_starts.append(str(error).splitlines()[-1])
            return self._up()

    def _up(self) -> Installation:
        words = ("up", "--detach", "--port", str(self._port), "--servers", self.kind, "--data-dir", str(self.data_dir))
        with one_start_at_a_time():
            done = run_parlor(*words, *self._where(), timeout=UP_TIMEOUT, settings=self._settings)
        if done.returncode != 0:
            raise RuntimeError(f"parlor up failed ({done.returncode}):\n{done.stdout}\n{self.log()}\n{done.stderr}")
        installation = Installation(self.kind, self.data_dir)
        self._port = installation.port
        return installation

    def down(self) -> None:
        """Also from a start that was given up half way; then the files go."""
        down = run_parlor("down", "--data-dir", str(self.data_dir), timeout=DOWN_TIMEOUT)
        self._end_nodes()
        for disk in self.disks.values():
            disk.unmount()
        if down.returncode != 0:
            raise RuntimeError(f"parlor down failed ({down.returncode}):\n{down.stdout}\n{down.stderr}")
        shutil.rmtree(self.root)

    def log(self) -> str:
        path = self.data_dir / "logs/launcher.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else "(no log)"

    @property
    def runtime_dir(self) -> Path:
        """Where its servers' sockets are."""
        return Path(self.run.runtime_dir)

    def redis_password(self, user: str) -> str:
        found = DataDirectory.find(self.data_dir)
        if found is None:
            raise RuntimeError(f"there is no installation in {self.data_dir}")
        return found.redis_password(user)

    @property
    def ray_dir(self) -> Path:
        """Ray's files."""
        return self.runtime_dir / "ray"

    def _where(self) -> tuple[str, ...]:
        """More words for `parlor up`."""
        return ()

    def _end_nodes(self) -> None:
        """What it runs on besides itself, if anything."""

    # Processes

    @property
    def run(self) -> RunFile:
        """Who runs it now; raises ``RuntimeError`` when nothing does."""
        run = self._directory.running()
        if run is None:
            raise RuntimeError(f"nothing runs in {self.data_dir}:\n{self.log()}")
        return run

    def server(self, name: str) -> ProcessRef:
        """``redis``, ``mariadb``, ``demo-model``, ``raylet``, ``gcs_server``, as the run file names it now."""
        return self.run.processes[name]

    def workers(self, title: str) -> list[ProcessRef]:
        """Ray's workers with this title (``RoomActor``, ``ServeReplica:parlor:ChatApi``), of the head's node."""
        pattern = re.compile(rf"ray::{re.escape(title)}(?=[.:(\s]|$)")
        children = processes.children(self.server("raylet").pid)
        return [processes.reference(pid) for pid in children if pattern.match(" ".join(processes.command_line(pid)))]

    def proxies(self) -> list[ProcessRef]:
        """HAProxy's processes that serve now."""
        runtime = f"{self.run.runtime_dir}/"
        found = []
        for pid in processes.own_pids():
            words = processes.command_line(pid)
            if words and Path(words[0]).name == "haproxy" and any(word.startswith(runtime) for word in words):
                found.append(processes.reference(pid))
        return found

    def everything(self) -> list[ProcessRef]:
        """All of its processes, those too that have left the launcher's process group."""
        return list(leftovers.find(self._directory).values())

    def kill_everything(self) -> None:
        """SIGKILL to all of them at once, as a power failure ends them: none sees another one's death."""
        launcher = self.run.launcher
        found = self.everything()
        os.killpg(os.getpgid(launcher.pid), signal.SIGKILL)
        for ref in found:
            processes.send(ref, signal.SIGKILL)
        left = processes.wait_until_gone(found, 20.0)
        if left:
            raise RuntimeError(f"still there after SIGKILL: {left}")

    @property
    def _directory(self) -> DataDirectory:
        found = DataDirectory.find(self.data_dir)
        if found is None:
            raise RuntimeError(f"{self.data_dir} holds no installation")
        return found

    def _mount(self) -> None:
        self.disks["redis"] = Disk(self.data_dir / "redis", 192 * _MIB)
        if self.kind == "embedded":
            self.disks["shard"] = Disk(self.data_dir / "sqlite", 96 * _MIB)
            return
        # MariaDB's system tables are made elsewhere and moved in: a mount point cannot be made anew.
        made = self.root / "mariadb"
        mariadb.install(made, self.root / "install.log")
        self.disks["shard"] = Disk(self.data_dir / "mariadb", 512 * _MIB)
        shutil.copytree(made, self.data_dir / "mariadb", dirs_exist_ok=True)
        shutil.rmtree(made)


def may_mount() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None

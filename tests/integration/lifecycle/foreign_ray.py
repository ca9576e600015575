"""Somebody else's Ray on the same machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_FOREIGN = """
import sys, ray
ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=78643200, _temp_dir=sys.argv[1],
         log_to_driver=False, namespace="foreign")
@ray.remote(num_cpus=0)
class Counter:
    value = 0
    def add(self):
        self.value += 1
        return self.value
counter = Counter.options(name="supervisor").remote()
for _ in sys.stdin:
    print(ray.get(counter.add.remote(), timeout=30), flush=True)
ray.shutdown()
"""


class ForeignRay:
    """A Ray cluster of one node with an actor that counts."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def count(self) -> int:
        """Has the actor count once more; returns how far it has come."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def foreign_ray() -> Iterator[ForeignRay]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with tempfile.TemporaryDirectory(prefix="foreign-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        process = subprocess.Popen(
            [sys.executable, "-c", _FOREIGN, directory],
            env={**environment, "RAY_AUTH_MODE": "disabled"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with process:
            yield ForeignRay(process)
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)

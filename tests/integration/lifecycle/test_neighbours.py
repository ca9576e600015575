"""Several installations and somebody else's Ray on one machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from parlor_cli import processes
from tests.integration.lifecycle.command import Conversation
from tests.integration.lifecycle.conftest import MakeParlor

pytestmark = [pytest.mark.integration, pytest.mark.timeout(500)]

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


RAYS_OWN = {6379, 8000, 8265, 8404, 8500, 9000, 9101, 10001, 44217, 44227, 52365}
"""The ports that Ray and Serve use unless they are given others."""


def listening(refs: Iterable[processes.ProcessRef]) -> set[int]:
    """The TCP ports that these processes listen on."""
    inodes = set()
    for ref in refs:
        for descriptor in Path(f"/proc/{ref.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    listen = "0A"  # include/net/tcp_states.h: TCP_LISTEN
    return {int(words[1].rpartition(":")[2], 16) for words in lines if words[3] == listen and words[9] in inodes}


@pytest.fixture
def foreign() -> Iterator[subprocess.Popen[str]]:
    """A Ray that is nobody's business; it counts for each line that it is sent."""
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
            yield process
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)


def _count(foreign: subprocess.Popen[str]) -> int:
    assert foreign.stdin is not None
    assert foreign.stdout is not None
    foreign.stdin.write("\n")
    foreign.stdin.flush()
    return int(foreign.stdout.readline())


def test_two_installations_and_a_foreign_ray_do_not_disturb_each_other(
    make_parlor: MakeParlor, foreign: subprocess.Popen[str]
) -> None:
    assert _count(foreign) == 1
    first, second = make_parlor("first", "--partitions", "4"), make_parlor("second", "--partitions", "4")
    first.start()
    second.start()
    one, two = Conversation(first), Conversation(second)
    one.send("in the first")
    two.send("in the second")
    assert one.contents() == ["in the first"]
    assert two.contents() == ["in the second"]

    # A token of the one is worth nothing at the other.
    status, _, _ = second.ask("GET", "/v1/rooms", Authorization=f"Bearer {first.token()}")
    assert status == 401

    # No port is the same for every installation: those of Ray's dashboard, agents and metrics among them.
    ports = [listening(parlor.remains().values()) for parlor in (first, second)]
    assert min(map(len, ports)) > 15
    assert ports[0] & ports[1] == set()
    assert (ports[0] | ports[1]) & RAYS_OWN == set()

    pids = [json.loads(parlor.command("status", "--json").stdout)["actors"] for parlor in (first, second)]
    assert not {actor["pid"] for actor in pids[0]} & {actor["pid"] for actor in pids[1]}

    first.kill()
    assert first.down().returncode == 0
    assert first.remains() == {}
    assert two.contents() == ["in the second"]
    assert second.down().returncode == 0
    assert second.remains() == {}
    assert _count(foreign) == 2

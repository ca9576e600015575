"""A Ray cluster of several nodes on this machine: each node is a `ray start --block` of its own, ended by its pids."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from parlor_cli import ports, processes
from parlor_cli.processes import ProcessRef
from tests.starts import one_start_at_a_time

RAY = Path(sys.executable).with_name("ray")
START_SECONDS = 90.0
END_SECONDS = 60.0
COMMAND_SECONDS = 120.0
OBJECT_STORE_BYTES = 80_000_000


class Node:
    """One node's processes."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(RAY), "start", "--block", "--disable-usage-stats", *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until_started(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while "Ray runtime started" not in (text := self._log.read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the node did not start:\n{text[-3000:]}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)

    @property
    def raylets(self) -> int:
        """How many Ray nodes run under it: more than one where an autoscaler on it adds simulated ones."""
        return len(self._raylets())

    def kill(self) -> None:
        """All of its processes at once, as a power failure ends them."""
        for ref in self._all():
            processes.send(ref, signal.SIGKILL)
        self._process.wait(20)

    def kill_raylet(self) -> None:
        """Ray's own process of the node alone; what ran under it notices, and ends."""
        for ref in self._raylets():
            processes.send(ref, signal.SIGKILL)

    def stop(self) -> list[ProcessRef]:
        """All of its processes stand still until they get SIGCONT; they are returned."""
        found = self._all()
        for ref in found:
            processes.send(ref, signal.SIGSTOP)
        return found

    def wait_until_ended(self) -> None:
        """For a node that Ray has given up: it ends by itself."""
        self._process.wait(END_SECONDS)

    def terminate(self) -> None:
        """SIGTERM, then whatever is left; harmless when it has ended."""
        if self._process.poll() is not None:
            return
        found = self._all()
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        processes.end(found, grace_s=3.0)
        self._process.wait(20)

    def _all(self) -> list[ProcessRef]:
        return [processes.reference(self._process.pid), *_descendants(self._process.pid)]

    def _raylets(self) -> list[ProcessRef]:
        words = {ref: processes.command_line(ref.pid)[:1] for ref in _descendants(self._process.pid)}
        return [ref for ref, word in words.items() if word and word[0].endswith("/raylet")]


def _descendants(pid: int) -> list[ProcessRef]:
    found = []
    for child in processes.children(pid):
        found += [processes.reference(child), *_descendants(child)]
    return found


class Cluster:
    """The head's environment is every process's: programs are to be started with ``environment`` too."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.plan = ports.choose(http=0, dashboard=0, seed=secrets.token_hex(8))
        self._address = f"{_node_ip()}:{ports.one()}"
        self._logs = 0
        self.environment = {**_clean_environment(), **self._variables()}

    @property
    def address(self) -> str:
        """The address of the GCS."""
        return self._address

    @property
    def url(self) -> str:
        """The URL of the HTTP edge, once there is one."""
        return f"http://127.0.0.1:{self.plan.http}"

    @property
    def dashboard_url(self) -> str:
        return f"http://127.0.0.1:{self.plan.dashboard}"

    def start_head(
        self, variables: dict[str, str], resources: str, own: dict[str, str] | None = None, *arguments: str
    ) -> Node:
        """``variables`` are in the environment of every process of the cluster, as a node's start commands set them;
        ``own`` is in the head's alone."""
        self.environment |= variables
        _, _, port = self._address.rpartition(":")
        return self._start(
            [
                "--head",
                f"--port={port}",
                f"--temp-dir={self.directory / 'r'}",
                # Serve's replicas ask for CPU: they, and the proxy that goes with them, stay here.
                "--num-cpus=8",
                "--include-dashboard=true",
                "--dashboard-host=127.0.0.1",
                f"--dashboard-port={self.plan.dashboard}",
                f"--ray-client-server-port={ports.one()}",
                *arguments,
            ],
            resources,
            own or {},
        )

    def join(self, resources: str) -> Node:
        """One more node, without CPU."""
        return self._start([f"--address={self._address}", "--num-cpus=0"], resources, {})

    def alive_nodes(self) -> int:
        """How many nodes Ray counts."""
        listed = self.run("ray", "list", "nodes", "--format", "json", "--address", self.dashboard_url)
        return sum(1 for node in json.loads(listed) if node["state"] == "ALIVE")

    def run(self, program: str, *arguments: str, seconds: float = COMMAND_SECONDS, **variables: str) -> str:
        """Runs a command of the virtual environment as a person on the head would; returns its standard output."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name(program)), *arguments],
            cwd=self.directory,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{program} {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def _start(self, command: list[str], resources: str, own: dict[str, str]) -> Node:
        self._logs += 1
        common = [
            f"--resources={resources}",
            f"--object-store-memory={OBJECT_STORE_BYTES}",
            f"--metrics-export-port={ports.one()}",
            f"--dashboard-agent-listen-port={ports.one()}",
        ]
        with one_start_at_a_time():
            node = Node([*command, *common], {**self.environment, **own}, self.directory / f"node{self._logs}.log")
            try:
                node.wait_until_started()
            except BaseException:
                node.kill()
                raise
        return node

    def _variables(self) -> dict[str, str]:
        """What ``ray_cluster.yaml`` exports on each node, with ports and paths of this cluster's own."""
        plan, haproxy = self.plan, self.directory / "h"
        return {
            "HOME": str(self.directory),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(plan.fallback_http),
            "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(plan.fallback_grpc),
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(plan.replicas[0]),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(plan.replicas[-1]),
            "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(plan.replicas_grpc[0]),
            "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(plan.replicas_grpc[-1]),
            "RAY_SERVE_HAPROXY_NBTHREAD": "1",
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(haproxy / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(haproxy / "a.sock"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(haproxy / "m.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(haproxy),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(haproxy / "state"),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(plan.haproxy_metrics),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(plan.haproxy_stats),
            "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "5",
            "RAY_worker_niceness": "0",
            "RAY_timeout_ms_task_wait_for_death_info": "100",
            "RAY_health_check_initial_delay_ms": "0",
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "10000",
            "RAY_health_check_failure_threshold": "3",
        }


@contextlib.contextmanager
def running(node: Node) -> Iterator[Node]:
    try:
        yield node
    finally:
        node.terminate()


def _clean_environment() -> dict[str, str]:
    """Without what points at another Ray or another Parlor."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "PARLOR_")) and name != "OPENAI_API_KEY"
    }


def _node_ip() -> str:
    from ray._private.services import get_node_ip_address

    ip: str = get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray's own
    return ip

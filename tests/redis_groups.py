"""Redis servers that fail over, for tests: a primary with a replica and three sentinels, or a cluster of six nodes.

All of them listen on loopback, on ports that the kernel gave out, and are ended by their own pids. With ``Tls`` they
speak nothing else, with each other too, and want a certificate of their clients.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from redis import Redis, exceptions

from tests.servers import START_TIMEOUT, STOP_TIMEOUT, Unavailable, free_ports, short_directory

DURABLE = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--save", ""]
SERVICE = "parlor-primary"
DOWN_AFTER_MS = 3000
"""Without an answer for so long, a primary is taken for dead."""
FAIL_OVER_SECONDS = 60.0
PAUSE = 0.05


class Tls(NamedTuple):
    """What servers and their clients show each other."""

    ca: Path
    certificate: Path
    key: Path

    @property
    def options(self) -> dict[str, str]:
        """As a URL and redis-py have them."""
        return {"ssl_ca_certs": str(self.ca), "ssl_certfile": str(self.certificate), "ssl_keyfile": str(self.key)}


def _listening(port: int, tls: Tls | None) -> list[str]:
    if tls is None:
        return ["--port", str(port)]
    files = ["--tls-ca-cert-file", str(tls.ca), "--tls-cert-file", str(tls.certificate), "--tls-key-file", str(tls.key)]
    among = ["--tls-auth-clients", "yes", "--tls-replication", "yes", "--tls-cluster", "yes"]
    return ["--port", "0", "--tls-port", str(port), *files, *among]


class Node:
    """One process."""

    def __init__(self, directory: Path, port: int, program: str, *more: str, tls: Tls | None = None) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}"
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._command = [program, *more, *_listening(port, tls)]
        self._client = partial(Redis, "127.0.0.1", port, socket_timeout=2, decode_responses=True)
        if tls is not None:
            self._client = partial(self._client, ssl=True, **tls.options)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self._directory / "log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self._directory
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"port {self.port}: it did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(PAUSE)

    def ask(self, *command: str) -> object:
        """Raises ``redis.exceptions.RedisError``."""
        with contextlib.closing(self._client()) as client:
            return client.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py's own

    def answers(self) -> bool:
        try:
            return self.ask("PING") in (True, "PONG")
        except exceptions.RedisError:
            return False

    def info(self) -> dict[str, str]:
        """What it says of its replication."""
        with contextlib.closing(self._client()) as client:
            return {name: str(value) for name, value in client.info("replication").items()}

    def offset(self) -> int:
        """How many bytes it has said to replicas, or would have."""
        return int(self.info()["master_repl_offset"])

    def stand_still(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a crash would end it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT)
            self._process = None

    @property
    def runs(self) -> bool:
        return self._process is not None


def cut_off(primary: Node, replicas: list[Node]) -> None:
    """From now on these replicas hear nothing, until they are woken and follow again. That they
    stand still is not enough: the kernel would take in for them what the primary sends."""
    for node in replicas:
        node.stand_still()
    primary.ask("CLIENT", "KILL", "TYPE", "replica")


class Group:
    """Servers of which some go on with what others had."""

    url: str
    """For Parlor."""
    servers: list[Node]
    tls: Tls | None = None

    @property
    def primaries(self) -> list[Node]:
        """Those that take writes, as they say themselves."""
        return [node for node in self.servers if node.runs and _role(node) == "master"]

    def replicas_of(self, primary: Node) -> list[Node]:
        return [
            node
            for node in self.servers
            if node.runs and _role(node) == "slave" and node.info().get("master_port") == str(primary.port)
        ]

    def whole(self) -> bool:
        """Whether every primary has a replica that follows it."""
        raise NotImplementedError

    def stop(self) -> None:
        for node in self.servers:
            node.kill()


class SentinelGroup(Group):
    """A primary, its replica and three sentinels, two of which agree about a fail-over."""

    def __init__(self, directory: Path, program: str, tls: Tls | None) -> None:
        ports = free_ports(5)
        first, second, *watching = ports
        common = [*DURABLE, "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
        self.servers = [
            Node(directory / "n1", first, program, *common, tls=tls),
            Node(directory / "n2", second, program, *common, "--replicaof", f"127.0.0.1 {first}", tls=tls),
        ]
        self.sentinels = []
        for port in watching:
            folder = directory / f"s{port}"
            folder.mkdir(parents=True)
            # Sentinels write what they find out into their configuration.
            (folder / "sentinel.conf").write_text(
                f"sentinel monitor {SERVICE} 127.0.0.1 {first} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {SERVICE} 4000\n"
            )
            self.sentinels.append(Node(folder, port, program, str(folder / "sentinel.conf"), "--sentinel", tls=tls))
        self.url = _url("sentinel", self.sentinels, f"/{SERVICE}", tls)

    def start(self) -> None:
        for node in [*self.servers, *self.sentinels]:
            node.start()
        until(self.whole, "the replica follows, and the sentinels know each other")

    @property
    def primary_port(self) -> int:
        """Where the primary is, as the sentinels say."""
        found = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        assert isinstance(found, list)
        return int(found[1])

    def whole(self) -> bool:
        primaries = self.primaries
        if len(primaries) != 1 or self.primary_port != primaries[0].port:
            return False
        known = [str(node.ask("SENTINEL", "CKQUORUM", SERVICE)) for node in self.sentinels]
        linked = [node.info().get("master_link_status") for node in self.replicas_of(primaries[0])]
        return linked == ["up"] and all(text.startswith("OK 3") for text in known)

    def stop(self) -> None:
        for node in self.sentinels:
            node.kill()
        super().stop()


class ClusterGroup(Group):
    """Three primaries with a third of the slots each, and a replica of each."""

    def __init__(self, directory: Path, program: str, tls: Tls | None) -> None:
        ports = free_ports(12)
        common = [*DURABLE, "--cluster-enabled", "yes", "--cluster-node-timeout", str(DOWN_AFTER_MS)]
        common += ["--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0"]
        self.servers = [
            Node(directory / f"n{port}", port, program, "--cluster-port", str(bus), *common, tls=tls)
            for port, bus in zip(ports[:6], ports[6:], strict=True)
        ]
        self._buses = ports[6:]
        self.url = _url("cluster", self.servers, "", tls)

    def start(self) -> None:
        for number, node in enumerate(self.servers):
            node.start()
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        first, *others = self.servers
        for node, bus in zip(others, self._buses[1:], strict=True):
            first.ask("CLUSTER", "MEET", "127.0.0.1", str(node.port), str(bus))
        until(lambda: all(len(_known(node)) == len(self.servers) for node in self.servers), "the nodes know each other")
        bounds = [0, 5461, 10923, 16384]
        for number, (primary, replica) in enumerate(zip(self.servers[:3], self.servers[3:], strict=True)):
            primary.ask("CLUSTER", "ADDSLOTSRANGE", str(bounds[number]), str(bounds[number + 1] - 1))
            replica.ask("CLUSTER", "REPLICATE", str(primary.ask("CLUSTER", "MYID")))
        until(self.whole, "the replicas follow, and every slot is served")

    def whole(self) -> bool:
        states = [str(node.ask("CLUSTER", "INFO")) for node in self.servers]
        primaries = self.primaries
        linked = [replica.info().get("master_link_status") for node in primaries for replica in self.replicas_of(node)]
        return (
            all("cluster_state:ok" in text for text in states)
            and len(primaries) == 3
            and len(linked) == 3
            and set(linked) == {"up"}
        )


def until(true: Callable[[], bool], what: str, seconds: float = FAIL_OVER_SECONDS) -> None:
    """Raises ``TimeoutError`` that says what did not come."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(exceptions.RedisError):
            if true():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(PAUSE)


def server_program() -> str:
    """Raises ``Unavailable``."""
    if (found := shutil.which("redis-server")) is None:
        raise Unavailable("redis-server is not installed")
    return found


_G = TypeVar("_G", SentinelGroup, ClusterGroup)


@contextlib.contextmanager
def _started(make: Callable[[Path, str, Tls | None], _G], program: str | None, tls: Tls | None) -> Iterator[_G]:
    with short_directory() as directory:
        group = make(directory, program or server_program(), tls)
        group.tls = tls
        try:
            group.start()
            yield group
        finally:
            group.stop()


def sentinel_group(program: str | None = None, tls: Tls | None = None) -> AbstractContextManager[SentinelGroup]:
    return _started(SentinelGroup, program, tls)


def cluster_group(program: str | None = None, tls: Tls | None = None) -> AbstractContextManager[ClusterGroup]:
    return _started(ClusterGroup, program, tls)


def _url(kind: str, nodes: list[Node], service: str, tls: Tls | None) -> str:
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    options = "?" + "&".join(f"{name}={value}" for name, value in tls.options.items()) if tls else ""
    return f"{'rediss' if tls else 'redis'}+{kind}://{hosts}{service}{options}"


def _known(node: Node) -> list[str]:
    return [line for line in str(node.ask("CLUSTER", "NODES")).splitlines() if "handshake" not in line]


def _role(node: Node) -> str:
    with contextlib.suppress(exceptions.RedisError):
        return node.info()["role"]
    return ""

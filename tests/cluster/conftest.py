"""One cluster for the suite: its head, a Redis, a MariaDB and a demo model. Nodes come and go with each test."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from parlor_cli import ports
from parlor_cli.servers import demo_model
from tests.cluster.installation import database
from tests.cluster.ray_nodes import Cluster, Node, running
from tests.servers import Unavailable, private_mysql, private_redis, short_directory, skip_or_fail

SECRET = "cluster-tests-0123456789abcdef0123456789abcdef"
SPEED = "first=20ms delay=5ms"
"""Of the demo model's tokens."""
ONE_OF_EACH = '{"rooms": 1, "writers": 1}'
"""What a node has room for: so two nodes share each pool, and what falls with one finds no place on the other."""


class SharedCluster:
    """What the tests share."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._second: Node | None = None
        self._drained: list[Node] = []

    def second_node(self) -> None:
        """There is one besides the head from here on, till it is killed."""
        if self._second is None:
            self._second = self.cluster.join(ONE_OF_EACH)

    def kill_second_node(self) -> None:
        """With all of its processes at once."""
        assert self._second is not None
        self._second.kill()
        self._second = None

    def drain_second_node(self, node: str) -> None:
        """``node`` is its id. As a cloud's notice does: nothing new is placed there, and it is to be empty soon."""
        why = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "a test's notice"]
        where = ["--address", self.cluster.address, "--node-id", node]
        self.cluster.run("ray", "drain-node", *where, *why, "--deadline-remaining-seconds", "600")
        if self._second is not None:
            self._drained.append(self._second)
            self._second = None

    def close(self) -> None:
        for node in [self._second, *self._drained]:
            if node is not None:
                node.terminate()


@pytest.fixture(scope="package")
def directory() -> Iterator[Path]:
    with short_directory() as path:
        yield path


@pytest.fixture(scope="package")
def redis_url(directory: Path) -> Iterator[str]:
    (directory / "redis").mkdir()
    try:
        with private_redis(directory / "redis") as url:
            yield url
    except Unavailable as error:
        skip_or_fail(str(error))


@pytest.fixture(scope="package")
def mysql_url(directory: Path) -> Iterator[str]:
    (directory / "mysql").mkdir()
    try:
        with private_mysql(directory / "mysql") as url:
            yield url
    except Unavailable as error:
        skip_or_fail(str(error))


@pytest.fixture(scope="package")
def model_url() -> Iterator[str]:
    port = ports.one()
    process = subprocess.Popen([sys.executable, "-m", "demo_model", "--port", str(port), "--behave", SPEED])
    try:
        while not demo_model.answers(port):
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"the demo model has ended: {process.wait(0.1)}")
        yield demo_model.url(port)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="package")
def shared(directory: Path, redis_url: str, mysql_url: str, model_url: str) -> Iterator[SharedCluster]:
    cluster = Cluster(directory)
    variables = {
        "PARLOR_REDIS__URL": redis_url,
        "PARLOR_STORE__URLS": f'["{database(mysql_url, "deploy")}"]',
        "PARLOR_STORE__PARTITIONS": "4",
        "PARLOR_AUTH__SECRET": SECRET,
        "PARLOR_LLM__BASE_URL": model_url,
        "PARLOR_RAY__NAMESPACE": "deployed",
        "PARLOR_RAY__PLACEMENT": "resources",
        "PARLOR_RAY__WRITERS_PER_SHARD": "2",
        "PARLOR_ROOMS__ACTORS_MIN": "2",
        "PARLOR_ROOMS__ACTORS_MAX": "2",
        "PARLOR_QUEUE__BATCH_INTERVAL": "0.2",
    }
    with (
        running(cluster.start_head(variables, ONE_OF_EACH)),
        contextlib.closing(SharedCluster(cluster)) as shared,
    ):
        yield shared

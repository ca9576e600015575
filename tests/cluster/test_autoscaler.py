"""Rooms ask for nodes, and give them back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.contracts import STATE_MACHINE
from actors.pools import state_machine_name
from tests.cluster.autoscaled import HEAD_ID, start_head
from tests.cluster.installation import ClusterInstallation, nodes_of, places
from tests.cluster.load import Load, settled
from tests.cluster.ray_nodes import Cluster, Node, running
from tests.servers import short_directory

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240, func_only=True)]


@pytest.fixture
def directory_of_its_own() -> Iterator[Path]:
    with short_directory() as path:
        yield path


@pytest.fixture
def cluster(directory_of_its_own: Path, model_url: str) -> Cluster:
    cluster = Cluster(directory_of_its_own)
    cluster.environment |= {"PARLOR_LLM__BASE_URL": model_url}
    return cluster


@pytest.fixture
def head(cluster: Cluster) -> Iterator[Node]:
    with running(start_head(cluster, {}, head=1, more=2)) as node:
        yield node


@pytest.fixture
def parlor(cluster: Cluster, head: Node, redis_url: str, mysql_url: str) -> Iterator[ClusterInstallation]:
    variables = {
        "PARLOR_RAY__PLACEMENT": "resources",
        "PARLOR_STORE__PARTITIONS": "4",
        "PARLOR_ROOMS__ACTORS_MIN": "1",
        "PARLOR_ROOMS__ACTORS_MAX": "2",
        "PARLOR_ROOMS__IDLE_AFTER": "10",
        "PARLOR_ROOMS__SHRINK_AFTER": "5",
    }
    started = ClusterInstallation(cluster, "scaled", redis_url, mysql_url, variables)
    started.up()
    try:
        yield started
    finally:
        started.down()


def machines(status: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """The node and the process of each StateMachine that answers, by its name."""
    found = (actor for actor in status["actors"] if actor["kind"] == "StateMachine" and actor["alive"])
    return {actor["name"]: (actor["node"], actor["pid"]) for actor in found}


def first_machine(parlor: ClusterInstallation, besides: int = 0) -> int:
    """Waits until the first StateMachine answers from another process than ``besides``; returns its process."""
    node, pid = settled(
        lambda: machines(parlor.status()).get(STATE_MACHINE, ("", besides)), lambda found: found[1] != besides
    )
    assert node == HEAD_ID, "it would keep a node for ever that could be given back"
    return int(pid)


def test_a_room_adds_a_node_and_an_idle_node_is_given_back(parlor: ClusterInstallation, head: Node) -> None:
    assert head.raylets == 1
    client = parlor.client("someone")
    first, second = client.create_room(), client.create_room()
    with Load({first: client}) as one:
        one.go_on(1)
        # One room, and no free actor is left.
        settled(parlor.status, lambda found: len(nodes_of(found, "RoomActor")) == 2)
        assert head.raylets == 2, "a node was added for the second actor"
        with Load({second: client}) as other:
            other.go_on(1)
            found = places(parlor.status())
            assert [rooms for node, rooms in found.items() if node != HEAD_ID] == [{second}], found
            [more] = found.keys() - {HEAD_ID}
            its_own = state_machine_name(more, first=False)
            assert settled(lambda: machines(parlor.status()), lambda seen: its_own in seen)[its_own][0] == more
            process = first_machine(parlor)
            for _ in range(3):
                os.kill(process, signal.SIGKILL)
                process = first_machine(parlor, besides=process)
    one.check()
    other.check()

    settled(lambda: head.raylets, lambda count: count == 1)
    assert nodes_of(parlor.status(), "RoomActor") == {HEAD_ID}
    known = len(client.messages(second))
    assert client.send(second, "The room outlives its node.")["message"]["seq"] == known + 1

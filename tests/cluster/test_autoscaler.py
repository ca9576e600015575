"""Rooms ask for nodes, and give them back: Ray's own autoscaler, with simulated machines in place of a cloud's.

The provider is Ray's ``FakeMultiNodeProvider``, called ``external`` because the file that its own type needs is not in
the wheel (ray #36495).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.installation import ClusterInstallation, nodes_of, places
from tests.cluster.load import Load, settled
from tests.cluster.ray_nodes import OBJECT_STORE_BYTES, Cluster, Node, running
from tests.servers import short_directory

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240, func_only=True)]

HEAD_ID = "f" * 51 + "00000"
"""The node id that the provider expects of its head."""
HEAD_TYPE = "ray.head.default"
"""Its name in the provider."""
IDLE_MINUTES = 0.1


def autoscaling(cluster: Cluster) -> dict[str, object]:
    """A head that takes one RoomActor, and a node type for more."""
    nothing: dict[str, object] = {}
    commands = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return {
        "cluster_name": "parlor",
        "max_workers": 2,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": cluster.address,
            "launch_multiple": True,
            "head_node_id": HEAD_ID,
        },
        "available_node_types": {
            HEAD_TYPE: {"resources": {"CPU": 8, "rooms": 1, "writers": 1}, "node_config": nothing, "max_workers": 0},
            "rooms": {
                "resources": {"CPU": 0, "rooms": 2, "object_store_memory": OBJECT_STORE_BYTES},
                "node_config": nothing,
                "min_workers": 0,
                "max_workers": 2,
            },
        },
        "head_node_type": HEAD_TYPE,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": IDLE_MINUTES,
        "auth": nothing,
        "docker": nothing,
        "file_mounts": nothing,
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        **{f"{name}_commands": [] for name in commands},
    }


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
    config = cluster.directory / "autoscaling.json"
    config.write_text(json.dumps(autoscaling(cluster)), encoding="utf-8")
    own = {
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
        "RAY_NODE_TYPE_NAME": HEAD_TYPE,
    }
    with running(cluster.start_head({}, '{"rooms": 1, "writers": 1}', own, f"--autoscaling-config={config}")) as node:
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
    one.check()
    other.check()

    settled(lambda: head.raylets, lambda count: count == 1)
    assert nodes_of(parlor.status(), "RoomActor") == {HEAD_ID}
    known = len(client.messages(second))
    assert client.send(second, "The room outlives its node.")["message"]["seq"] == known + 1

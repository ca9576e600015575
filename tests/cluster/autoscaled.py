"""A head with Ray's own autoscaler, and simulated machines in place of a cloud's.

The provider is Ray's ``FakeMultiNodeProvider``, called ``external`` because the file that its own type needs is not in
the wheel (ray #36495).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.cluster.ray_nodes import OBJECT_STORE_BYTES, Cluster, Node

HEAD_ID = "f" * 51 + "00000"
"""The node id that the provider expects of its head."""
HEAD_TYPE = "ray.head.default"
"""Its name in the provider."""
IDLE_MINUTES = 0.1
NODES_MORE = 2


def start_head(cluster: Cluster, variables: Mapping[str, str], *, head: int, more: int) -> Node:
    """A head that takes so many RoomActors; the autoscaler adds up to two nodes that take ``more`` each, and gives them
    back when they are idle."""
    config = cluster.directory / "autoscaling.json"
    config.write_text(json.dumps(_config(cluster, head, more)), encoding="utf-8")
    own = {
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
        "RAY_NODE_TYPE_NAME": HEAD_TYPE,
    }
    resources = json.dumps({"rooms": head, "writers": 1})
    return cluster.start_head(dict(variables), resources, own, f"--autoscaling-config={config}")


def _config(cluster: Cluster, head: int, more: int) -> dict[str, object]:
    nothing: dict[str, object] = {}
    commands = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return {
        "cluster_name": "parlor",
        "max_workers": NODES_MORE,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": cluster.address,
            "launch_multiple": True,
            "head_node_id": HEAD_ID,
        },
        "available_node_types": {
            HEAD_TYPE: {"resources": {"CPU": 8, "rooms": head, "writers": 1}, "node_config": nothing, "max_workers": 0},
            "rooms": {
                "resources": {"CPU": 0, "rooms": more, "object_store_memory": OBJECT_STORE_BYTES},
                "node_config": nothing,
                "min_workers": 0,
                "max_workers": NODES_MORE,
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

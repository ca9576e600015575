"""The cluster."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from parlor.settings.section import Section
from parlor.settings.values import Text, TimeLimit


class RaySettings(Section):
    """The cluster."""

    address: Text = ""
    """Address of a running Ray to join. Empty: a private one is started."""
    node_address: Text = "127.0.0.1"
    """Address that a private Ray takes. With 127.0.0.1 no other machine reaches its ports. With another address of this
    machine most of them listen on every interface, metrics without a token: for a Prometheus elsewhere, behind a
    firewall."""
    namespace: Text = "parlor"
    """Namespace of this installation's actors; `parlor up` adds the installation's id."""
    placement: Literal["anywhere", "resources"] = "anywhere"
    """`resources`: RoomActors ask Ray for the custom resource `rooms` and ShardWriters for `writers`, so that node
    types decide where they run and the autoscaler adds nodes for them."""
    writers_per_shard: int = Field(default=1, ge=1)
    """ShardWriters of each shard; they share its partitions."""
    start_timeout: TimeLimit = timedelta(seconds=120)
    """Longest wait of `parlor up` for the first actors of each pool; an autoscaler may have to add nodes for them."""
    dashboard: bool = True
    """Whether a private Ray has its dashboard. Without it a start takes less, and so does every idle minute; but Ray
    writes no `prom_metrics_service_discovery.json`, by which Prometheus finds the metrics."""
    dashboard_port: int = Field(default=0, ge=0, le=65535)
    """Port of Ray's dashboard; 0: a free one."""

"""Where a replica listens for calls of other replicas: on its node's own address.

Serve has no setting for it and listens on every interface (Ray 2.60, ``serve/_private/replica.py``).
"""

from __future__ import annotations

from typing import Any

import ray
from ray.serve._private import replica

EVERYWHERE = "[::]:0"
"""What Serve asks for."""
_OPENS = "add_port_to_grpc_server"
_open = vars(replica)[_OPENS]


def install() -> None:
    """Call it before Serve starts its servers in this process: in the deployment's constructor."""
    host: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call] # untyped in Ray
    own = f"[{host}]:0" if ":" in host else f"{host}:0"

    def open_port(server: Any, address: str) -> Any:
        return _open(server, own if address == EVERYWHERE else address)

    vars(replica)[_OPENS] = open_port

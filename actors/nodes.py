"""The cluster's nodes, as Ray knows them. These calls block; run them in a thread."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import ray
import structlog

_log = structlog.get_logger(__name__)

HEAD_RESOURCE = "node:__internal_head__"
"""What only the head has (Ray 2.60, ``ray/_common/constants.py``). The head's death is the cluster's death, so what is
pinned to it depends on nothing more than before."""


def alive_nodes() -> set[str]:
    """Ids of the nodes that are alive, the draining ones too."""
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call] # Ray's own


def draining_nodes() -> set[str]:
    """Ids of the nodes that Ray was told to empty: a cloud takes them back, or an autoscaler removes them."""
    call = _draining_call()
    return set(call()) if call else set()


@functools.cache
def _draining_call() -> Callable[[], Mapping[str, int]] | None:
    """Ray tells it by a private call only (``ray._private.state``, Ray 2.60): node id to deadline. Where that is gone,
    no node counts as draining, and rooms move when the node dies."""
    try:
        from ray._private.state import state

        call: Callable[[], Mapping[str, int]] = state.get_draining_nodes
    except (ImportError, AttributeError) as error:
        _log.warning("draining_unknown", error=repr(error))
        return None
    return call

"""How many replicas of the API there should be, by what they do: Serve asks this policy in its controller.

Serve counts an open stream as a request like any other, and an idle one costs a replica next to nothing, while one that
relays a reply keeps it busy. So three things are counted apart, and the scarcest decides.

Serve sends the module as it is to the controller, by value: it stands alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

STREAMS, REPLIES, PROCESSOR = "parlor_streams", "parlor_replies", "parlor_processor"
"""The names under which replicas report (``ChatApi.record_autoscaling_stats``)."""


class Load(NamedTuple):
    """What replicas have to do, one or all of them."""

    streams: float
    """Event streams that are open."""
    replies: float
    """Requests under way that wait for a reply or relay it as it is written."""
    processor: float
    """Processor time in a second: 1 is a whole core, which is all that a replica's event loop can use."""


class Most(NamedTuple):
    """How much of each a replica is to have."""

    streams: float
    replies: float = 400.0
    """About as many as one process relays at the speed of a model without delay."""
    processor: float = 0.65
    """Beyond it requests begin to wait for each other (docs/PERFORMANCE.md)."""


def wanted(load: Load, most: Most) -> float:
    """How many replicas the whole load needs: as many as the scarcest needs. Serve rounds up, waits for
    ``upscale_delay_s`` or ``downscale_delay_s``, and keeps within the least and most replicas."""
    return max(have / may for have, may in zip(load, most, strict=True))


def load_of(reported: Mapping[str, Mapping[object, float]]) -> Load | None:
    """The sum over the replicas; None while none has reported."""
    if not any(reported.get(name) for name in (STREAMS, REPLIES, PROCESSOR)):
        return None
    return Load(*(_sum(reported.get(name, {}).values()) for name in (STREAMS, REPLIES, PROCESSOR)))


def _sum(values: Iterable[float]) -> float:
    return float(sum(values))


class ByLoad:
    """The policy (``AutoscalingConfig.policy``); ``policy_kwargs`` are those of its constructor."""

    def __init__(self, streams: float, replies: float = 400.0, processor: float = 0.65) -> None:
        self._most = Most(streams, replies, processor)

    def __call__(self, context: Any) -> tuple[float, dict[str, Any]]:
        load = load_of(context.aggregated_metrics or {})
        if load is None:
            # Replicas of a version before, or none that has reported yet.
            load = Load(0.0, context.total_num_requests, 0.0)
        return wanted(load, self._most), {}

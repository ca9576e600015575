"""What a replica has to do, as Serve's autoscaler hears it."""

from __future__ import annotations

import time
from collections.abc import Callable

from api.autoscaling import PROCESSOR, REPLIES, STREAMS
from api.edge import Edge


class ReplicaLoad:
    """Measured from one report to the next."""

    def __init__(self, edge: Edge, processor_seconds: Callable[[], float] = time.process_time) -> None:
        self._edge = edge
        self._processor_seconds = processor_seconds
        self._before = (edge.clock.monotonic(), processor_seconds())

    def report(self) -> dict[str, float]:
        """Numbers by the names that the policy knows."""
        now = (self._edge.clock.monotonic(), self._processor_seconds())
        elapsed, used = now[0] - self._before[0], now[1] - self._before[1]
        self._before = now
        streams = self._edge.streams
        waiting = max(0, self._edge.under_way - streams.taken - self._edge.limits.refusals.held)
        return {
            STREAMS: float(streams.taken),
            REPLIES: float(waiting + streams.replies),
            PROCESSOR: used / elapsed if elapsed > 0 else 0.0,
        }

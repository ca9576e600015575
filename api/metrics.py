"""The metrics of an API replica in Ray's: ``ray_parlor_...``, as in ``actors.metrics``."""

from __future__ import annotations

from ray.util.metrics import Counter, Gauge


class RayEdgeMetrics:
    """Implements ``api.edge.EdgeMetrics``. One for each process: Ray registers metrics by name."""

    def __init__(self) -> None:
        self._streams = Gauge("parlor_open_streams", "Event streams that the replica has open")
        self._problems = Counter("parlor_problems_total", "Requests answered with an error", tag_keys=("code",))

    def open_streams(self, count: int) -> None:
        self._streams.set(count)

    def refused(self, code: str) -> None:
        self._problems.inc(tags={"code": code})

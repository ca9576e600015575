"""What every request finds: settings, gateway, clock, metrics, and the limits of one replica."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from fastapi import Request

from parlor.clock import Clock, Entropy
from parlor.errors import Overloaded
from parlor.gateway import Gateway
from parlor.settings import ApiSettings

_STREAM_RETRY = 5.0
"""Seconds after which a refused stream may try again: streams last long, so places come free slowly."""


class EdgeMetrics(Protocol):
    """What the edge reports of itself."""

    def open_streams(self, count: int) -> None:
        """How many event streams this replica has open now."""

    def refused(self, code: str) -> None:
        """A request was answered with this error code."""


class NoMetrics:
    """For tests and programs without Ray."""

    def open_streams(self, count: int) -> None:
        del count

    def refused(self, code: str) -> None:
        del code


class StreamSlots:
    """The event streams of one replica, counted and bounded."""

    def __init__(self, limit: int, metrics: EdgeMetrics) -> None:
        self._limit = limit
        self._metrics = metrics
        self.taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """A place for one stream. Raises ``Overloaded`` when there is none."""
        if self.taken >= self._limit:
            raise Overloaded("Too many event streams are open", retry_after=_STREAM_RETRY)
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, by: int) -> None:
        self.taken += by
        self._metrics.open_streams(self.taken)


class Edge:
    """One replica's state: nothing that would be missed when it dies."""

    def __init__(self, settings: ApiSettings, clock: Clock, entropy: Entropy, metrics: EdgeMetrics) -> None:
        self.settings = settings
        self.clock = clock
        self.entropy = entropy
        self.metrics = metrics
        self.streams = StreamSlots(settings.max_streams, metrics)
        self.under_way = 0
        """Requests that were begun and not ended, streams included."""
        self._gateway: Gateway | None = None

    @property
    def gateway(self) -> Gateway:
        """Raises ``RuntimeError`` outside of the application's lifespan."""
        if self._gateway is None:
            raise RuntimeError("the gateway is open only during the application's lifespan")
        return self._gateway

    def open(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def close(self) -> None:
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            await gateway.close()


def edge_of(request: Request) -> Edge:
    """The edge that serves this request."""
    edge: Edge = request.app.state.edge
    return edge

"""What all requests of a replica share: settings, gateway, clock, metrics, and its limits on streams and requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from fastapi import Request

from api.callers import OpenStreams
from api.rates import Limits, Shares
from parlor.clock import Clock, Entropy
from parlor.errors import Overloaded
from parlor.gateway import Gateway
from parlor.model.requests import DependencyHealth
from parlor.settings import ApiSettings
from parlor.settings.limits import LimitSettings

_STREAM_RETRY = 5.0
"""Seconds after which a refused client should try again. Streams last long, so one ends only now and then."""


class EdgeMetrics(Protocol):
    """What a replica reports of itself."""

    def open_streams(self, count: int) -> None:
        """Event streams that are open now."""

    def refused(self, code: str) -> None:
        """A request was answered with this error code."""


class NoMetrics:
    """Reports nothing; for tests and programs without Ray."""

    def open_streams(self, count: int) -> None:
        del count

    def refused(self, code: str) -> None:
        del code


class StreamSlot:
    """The right to have one event stream open. Used as a context manager, or released; more than once is harmless."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.release()


class StreamSlots:
    """Counts the open event streams of a replica and limits them."""

    def __init__(self, limit: int, shares: Shares, metrics: EdgeMetrics) -> None:
        self._limit = limit
        self._shares = shares
        self._metrics = metrics
        self.taken = 0
        self.replies = 0
        """Of those, the ones that are a reply and end with it."""

    def take(self, account: str, *, reply: bool = False) -> StreamSlot:
        """Returns a slot for one stream; ``reply``: of one reply that is being written. Raises ``RateLimited`` when the
        account has its share, and ``Overloaded`` when all slots are taken."""
        if self.taken >= self._limit:
            raise Overloaded("Too many event streams are open", retry_after=_STREAM_RETRY)
        give_back = self._shares.take(account)
        self._change(1)
        self.replies += reply

        def release() -> None:
            give_back()
            self._change(-1)
            self.replies -= reply

        return StreamSlot(release)

    def tell(self) -> None:
        """Tells the metrics how many are open. Ray forgets a gauge that its process has not set for 20 s."""
        self._metrics.open_streams(self.taken)

    def _change(self, by: int) -> None:
        self.taken += by
        self.tell()


class Edge:
    """The state of one replica. Nothing in it is needed after a restart."""

    def __init__(
        self, settings: ApiSettings, limits: LimitSettings, clock: Clock, entropy: Entropy, metrics: EdgeMetrics
    ) -> None:
        self.settings = settings
        self.limits = Limits(limits, clock)
        self.clock = clock
        self.entropy = entropy
        self.metrics = metrics
        self.streams = StreamSlots(settings.max_streams, self.limits.streams, metrics)
        self.open_streams = OpenStreams(clock)
        self.under_way = 0
        """Requests that have not ended, streams included."""
        self.checking: asyncio.Task[list[DependencyHealth]] | None = None
        """The health check that is under way, or the last one."""
        self._gateway: Gateway | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_full(self) -> bool:
        """Whether more requests are under way than the replica takes."""
        return self.under_way - self.streams.taken - self.limits.refusals.held > self.settings.max_requests

    @property
    def gateway(self) -> Gateway:
        """Raises ``RuntimeError`` outside of the application's lifespan."""
        if self._gateway is None:
            raise RuntimeError("the gateway is open only during the application's lifespan")
        return self._gateway

    def open(self, gateway: Gateway) -> None:
        self._gateway, self._loop = gateway, asyncio.get_running_loop()
        self.limits.accounts = gateway.limits

    def leave(self) -> None:
        """Has streams end whose readers can go on elsewhere: the replica is being stopped. From any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.open_streams.leave)

    async def close(self) -> None:
        if self.checking is not None:
            self.checking.cancel()
            await asyncio.gather(self.checking, return_exceptions=True)
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            await gateway.close()


def edge_of(request: Request) -> Edge:
    """The edge of the application that serves the request."""
    edge: Edge = request.app.state.edge
    return edge

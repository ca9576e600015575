"""Whether a writer does its work, and why not: told in its status and its metrics, and logged once for each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
import structlog

from parlor.errors import (
    CacheUnavailable,
    ForeignCache,
    ForeignStore,
    LeaseLost,
    ParlorError,
    PartitionMoves,
    ShardBehind,
    StoreUnavailable,
)
from parlor.metrics import NotHeld, WriterMetrics
from parlor.model.ids import ShardId

_log = structlog.get_logger(__name__)

PATIENCE = 3
"""Failures in a row from which on a writer is not well: a server that is started again, or a partition that changes
its writer, costs one or two."""

_REASONS: tuple[tuple[type[ParlorError], NotHeld], ...] = (
    (ForeignCache, NotHeld.FOREIGN_CACHE),
    (ForeignStore, NotHeld.FOREIGN_STORE),
    (ShardBehind, NotHeld.SHARD_BEHIND),
    (PartitionMoves, NotHeld.PARTITION_MOVES),
    (LeaseLost, NotHeld.LEASE_LOST),
    (CacheUnavailable, NotHeld.CACHE_UNAVAILABLE),
    (StoreUnavailable, NotHeld.STORE_UNAVAILABLE),
)


class Refusal(msgspec.Struct, frozen=True):
    """Why a partition is not held."""

    reason: NotHeld
    detail: str
    """For people; it may be read without a token."""
    lasting: bool = True
    """False while waiting is the normal thing."""


def refusal_of(error: ParlorError) -> Refusal:
    reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), NotHeld.STORE_UNAVAILABLE)
    return Refusal(reason, error.detail)


class WriterHealth:
    """``wanted``: how many partitions the writer is to hold."""

    def __init__(self, shard: ShardId, wanted: int, metrics: WriterMetrics) -> None:
        self._shard = shard
        self._wanted = wanted
        self._metrics = metrics
        self._refused: list[Refusal] = []
        self._failures = 0
        self._failure: ParlorError | None = None
        self._logged = ""

    @property
    def failures(self) -> int:
        """In a row."""
        return self._failures

    @property
    def trouble(self) -> str:
        """Why the writer does not hold all of its partitions; empty: it does, or will soon."""
        if self._failure is not None and self._failures >= PATIENCE:
            return f"it holds none of {self._wanted} partitions: {self._failure.detail}"
        lasting = Counter(refusal.detail for refusal in self._refused if refusal.lasting)
        return "; ".join(f"it does not hold {n} of {self._wanted} partitions: {why}" for why, n in lasting.items())

    def wants(self, partitions: int) -> None:
        """The writer is to hold so many from now on."""
        self._wanted = partitions

    def refused(self, refusals: Iterable[Refusal]) -> None:
        """What keeps it from each partition that it asked for and does not hold."""
        self._refused = list(refusals)
        self._report(Counter(refusal.reason for refusal in self._refused))
        self._log("")

    def failed(self, error: ParlorError) -> None:
        """It has let go of everything, and begins anew."""
        self._failures += 1
        self._failure = error
        self._report(Counter({refusal_of(error).reason: self._wanted}))
        self._log(error.debug)

    def went_well(self) -> None:
        """A batch was taken, or there was nothing to take."""
        if self._failure is not None:
            _log.info("writer_goes_on", shard=self._shard, failures=self._failures)
        self._failures, self._failure = 0, None

    def _report(self, counts: Counter[NotHeld]) -> None:
        for reason in NotHeld:
            self._metrics.not_held(self._shard, reason, counts[reason])

    def _log(self, debug: str) -> None:
        """A line when the reason changes, and none while it stays."""
        now = self._failure.detail if self._failure is not None else self.trouble
        if now and now != self._logged:
            _log.error("writer_in_trouble", shard=self._shard, reason=now, debug=debug)
        self._logged = now

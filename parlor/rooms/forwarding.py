"""Commands from one Ray cluster to another that serves the same installation (ADR 0059).

The claim of a room names its owner's cluster. Who finds another living one there does not claim the room, but leaves
the command for that cluster in Redis, and looks for the answer. Both ends ask Redis again and again instead of waiting
in it: a cluster that is alone keeps no connection for others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
import structlog
from msgspec import structs

from parlor.cache.clusters import CALL_MS, ClusterCache
from parlor.clock import Clock
from parlor.errors import ParlorError
from parlor.model.ids import NO_CLUSTER, ClusterId, IdMint
from parlor.rooms.commands import Command, Outcome, decode_commands, decode_outcomes, encode_commands, encode_outcomes

_log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.01
"""Between two looks for an answer, or for calls while some come."""
IDLE_SECONDS = 0.5
"""Between two looks for calls while none come. Each is also a sign of life."""
BUSY_SECONDS = 30.0
"""After the last call a cluster goes on looking often for so long."""
ENLIST_SECONDS = 10.0
"""Redis may forget which clusters there are: so often they say it."""

Serve: TypeAlias = Callable[[Command], Awaitable[Outcome]]
"""Has an owner in this cluster serve a command from another one, with the ticket that it came with."""


class Unanswered(Exception):
    """The other cluster did not answer: it may have happened, or happen later."""


class Forwarder:
    """The end of the cluster that asks. ``cluster`` is its own; ``NO_CLUSTER``: it never asks another one."""

    def __init__(self, cluster: ClusterId, clusters: ClusterCache, clock: Clock, mint: IdMint) -> None:
        self._cluster = cluster
        self._clusters = clusters
        self._clock = clock
        self._mint = mint

    async def forward(self, cluster: ClusterId, command: Command) -> Outcome | None:
        """Has the cluster that a room's claim names serve a command. None when that is this one, or none, or does not
        live: somebody here may claim the room. The command has a ticket, higher than that of any copy before: a copy
        that is served outdates those, however long they have lain somewhere. Raises ``Unanswered``,
        ``CacheUnavailable``."""
        if self._cluster == NO_CLUSTER or cluster in (NO_CLUSTER, self._cluster):
            return None
        nonce = self._mint.token()
        if not await self._clusters.call(cluster, nonce, encode_commands([structs.replace(command, forwarded=True)])):
            return None
        deadline = self._clock.monotonic() + CALL_MS / 1000
        while self._clock.monotonic() < deadline:
            await self._clock.sleep(LOOK_SECONDS)
            answer = await self._clusters.answer_to(cluster, nonce)
            if answer is None:
                break
            if answer:
                return decode_outcomes(answer)[0]
        raise Unanswered(cluster)

    async def elsewhere(self, clusters: set[ClusterId]) -> set[ClusterId]:
        """Those of the clusters that are others and live. Raises ``CacheUnavailable``."""
        others = clusters - {NO_CLUSTER, self._cluster} if self._cluster else set()
        return {one for one in others if await self._clusters.lives(one)}


class ForwardedCalls:
    """The end of the cluster that is asked: one process of each cluster runs it. ``close`` it."""

    def __init__(self, cluster: ClusterId, clusters: ClusterCache, clock: Clock, serve: Serve) -> None:
        self._cluster = cluster
        self._clusters = clusters
        self._clock = clock
        self._serve = serve
        self._serving: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Gives signs of life and serves calls, until it is cancelled."""
        busy_until = enlist_at = float("-inf")
        while True:
            now, calls = self._clock.monotonic(), []
            try:
                calls = await self._clusters.take(self._cluster)
                if now >= enlist_at:
                    await self._clusters.enlist(self._cluster)
                    enlist_at = now + ENLIST_SECONDS
            except ParlorError as error:
                _log.warning("calls_not_taken", code=error.code, debug=error.debug)
            for nonce, blob in calls:
                serving = asyncio.create_task(self._answer(nonce, blob))
                self._serving.add(serving)
                serving.add_done_callback(self._serving.discard)
            if calls:
                busy_until = now + BUSY_SECONDS
            await self._clock.sleep(LOOK_SECONDS if now < busy_until else IDLE_SECONDS)

    async def others(self) -> list[ClusterId]:
        """The other clusters that live. Raises ``CacheUnavailable``."""
        return await self._clusters.others(self._cluster)

    async def close(self) -> None:
        """Waits for what is being served, then says that the cluster is gone. ``run`` has ended. Raises
        ``CacheUnavailable``."""
        if self._serving:
            await asyncio.wait(self._serving, timeout=CALL_MS / 1000)
        await self._clusters.leave(self._cluster)

    async def _answer(self, nonce: str, blob: bytes) -> None:
        try:
            (command,) = decode_commands(blob)
            outcome = await self._serve(command)
            await self._clusters.answer(self._cluster, nonce, encode_outcomes([outcome]))
        except ParlorError as error:
            _log.warning("call_not_answered", code=error.code, debug=error.debug)
        except (msgspec.DecodeError, ValueError) as error:
            # Of a version that is more than one ahead: the caller is not answered, and says so to its client.
            _log.error("call_not_understood", debug=repr(error))
        except Exception:  # noqa: BLE001 - the caller asks again; it may have happened
            _log.exception("call_failed")

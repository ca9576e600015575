"""Redis fails over to a replica that lacks what was acknowledged last."""

from __future__ import annotations

import asyncio
import time

from tests.chaos.system.faults import Blow
from tests.chaos.system.replica_target import ReplicaTarget
from tests.redis_groups import cut_off, until

BEHIND_SECONDS = 0.8
"""How long the replica hears nothing: what is acknowledged meanwhile is lost, unless it is stored. Shorter than what
makes a sentinel give a replica up."""


class KillPrimary(Blow):
    """kill -9 of the primary when its replica is behind. What was acknowledged in between and not stored is lost, and
    nothing else; nothing that is stored is hidden by the older copy."""

    name, loses, needs_replicas = "kill-primary", True, True

    async def aim(self) -> None:
        target = self.target
        assert isinstance(target, ReplicaTarget)
        self._group = target.group
        await asyncio.to_thread(until, self._group.whole, "every primary has a replica")
        self._primary = self.chance.choice(await asyncio.to_thread(lambda: self._group.primaries))
        self._replicas = await asyncio.to_thread(self._group.replicas_of, self._primary)

    async def apply(self) -> None:
        try:
            await asyncio.to_thread(cut_off, self._primary, self._replicas)
            await asyncio.sleep(BEHIND_SECONDS)
            await asyncio.to_thread(self._primary.kill)
        finally:
            for node in self._replicas:
                node.wake()

    async def heal(self) -> None:
        await asyncio.to_thread(until, self._promoted, "a replica is promoted")
        self.back_at = time.monotonic()
        await asyncio.to_thread(self._primary.start)

    async def is_healed(self) -> bool:
        return await asyncio.to_thread(self._group.whole)

    def _promoted(self) -> bool:
        primaries = self._group.primaries
        return any(node in primaries for node in self._replicas)

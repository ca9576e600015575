"""ShardWriter: a process that takes queues into one shard. The loop itself is ``parlor.persistence.writer``."""

from __future__ import annotations

import asyncio
import os

import structlog
from msgspec.structs import replace

from actors.contracts import ActorStatus
from actors.logs import observe
from actors.metrics import RayWriterMetrics
from actors.once import Once
from actors.process import ActorProcess
from actors.status import counted
from actors.threads import serve_calls
from parlor.model.ids import Partition, ShardId, in_cluster
from parlor.persistence.writer import ShardWriterLoop
from parlor.wiring import Wiring

_log = structlog.get_logger(__name__)


class ShardWriter:
    """See ``actors.contracts.ShardWriterContract``."""

    def __init__(self, settings_json: str, name: str, shard: ShardId, partitions: list[Partition]) -> None:
        self._process = ActorProcess(name, "ShardWriter", settings_json)
        self._settings = self._process.settings
        self._name = name
        self._shard = shard
        self._partitions = partitions
        self._loop = Once(self._open)
        self._metrics = RayWriterMetrics(name, shard)
        self._running: asyncio.Task[None] | None = None
        self._removing: asyncio.Task[None] | None = None
        observe(self._settings, name)
        serve_calls()

    async def start(self) -> None:
        await self._loop()

    async def status(self) -> ActorStatus:
        loop = self._loop.result
        if loop is None:
            return self._process.status(started=False)
        partitions = list(map(int, loop.held))
        committed = self._metrics.committed
        return replace(self._process.status(), partitions=partitions, committed=committed, trouble=loop.trouble)

    async def assign(self, partitions: list[Partition]) -> None:
        await (await self._loop()).assign(partitions)

    async def stop(self) -> None:
        loop = await self._loop()
        await loop.stop()
        if self._running is not None:
            await self._running
        if self._removing is not None:
            self._removing.cancel()
            await asyncio.gather(self._removing, return_exceptions=True)

    async def _open(self) -> ShardWriterLoop:
        wiring = await Wiring.open(self._settings)
        # Another installation on the same servers has writers of the same names: they are no successors of this one;
        # nor are those in another cluster.
        holder = in_cluster(f"{self._settings.ray.namespace}/{self._name}", self._process.cluster)
        loop = ShardWriterLoop(wiring.writer_ports(self._metrics), self._shard, holder, self._partitions)
        self._running = asyncio.create_task(loop.run())
        self._running.add_done_callback(_end_process_on_failure)
        if self._settings.files.url:
            self._removing = asyncio.create_task(wiring.file_removal(self._shard).run())
            self._removing.add_done_callback(_end_process_on_failure)
        return loop

    def __repr__(self) -> str:
        # Ray shows an actor as it was right after its constructor: what it is to hold.
        return f"ShardWriter({self._name}, {counted(len(self._partitions), 'partition')} of shard {self._shard})"


def _end_process_on_failure(task: asyncio.Task[None]) -> None:
    """A loop that ended by a fault of ours must not leave a writer that looks alive: Ray starts the process again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("writer_failed", exc_info=error)
        os._exit(1)

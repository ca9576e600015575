"""WriterQueue over a connection whose other end is gone."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr

from parlor.cache.live import Live
from parlor.cache.queue import WriterQueue
from parlor.clock import SystemClock
from parlor.errors import CacheUnavailable
from parlor.model.ids import Partition
from parlor.settings import RedisSettings, Settings

pytestmark = pytest.mark.unit

HOME = Partition(0)


class SilentServer:
    """Takes connections and never says a word."""

    async def __aenter__(self) -> SilentServer:
        self._writers: list[asyncio.StreamWriter] = []
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _take(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)


@pytest.mark.parametrize("read", ["new", "unfinished"])
async def test_a_read_that_is_never_answered_ends_in_time(read: str) -> None:
    async with SilentServer() as server:
        redis = RedisSettings(url=SecretStr(server.url), command_timeout=timedelta(seconds=0.05))
        live = Live.open(Settings(redis=redis), SystemClock())
        queue = WriterQueue(live, redis)
        try:
            async with asyncio.timeout(5):
                with pytest.raises(CacheUnavailable):
                    await (queue.new([HOME], 10, 50) if read == "new" else queue.unfinished(HOME, None, 10))
        finally:
            await queue.close()
            await live.close()

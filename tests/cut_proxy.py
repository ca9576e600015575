"""A TCP proxy that cuts connections at a given byte, as bad networks do.

A request says itself how many bytes of the answer may pass, in the header ``X-Cut-After: 1234`` (``1234 reset``: the
connection is reset, not closed). So each reader's schedule of cuts is its own, whatever else runs at the same time.
"""

from __future__ import annotations

import asyncio
import re
from types import TracebackType

_PIECE = 65_536
_CUT = re.compile(rb"\r\nx-cut-after: (\d+)( reset)?\r\n", re.IGNORECASE)


class CutProxy:
    """Forwards to one address; a connection carries one request. Without the header nothing is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.host = "127.0.0.1"
        self.port = 0
        self.cuts = 0

    async def __aenter__(self) -> CutProxy:
        self._server = await asyncio.start_server(self._accept, self.host, 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except (EOFError, OSError):
            writer.transport.abort()
            return
        asked = _CUT.search(request)
        far_writer.write(request)
        ways = [
            asyncio.create_task(_pass_on(reader, far_writer, None)),
            asyncio.create_task(_pass_on(far_reader, writer, int(asked[1]) if asked else None)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            self.cuts += ways[1].done() and not ways[1].cancelled() and ways[1].result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far_writer.transport.abort()
            if asked and asked[2]:
                writer.transport.abort()
            else:
                writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> bool:
    """Until the end of either side, or the limit in bytes; whether it was the limit."""
    try:
        while piece := await reader.read(_PIECE):
            writer.write(piece[:limit])
            await writer.drain()
            if limit is not None:
                if len(piece) >= limit:
                    return True
                limit -= len(piece)
    except OSError:
        return False
    return False

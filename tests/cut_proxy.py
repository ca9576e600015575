"""A TCP proxy that cuts connections at a given byte, as bad networks do.

A request says itself how many bytes of the answer may pass, in the header ``X-Cut-After: 1234`` (``1234 reset``: the
connection is reset, not closed). So each reader's schedule of cuts is its own, whatever else runs at the same time.
"""

from __future__ import annotations

import asyncio
import re

from tests.tcp_proxy import Proxy

_CUT = re.compile(rb"\r\nx-cut-after: (\d+)( reset)?\r\n", re.IGNORECASE)


class CutProxy(Proxy):
    """Forwards to one address; a connection carries one request. Without the header nothing is cut."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._target = (host, port)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
            # Before anything is awaited, which the proxy's end may cut short.
            far_writer.transport.abort()
            if asked and asked[2]:
                writer.transport.abort()
            else:
                writer.close()
            await asyncio.gather(*ways, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> bool:
    """Until the end of either side, or the limit in bytes; whether it was the limit."""
    try:
        while piece := await reader.read(Proxy.piece):
            writer.write(piece[:limit])
            await writer.drain()
            if limit is not None:
                if len(piece) >= limit:
                    return True
                limit -= len(piece)
    except OSError:
        return False
    return False

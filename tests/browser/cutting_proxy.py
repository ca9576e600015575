"""A TCP proxy that cuts event streams and sockets in the middle, as bad networks do."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from tests.tcp_proxy import Proxy


class CuttingProxy(Proxy):
    """Forwards to ``target``; a connection that asks for events is reset after so many bytes of the answer.

    The allowance grows by half with each cut, so that whatever the size of an event it gets through in the end.
    """

    def __init__(self, target: str, first_allowance: int) -> None:
        super().__init__()
        address = urlsplit(target)
        self._target = (address.hostname or "127.0.0.1", address.port or 80)
        self._allowance = first_allowance
        self.cutting = True

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        line = _Line(reader, writer, far_reader, far_writer)
        ways = [asyncio.create_task(line.requests()), asyncio.create_task(self._answers(line))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            # Before anything is awaited, which the proxy's end may cut short.
            line.reset()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _answers(self, line: _Line) -> None:
        passed = 0
        while piece := await line.far_reader.read(Proxy.piece):
            if not (line.streaming and self.cutting):
                line.writer.write(piece)
            else:
                room = self._allowance - passed
                line.writer.write(piece[:room])
                passed += len(piece)
                if passed > self._allowance:
                    await line.writer.drain()
                    self.cuts += 1
                    self._allowance += self._allowance // 2
                    return
            await line.writer.drain()


class _Line:
    """One connection from the browser and its other half to the server."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self.reader, self.writer, self.far_reader, self.far_writer = reader, writer, far_reader, far_writer
        self.streaming = False

    async def requests(self) -> None:
        while piece := await self.reader.read(Proxy.piece):
            if any(path in piece.split(b"\r\n", 1)[0] for path in (b"/events", b"/v1/socket")):
                self.streaming = True
            self.far_writer.write(piece)
            await self.far_writer.drain()

    def reset(self) -> None:
        self.writer.transport.abort()
        self.far_writer.transport.abort()

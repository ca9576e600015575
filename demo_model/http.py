"""The part of HTTP/1.1 that the demo model needs: requests with a length, whole or chunked answers, keep-alive.

It is not a web server. It exists because it costs next to nothing for each token, while a framework would limit every
measurement with the demo model, and because it cancels the handler as soon as the client disconnects. It refuses
whatever it does not know. It is meant for loopback and private networks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import cast

import msgspec

HEAD_MAX = 64 * 1024
BODY_MAX = 16 * 1024 * 1024
REQUEST_TIMEOUT = 75.0
"""Seconds to wait for the next request of a connection, or for the rest of a request."""
CLOSE_TIMEOUT = 5.0
"""Seconds for requests to end when the server is closed."""


class Request(msgspec.Struct, frozen=True):
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class _RefusedError(Exception):
    """The server does not support the request."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


Handler = Callable[[Request, "Connection"], Awaitable[None]]
"""Answers a request with ``respond``, or with ``begin``, ``write`` and ``end``; cancelled on a disconnect."""


class Connection(asyncio.Protocol):
    """The connection of a client, and the methods that answer on it."""

    def __init__(self, handler: Handler, connections: set[Connection], tasks: set[asyncio.Task[None]]) -> None:
        self._handler = handler
        self._connections = connections
        self._tasks = tasks
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports are not subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._tasks.add(self._task)
        self._task.add_done_callback(self._ended)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._arrived.set()
        if len(self._buffer) > HEAD_MAX + BODY_MAX:
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # For the handler

    def respond(self, status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Sends a whole answer; ``body`` is JSON."""
        self._head(status, {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})})
        self._send(body)

    def begin(self, headers: dict[str, str]) -> None:
        """Begins an answer in chunks."""
        self._head(HTTPStatus.OK, {"Transfer-Encoding": "chunked", **headers})

    async def write(self, chunks: list[bytes]) -> None:
        """Sends the chunks in one write; waits while the client is slow to read."""
        self._send(b"".join([b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]))
        if not self._writable.is_set():
            await self._writable.wait()  # cancelled when the connection ends

    def end(self) -> None:
        self._send(b"0\r\n\r\n")

    def cut(self) -> None:
        """Closes the connection after sending what was written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes the connection at once; what was written may not be sent."""
        if self._transport is not None:
            self._transport.abort()

    # Inside

    async def _serve(self) -> None:
        try:
            while (request := await self._request()) is not None:
                await self._handler(request, self)
                if request.headers.get("connection", "").lower() == "close":
                    break
        except _RefusedError as error:
            body = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":null}}'
            self.respond(error.status, body % error.status.phrase.encode(), {"Connection": "close"})
        except TimeoutError:
            pass  # idle: close the connection, as web servers do
        finally:
            self.cut()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "the demo model failed to answer", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    async def _request(self) -> Request | None:
        """The next request; None when the connection is closing."""
        if self._transport is None or self._transport.is_closing():
            return None
        async with asyncio.timeout(REQUEST_TIMEOUT):
            while (end := self._buffer.find(b"\r\n\r\n")) < 0:
                if len(self._buffer) > HEAD_MAX:
                    raise _RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                await self._more()
            method, path, headers = _parse_head(bytes(self._buffer[:end]))
            length = _body_length(headers)
            if headers.get("expect", "").lower() == "100-continue":
                self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
            while len(self._buffer) < end + 4 + length:
                await self._more()
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        return Request(method, path, headers, body)

    async def _more(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self._send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


class HttpServer:
    """Listens until it is closed."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    async def start(self, host: str, port: int) -> int:
        """Listens, and returns the port; ``port`` 0 takes a free one. Raises ``OSError``."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handler, self._connections, self._tasks), host, port, backlog=2048
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Closes all connections; answers in progress are cut off."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT)
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await self._server.wait_closed()
        self._server = None


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[1].startswith("/"):
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    if parts[2] != "HTTP/1.1":
        raise _RefusedError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        headers[name.lower()] = value.strip()
    return parts[0], parts[1].partition("?")[0], headers


def _body_length(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise _RefusedError(HTTPStatus.LENGTH_REQUIRED)
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    if (length := int(text)) > BODY_MAX:
        raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return length

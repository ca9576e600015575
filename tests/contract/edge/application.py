"""HAProxy in front of the application, and a client that sees every byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from api import http1, socket_server
from api.app import build_app
from parlor.gateway import Gateway
from parlor.settings import AuthSettings, Settings
from tests.integration.waiting import eventually
from tests.unit.api.bearer_tokens import SECRET, token
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import ROOM
from tests.unit.fake_clock import FakeClock
from tests.unit.parlor_cli.haproxy_front import in_front_of

SETTINGS = Settings(auth=AuthSettings(secret=SecretStr(SECRET)))
AUTHORIZED = f"Host: x\r\nAuthorization: Bearer {token(SETTINGS)}\r\n".encode()
CLOSE = b"Connection: close\r\n\r\n"
PATH = f"/v1/rooms/{ROOM}".encode()
LONG = 15.0
"""Seconds; no test waits for so long."""
_DRIP = 0.1


class Answer:
    """A response as it came over the connection."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    def problem(self) -> dict[str, Any]:
        """The body, which is a whole problem of this request."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["cache-control"] == "no-store"
        assert self.headers["x-content-type-options"] == "nosniff"
        found: dict[str, Any] = json.loads(self.body)
        assert found["status"] == self.status
        assert found["request_id"] == self.headers["x-request-id"]
        return found


class Edge:
    """HAProxy, and the replica behind it."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.port = 0
        self.gateway = FakeGateway()
        self.seen: list[dict[bytes, bytes]] = []
        """The headers of each request that reached the replica."""
        self._logs = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        """Where HAProxy sends the lines that Serve makes metrics of."""
        self._logs.setblocking(False)

    async def say(self, request: bytes, *, port: int = 0, source: str = "127.0.0.1") -> Answer:
        """Sends this and reads until the end of the connection."""
        reader, writer = await self.connect(port=port, source=source)
        try:
            writer.write(request)
            async with asyncio.timeout(LONG):
                return Answer(await reader.read())
        finally:
            writer.close()

    async def connect(
        self, *, port: int = 0, source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that comes from an address of this machine."""
        return await asyncio.open_connection("127.0.0.1", port or self.port, local_addr=(source, 0))

    async def trickle(self, begin: bytes, drop: bytes) -> tuple[bytes, float]:
        """Begins a request and sends a little more again and again; returns what came, and after how many seconds the
        connection was closed."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        reader, writer = await self.connect()
        try:
            writer.write(begin)
            reading = asyncio.create_task(reader.read())
            async with asyncio.timeout(LONG):
                while not (await asyncio.wait([reading], timeout=_DRIP))[0]:
                    writer.write(drop)
                return await reading, loop.time() - began
        finally:
            writer.close()

    async def log_line(self) -> str:
        """The next line for Serve's metrics."""
        async with asyncio.timeout(LONG):
            found = await asyncio.get_running_loop().sock_recv(self._logs, 65536)
        return found.decode("latin-1")

    @contextlib.asynccontextmanager
    async def open(self, config: str, directory: Path) -> AsyncIterator[Edge]:
        async def factory() -> Gateway:
            return self.gateway

        http1.install()
        socket_server.install(self.settings.api.body_limit)
        app = build_app(self.settings, factory, clock=FakeClock(), echo_request_id=False)

        async def replica(scope: Scope, receive: Receive, send: Send) -> None:
            headers = dict(scope["headers"])
            if scope["path"] == "/-/healthz":
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.body", "body": b"of Serve"})
                return
            self.seen.append(headers)
            await app(scope, receive, _named(headers[b"x-request-id"], send))

        metrics_socket = directory / "m.sock"
        config = re.sub(r"(?m)^( *log )\S+( len 8192 format rfc5424)", rf"\1{metrics_socket}\2", config)
        served = uvicorn.Server(uvicorn.Config(replica, lifespan="off", log_level="error", http="httptools"))
        with contextlib.closing(self._logs), socket.create_server(("127.0.0.1", 0)) as listening:
            self._logs.bind(str(metrics_socket))
            async with app.router.lifespan_context(app):
                serving = asyncio.create_task(served.serve(sockets=[listening]))
                try:
                    async with in_front_of(listening.getsockname()[1], config, directory) as self.port:
                        await self._is_up()
                        yield self
                finally:
                    served.should_exit = served.force_exit = True
                    await serving

    async def _is_up(self) -> None:
        ask = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + CLOSE
        await eventually(lambda: self.say(ask), lambda answer: answer.status == 200)
        async with asyncio.timeout(LONG):
            while "status=200" not in await self.log_line():
                pass
        self.seen.clear()


def _named(request_id: bytes, send: Send) -> Send:
    """Writes the request's id into its answer, as Serve does."""

    async def named(message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
        await send(message)

    return named

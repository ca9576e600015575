"""What stands in for redis-py's client: pipelines, blocking reads and subscriptions, over ``SimServer``'s network."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import fakeredis._helpers
import fakeredis._socket._base
from redis import exceptions

from tests.chaos.simulation.redis_server import Command, SimServer


class SimPipelineRequest(AbstractAsyncContextManager["SimPipelineRequest"]):
    def __init__(self, server: SimServer) -> None:
        self._server = server
        self._commands: list[Command] = []

    def execute_command(self, *command: Any) -> None:
        self._commands.append(command)

    async def execute(self, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        return await self._server.round_trip(self._commands)

    async def __aexit__(self, *_: object) -> None:
        return None


class SimClient:
    """The part of ``redis.asyncio.Redis`` that the product uses."""

    def __init__(self, server: SimServer) -> None:
        self._server = server
        self.response_callbacks = server.response_callbacks

    def pipeline(self, transaction: bool) -> SimPipelineRequest:
        assert not transaction
        return SimPipelineRequest(self._server)

    async def script_load(self, source: str) -> None:
        await self._server.round_trip([("SCRIPT LOAD", source)])

    async def execute_command(self, *command: Any) -> Any:
        """A read of streams may say BLOCK: fakeredis has no time to block in, so it is asked again when something was
        written."""
        plain = list(command)
        wait = 0.0
        if "BLOCK" in plain:
            at = plain.index("BLOCK")
            wait = plain[at + 1] / 1000
            del plain[at : at + 2]
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            changed = self._server.changed
            (found,) = await self._server.round_trip([tuple(plain)])
            if isinstance(found, Exception):
                raise found
            if found or loop.time() >= until:
                return found
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await changed.wait()

    def pubsub(self) -> SimPubSub:
        return SimPubSub(self._server)

    async def aclose(self) -> None:
        return None


class SimPubSub:
    """Subscriptions over one connection, which redis-py makes again with the next call after it broke."""

    def __init__(self, server: SimServer) -> None:
        self._server = server
        self._heard: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._broken = False
        self.channels: dict[bytes, None] = {}
        self.pending_unsubscribe_channels: set[bytes] = set()
        server.subscribers.append(self)

    async def subscribe(self, *names: str) -> None:
        await self._connect()
        for name in names:
            self.channels[name.encode()] = None
            self._heard.put_nowait({"type": "subscribe", "channel": name.encode()})

    async def unsubscribe(self, *names: str) -> None:
        await self._connect()
        for name in names:
            self.channels.pop(name.encode(), None)
            self._heard.put_nowait({"type": "unsubscribe", "channel": name.encode()})

    async def get_message(self, timeout: float | None) -> dict[str, Any]:
        assert timeout is None
        await self._connect()
        heard = await self._heard.get()
        if heard is None:
            raise exceptions.ConnectionError("Connection closed by server.")
        return heard

    async def aclose(self) -> None:
        if self in self._server.subscribers:
            self._server.subscribers.remove(self)

    def publish(self, channel: bytes, data: bytes) -> None:
        if not self._broken and channel in self.channels:
            self._heard.put_nowait({"type": "message", "channel": channel, "data": data})

    def break_connection(self) -> None:
        """What was published and not read yet is lost with it."""
        self._broken = True
        self._heard = asyncio.Queue()
        self._heard.put_nowait(None)

    async def _connect(self) -> None:
        if not self._broken:
            return
        await self._server.round_trip([("PING",)])
        self._broken = False
        self._heard = asyncio.Queue()
        for channel in self.channels:
            self._heard.put_nowait({"type": "subscribe", "channel": channel})


@contextlib.contextmanager
def virtual_seconds(now: Any) -> Iterator[None]:
    """fakeredis expires keys by ``now`` (unix time in seconds)."""
    time = SimpleNamespace(time=now)
    with (
        mock.patch.object(fakeredis._socket._base, "time", time),
        mock.patch.object(fakeredis._helpers, "time", time),
    ):
        yield

"""From one process to one RoomActor: commands that come at about the same time travel in one call
(``parlor.coalescer``), over the actor's socket on its own node (``actors.room_socket``), over Ray from another."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog
from ray.exceptions import RayError

from actors.contracts import SocketAddress
from actors.handles import Handle, find_actor, this_node
from actors.room_socket import RoomLink
from parlor.coalescer import Closed, Coalescer
from parlor.errors import InternalError
from parlor.rooms.commands import Command, Outcome, decode_outcomes, encode_commands

_log = structlog.get_logger(__name__)

CALLS_IN_FLIGHT = 2
"""Batches under way to one actor: one is served while the next is filled (measured, docs/PERFORMANCE.md)."""
BATCH = 256
"""Commands of one call."""
ANSWER_SECONDS = 5.0
"""Longest wait for a batch. Serving it takes milliseconds; a command whose room has to be loaded travels alone."""


class Link(Protocol):
    """What carries calls to the actor."""

    async def call(self, body: bytes, flag: bool) -> bytes:
        """``RoomActorContract.execute``. Raises ``OSError`` or ``RayError`` when it failed: it may have happened."""

    def retire(self) -> None:
        """No more calls come. Those that are under way go on."""


class RayLink:
    """Ray's actor call: from another node, or when the actor has no socket."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def call(self, body: bytes, flag: bool) -> bytes:
        answer: bytes = await self._handle.execute.remote(body, flag)
        return answer

    def retire(self) -> None:
        return


class ActorUnreachable(Exception):
    """The call failed: it may have happened."""


class RoomChannel:
    """Raises ``ActorUnreachable``; refusals are outcomes.

    ``breaks`` counts the shared calls that failed: what was known before about the actor's rooms may be wrong since.
    """

    def __init__(self, name: str, namespace: str) -> None:
        self.name = name
        self.breaks = 0
        self._namespace = namespace
        self._link: Link | None = None
        self._connecting = asyncio.Lock()
        self._commands: Coalescer[Command, Outcome] = Coalescer(
            self._send, self._failure, batch_size=BATCH, calls_in_flight=CALLS_IN_FLIGHT
        )

    async def execute(self, command: Command) -> Outcome:
        """Serves a command of a room that the actor is believed to hold."""
        return await self._commands.submit(command)

    async def activate(self, command: Command) -> Outcome:
        """Serves a command of a room that the actor is to make its own. The room may have to be loaded, so the command
        travels alone."""
        return (await self._call([command], activate=True))[0]

    async def close(self) -> None:
        """Waits for what was asked for; what is asked for later is refused."""
        await self._commands.close()
        self._drop(self._link)

    async def _send(self, commands: list[Command]) -> list[Outcome]:
        try:
            return await self._call(commands, activate=False)
        except ActorUnreachable as error:
            self.breaks += 1
            # Commands that waited meanwhile do not try the same actor, which may take as long again.
            self._commands.fail_waiting(error)
            raise

    def _failure(self, error: BaseException) -> Exception:
        if isinstance(error, ActorUnreachable | asyncio.CancelledError | Closed):
            return ActorUnreachable(self.name)
        return InternalError(debug=repr(error))

    async def _call(self, commands: list[Command], *, activate: bool) -> list[Outcome]:
        link: Link | None = None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                link = await self._connected()
                blob = await link.call(encode_commands(commands), activate)
        except (RayError, OSError, ValueError) as error:
            _log.warning("room_actor_unreachable", name=self.name, debug=repr(error))
            self._drop(link)
            raise ActorUnreachable(self.name) from error
        return decode_outcomes(blob)

    async def _connected(self) -> Link:
        async with self._connecting:
            if self._link is None:
                handle = await find_actor(self.name, self._namespace)
                at: SocketAddress = await handle.socket.remote()
                here = at.path and at.node == this_node()
                self._link = await RoomLink.connect(at.path) if here else RayLink(handle)
            return self._link

    def _drop(self, link: Link | None) -> None:
        """The next call looks for the actor again: it may be another process by then."""
        if link is not None and link is self._link:
            self._link = None
            link.retire()

"""From one process to one RoomActor: commands that come at about the same time travel in one actor call
(``parlor.coalescer``), because a call costs a millisecond and more, whatever it carries."""

from __future__ import annotations

import asyncio

from ray.exceptions import RayError

from actors.handles import Handle, find_actor
from parlor.coalescer import Closed, Coalescer
from parlor.errors import InternalError
from parlor.rooms.commands import Command, Outcome, decode_outcomes, encode_commands

CALLS_IN_FLIGHT = 2
"""Batches under way to one actor: one is served while the next is filled (measured, docs/PERFORMANCE.md)."""
BATCH = 256
"""Commands of one call."""
ANSWER_SECONDS = 5.0
"""Longest wait for a batch. Serving it takes milliseconds; a command whose room has to be loaded travels alone."""


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
        self._handle: Handle | None = None
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
        try:
            if self._handle is None:
                self._handle = await find_actor(self.name, self._namespace)
            async with asyncio.timeout(ANSWER_SECONDS):
                blob: bytes = await self._handle.execute.remote(encode_commands(commands), activate)
        except (RayError, TimeoutError, ValueError) as error:
            self._handle = None
            raise ActorUnreachable(self.name) from error
        return decode_outcomes(blob)

"""From one process to one RoomActor: commands that are asked for at about the same time travel in one actor call.

An actor call costs a millisecond and more, whatever it carries; so while a few calls are under way, what comes in
meanwhile waits for the next one. The busier the process, the larger its batches.
"""

from __future__ import annotations

import asyncio

from ray.exceptions import RayError

from actors.handles import Handle, find_actor
from parlor.rooms.commands import Command, Outcome, decode_outcomes, encode_commands

CALLS_IN_FLIGHT = 2
"""Batches under way to one actor: one is being served while the next one is filled (measured, docs/PERFORMANCE.md)."""
BATCH = 256
"""Commands of one call."""
ANSWER_SECONDS = 5.0
"""Longest wait for a batch. What is served in it takes milliseconds; a room that has to be loaded goes by itself."""


class ActorUnreachable(Exception):
    """The call failed: it may have happened."""


class RoomChannel:
    """Raises ``ActorUnreachable``; refusals are outcomes.

    ``breaks`` counts how often a shared call failed: what was believed about the actor's rooms before is to be asked
    for anew.
    """

    def __init__(self, name: str, namespace: str) -> None:
        self.name = name
        self.breaks = 0
        self._namespace = namespace
        self._handle: Handle | None = None
        self._waiting: list[tuple[Command, asyncio.Future[Outcome]]] = []
        self._senders: set[asyncio.Task[None]] = set()

    async def execute(self, command: Command) -> Outcome:
        """Serves a command of a room that the actor is believed to hold."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        self._start_sender()
        return await answer

    async def activate(self, command: Command) -> Outcome:
        """Serves a command of a room that the actor is to make its own: it may have to be loaded, so nothing else
        waits for this call."""
        return (await self._call([command], activate=True))[0]

    async def close(self) -> None:
        while self._senders:
            await asyncio.wait(self._senders)

    def _start_sender(self) -> None:
        if len(self._senders) < CALLS_IN_FLIGHT:
            sender = asyncio.create_task(self._send_waiting())
            self._senders.add(sender)
            sender.add_done_callback(self._ended)

    def _ended(self, sender: asyncio.Task[None]) -> None:
        self._senders.discard(sender)
        if sender.cancelled():
            # The loop is being taken down: nobody may wait for ever.
            waiting, self._waiting = self._waiting, []
            self._fail(waiting)
        elif self._waiting:
            # Asked for between this sender's last look and its end, while it still counted as one under way.
            self._start_sender()

    async def _send_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                outcomes = await self._call([command for command, _ in batch], activate=False)
                for (_, answer), outcome in zip(batch, outcomes, strict=True):
                    if not answer.done():
                        answer.set_result(outcome)
            except asyncio.CancelledError:
                self._fail(batch)
                raise
            except ActorUnreachable:
                self.breaks += 1
                # Who waited meanwhile does not try the same actor again, which may take as long.
                batch, self._waiting = batch + self._waiting, []
                self._fail(batch)
            finally:
                for _, answer in batch:
                    answer.cancel()

    def _fail(self, waiting: list[tuple[Command, asyncio.Future[Outcome]]]) -> None:
        for _, answer in waiting:
            if not answer.done():
                # One each: a traceback grows on the error that is raised.
                answer.set_exception(ActorUnreachable(self.name))

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

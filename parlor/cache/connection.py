"""Scripts and reads of a process, pipelined for all of its callers.

``ScriptPipeline`` sends what its callers ask for at about the same time as one pipeline (``parlor.coalescer``). So a
hundred rooms cost one round trip and, with ``appendfsync always``, one fsync.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeAlias

from redis import exceptions
from redis.asyncio import Redis

from parlor.cache.codes import FOREIGN
from parlor.cache.guard import ForeignServer
from parlor.cache.loader import Argument, Script
from parlor.coalescer import Closed, Coalescer
from parlor.errors import CacheUnavailable, ForeignCache, InternalError, ParlorError
from parlor.settings import RedisSettings

Answer: TypeAlias = Any
"""What redis-py gives for a reply: bytes, int, None, or a list of them. Decoded right behind each call."""

RETRY_AFTER = 1.0
"""Seconds: a restarted server answers within about that."""

MAX_BATCH = 256
"""Commands of one pipeline: bounds the time that one caller waits for another's."""


def unavailable(cause: BaseException) -> CacheUnavailable:
    # Over a unix socket redis-py makes a ConnectionError of whatever its handshake raised.
    if isinstance(cause, ForeignServer) or isinstance(cause.__cause__, ForeignServer):
        return ForeignCache(FOREIGN, debug=str(cause), retry_after=RETRY_AFTER)
    return CacheUnavailable(debug=f"{type(cause).__name__}: {cause}", retry_after=RETRY_AFTER)


_TEMPORARY = (
    "LOADING",
    "READONLY",
    "MISCONF",
    "OOM",
    "BUSY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "UNBLOCKED",
    "NOGROUP",
    "NOREPLICAS",
    "NOSCRIPT",
)
"""How error replies begin that speak of the server's condition, not of a fault in what it was asked."""


def typed(error: Exception, command: str) -> ParlorError:
    """The typed error for one of redis-py's: a wrong question is our fault, the rest is the server's condition."""
    if isinstance(error, exceptions.ResponseError | exceptions.DataError):
        # redis-py cuts the codes that it knows off the message.
        code = error.status_code or str(error).partition(" ")[0]
        if code not in _TEMPORARY:
            return InternalError(debug=f"{command}: {error}")
    return unavailable(error)


Command: TypeAlias = "tuple[tuple[Argument, ...], Script | None]"
"""A command's words, and the script that it runs, if it runs one."""


class ScriptPipeline:
    """Sends scripts and reads in shared pipelines. Raises ``CacheUnavailable`` when Redis does not answer in time;
    then a script may or may not have run, which is why every one is safe to repeat."""

    def __init__(self, redis: Redis, settings: RedisSettings) -> None:
        self._redis = redis
        self._timeout = settings.command_timeout.total_seconds()
        self._commands: Coalescer[Command, Answer] = Coalescer(
            self._send, _failure, batch_size=MAX_BATCH, calls_in_flight=settings.pipelines_in_flight
        )
        self.sent = 0
        """Pipelines so far; with the number of commands it tells how well they share."""

    async def run(
        self,
        script: Script,
        keys: Mapping[str, str],
        arguments: Mapping[str, Argument],
        rest: Sequence[Argument] = (),
        more: Sequence[str] = (),
    ) -> Answer:
        """Runs a script."""
        return await self.submit((("EVALSHA", *script.command(keys, arguments, rest, more)), script))

    async def read(self, *command: Argument) -> Answer:
        """Runs a reading command."""
        return await self.submit((command, None))

    def submit(self, command: Command) -> Awaitable[Answer]:
        """Runs a script or a reading command."""
        return self._commands.submit(command)

    def shaped(self, command: str, reply: Answer) -> Answer:
        """Makes of a command's bare reply what ``read`` returns for it."""
        shape = self._redis.response_callbacks.get(command)
        return shape(reply) if shape else reply

    async def parts(self) -> Sequence[ScriptPipeline]:
        """A pipeline to each server that has keys, for commands that are about all of them."""
        return [self]

    async def close(self) -> None:
        """Waits for what is under way, then closes the client."""
        await self._commands.close()
        await self._redis.aclose()

    async def _send(self, commands: list[Command]) -> list[Answer]:
        try:
            replies = await self._round_trip(commands)
        except exceptions.ConnectionError:
            # A connection that had been idle while the server restarted; a new one may well do. Everything that is
            # sent here is safe to repeat.
            replies = await self._round_trip(commands)
        unknown = [n for n, reply in enumerate(replies) if isinstance(reply, exceptions.NoScriptError)]
        if unknown:
            for n, reply in zip(unknown, await self._load_and_repeat([commands[n] for n in unknown]), strict=True):
                replies[n] = reply
        return [
            self._refusal(reply, command) if isinstance(reply, exceptions.RedisError) else reply
            for command, reply in zip(commands, replies, strict=True)
        ]

    def _refusal(self, reply: exceptions.RedisError, command: Command) -> Exception:
        return typed(reply, _name(command))

    async def _load_and_repeat(self, commands: list[Command]) -> list[Answer]:
        """For scripts that the server does not know. A failure is theirs alone: the other commands of the pipeline have
        been answered."""
        try:
            async with asyncio.timeout(self._timeout):
                for source in {script.source for _, script in commands if script}:
                    await self._redis.script_load(source)
            return await self._round_trip(commands)
        except Exception as error:  # noqa: BLE001 - their callers raise it
            return [_failure(error) for _ in commands]

    async def _round_trip(self, commands: list[Command]) -> list[Answer]:
        self.sent += 1
        async with asyncio.timeout(self._timeout):
            async with self._redis.pipeline(transaction=False) as pipe:
                for words, _ in commands:
                    pipe.execute_command(*words)
                return await pipe.execute(raise_on_error=False)


def _name(command: Command) -> str:
    words, script = command
    return script.name if script else str(words[0])


def _failure(error: BaseException) -> ParlorError:
    """What each caller of a pipeline that failed gets."""
    if isinstance(error, exceptions.RedisError | OSError):
        return typed(error, "pipeline")
    if isinstance(error, asyncio.CancelledError | Closed):
        return unavailable(error)
    return InternalError(debug=repr(error))

"""The connection to Redis: one client for scripts and reads, pipelined for all callers of a process.

``ScriptPipeline`` sends what its callers ask for at about the same time as one pipeline (``parlor.coalescer``). So a
hundred rooms cost one round trip and, with ``appendfsync always``, one fsync.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import hiredis
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.typing import EncodableT

from parlor.cache.codes import FOREIGN
from parlor.cache.guard import ForeignServer, Guard
from parlor.cache.loader import Argument, Script
from parlor.coalescer import Closed, Coalescer
from parlor.errors import CacheUnavailable, ForeignCache, InternalError, InvalidRequest, ParlorError
from parlor.settings import RedisSettings

Answer: TypeAlias = Any
"""What redis-py gives for a reply: bytes, int, None, or a list of them. Decoded right behind each call."""

RETRY_AFTER = 1.0
"""Seconds: a restarted server answers within about that."""

MAX_BATCH = 256
"""Commands of one pipeline: bounds the time that one caller waits for another's."""


def connect(settings: RedisSettings, guard: Guard | None = None, *, blocking: bool = False) -> Redis:
    """A client whose connections pass the guard, with our own time limits and no retries behind our back (redis-py's
    default repeats each command ten times, which a send with Redis down would wait for). ``blocking`` clients wait for
    entries or messages, or have a limit of their own for more than one answer: they read without one (redis-py's costs
    a timer for each answer)."""
    client = Redis.from_url(
        settings.url.get_secret_value(),
        protocol=2,
        socket_connect_timeout=settings.connect_timeout.total_seconds(),
        socket_timeout=None if blocking else settings.command_timeout.total_seconds(),
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        client_name="parlor",
    )
    pool = client.connection_pool
    pool.connection_class = _connection(pool.connection_class, guard)
    return client


def require_options(settings: RedisSettings) -> None:
    """Connects to nothing. Raises ``InvalidRequest`` for an option in the URL that redis-py would refuse later."""
    try:
        connect(settings).connection_pool.make_connection()  # type: ignore[no-untyped-call] # redis-py's own
    except (TypeError, ValueError, exceptions.RedisError) as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        what = f"there is no option {unknown[1]}" if unknown else f"its options cannot be used: {error}"
        raise InvalidRequest(what) from error


class _Connection(AbstractConnection):
    """Writes commands in C; redis-py's asyncio connections do it in Python, which costs more than all else of a
    pipeline. Passes the guard when it has connected."""

    guard: Guard | None

    def pack_commands(self, commands: Iterable[Iterable[EncodableT]]) -> list[bytes]:
        # The stub speaks of a tuple of one.
        return [b"".join(hiredis.pack_command(tuple(command)) for command in commands)]  # type: ignore[arg-type]

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health)
        if self.guard is not None:
            await self.guard.check(self._ask)

    async def _ask(self, *command: str) -> bytes | None:
        await self.send_command(*command, check_health=False)
        answer: bytes | None = await self.read_response()
        return answer


def _connection(kind: type[AbstractConnection], guard: Guard | None) -> type[AbstractConnection]:
    return type(f"Parlor{kind.__name__}", (_Connection, kind), {"guard": guard})


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


_Command: TypeAlias = "tuple[tuple[Argument, ...], Script | None]"
"""A command's words, and the script that it runs, if it runs one."""


class ScriptPipeline:
    """Sends scripts and reads in shared pipelines. Raises ``CacheUnavailable`` when Redis does not answer in time;
    then a script may or may not have run, which is why every one is safe to repeat."""

    def __init__(self, redis: Redis, settings: RedisSettings) -> None:
        self._redis = redis
        self._timeout = settings.command_timeout.total_seconds()
        self._commands: Coalescer[_Command, Answer] = Coalescer(
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
        return await self._commands.submit((("EVALSHA", *script.command(keys, arguments, rest, more)), script))

    async def read(self, *command: Argument) -> Answer:
        """Runs a reading command."""
        return await self._commands.submit((command, None))

    async def close(self) -> None:
        """Waits for what is under way, then closes the client."""
        await self._commands.close()
        await self._redis.aclose()

    async def _send(self, commands: list[_Command]) -> list[Answer]:
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
            typed(reply, _name(command)) if isinstance(reply, exceptions.RedisError) else reply
            for command, reply in zip(commands, replies, strict=True)
        ]

    async def _load_and_repeat(self, commands: list[_Command]) -> list[Answer]:
        """For scripts that the server does not know. A failure is theirs alone: the other commands of the pipeline have
        been answered."""
        try:
            async with asyncio.timeout(self._timeout):
                for source in {script.source for _, script in commands if script}:
                    await self._redis.script_load(source)
            return await self._round_trip(commands)
        except Exception as error:  # noqa: BLE001 - their callers raise it
            return [_failure(error) for _ in commands]

    async def _round_trip(self, commands: list[_Command]) -> list[Answer]:
        self.sent += 1
        async with asyncio.timeout(self._timeout):
            async with self._redis.pipeline(transaction=False) as pipe:
                for words, _ in commands:
                    pipe.execute_command(*words)
                return await pipe.execute(raise_on_error=False)


def _name(command: _Command) -> str:
    words, script = command
    return script.name if script else str(words[0])


def _failure(error: BaseException) -> ParlorError:
    """What each caller of a pipeline that failed gets."""
    if isinstance(error, exceptions.RedisError | OSError):
        return typed(error, "pipeline")
    if isinstance(error, asyncio.CancelledError | Closed):
        return unavailable(error)
    return InternalError(debug=repr(error))

"""The connection to Redis: one client for scripts and reads, pipelined for all callers of a process.

``ScriptPipeline`` collects what its callers ask for in one turn of the event loop and sends it as one pipeline; while
a few pipelines are under way, what comes in waits for the next one. So a hundred rooms cost one round trip and, with
``appendfsync always``, one fsync.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import hiredis
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.typing import EncodableT

from parlor.cache.loader import Argument, Script
from parlor.errors import CacheUnavailable, InternalError, ParlorError
from parlor.settings import RedisSettings

Answer: TypeAlias = Any
"""What redis-py gives for a reply: bytes, int, None, or a list of them. Decoded right behind each call."""

RETRY_AFTER = 1.0
"""Seconds: a restarted server answers within about that."""

MAX_BATCH = 256
"""Commands of one pipeline: bounds the time that one caller waits for another's."""


def connect(settings: RedisSettings, *, blocking: bool = False) -> Redis:
    """A client with our own time limits and no retries behind our back (redis-py's default repeats each command ten
    times, which a send with Redis down would wait for). ``blocking`` clients wait for entries or messages, or have a
    limit of their own for more than one answer: they read without one (redis-py's costs a timer for each answer)."""
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
    pool.connection_class = _packing(pool.connection_class)
    return client


class _Packing(AbstractConnection):
    """Writes commands in C; redis-py's asyncio connections do it in Python, which costs more than all else of a
    pipeline."""

    def pack_commands(self, commands: Iterable[Iterable[EncodableT]]) -> list[bytes]:
        # The stub speaks of a tuple of one.
        return [b"".join(hiredis.pack_command(tuple(command)) for command in commands)]  # type: ignore[arg-type]


def _packing(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(f"Packing{kind.__name__}", (_Packing, kind), {})


def unavailable(cause: BaseException) -> CacheUnavailable:
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


class _Call:
    """One command and who waits for its reply."""

    __slots__ = ("command", "future", "script")

    def __init__(self, command: tuple[Argument, ...], script: Script | None, future: asyncio.Future[Answer]) -> None:
        self.command = command
        self.script = script
        self.future = future


class ScriptPipeline:
    """Sends scripts and reads in shared pipelines. Raises ``CacheUnavailable`` when Redis does not answer in time;
    then a script may or may not have run, which is why every one is safe to repeat."""

    def __init__(self, redis: Redis, settings: RedisSettings) -> None:
        self._redis = redis
        self._timeout = settings.command_timeout.total_seconds()
        self._in_flight = settings.pipelines_in_flight
        self._waiting: list[_Call] = []
        self._senders: set[asyncio.Task[None]] = set()
        self.sent = 0
        """Pipelines so far; with the number of calls it tells how well they share."""

    async def run(
        self,
        script: Script,
        keys: Mapping[str, str],
        arguments: Mapping[str, Argument],
        rest: Sequence[Argument] = (),
        more: Sequence[str] = (),
    ) -> Answer:
        """Runs a script."""
        return await self._submit(("EVALSHA", *script.command(keys, arguments, rest, more)), script)

    async def read(self, *command: Argument) -> Answer:
        """Runs a reading command."""
        return await self._submit(command, None)

    async def close(self) -> None:
        """Waits for what is under way, then closes the client."""
        while self._senders:
            await asyncio.wait(self._senders)
        await self._redis.aclose()

    async def _submit(self, command: tuple[Argument, ...], script: Script | None) -> Answer:
        call = _Call(command, script, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        self._start_sender()
        return await call.future

    def _start_sender(self) -> None:
        if len(self._senders) < self._in_flight:
            sender = asyncio.create_task(self._send_waiting())
            self._senders.add(sender)
            sender.add_done_callback(self._ended)

    def _ended(self, sender: asyncio.Task[None]) -> None:
        self._senders.discard(sender)
        if sender.cancelled():
            # The loop is being taken down: nobody may wait for ever.
            waiting, self._waiting = self._waiting, []
            _fail(waiting, unavailable(asyncio.CancelledError()))
        elif self._waiting:
            # Asked for between this sender's last look and its end, while it still counted as one under way.
            self._start_sender()

    async def _send_waiting(self) -> None:
        while self._waiting:
            calls, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            try:
                await self._send(calls)
            except asyncio.CancelledError as error:
                _fail(calls, unavailable(error))
                raise
            except (exceptions.RedisError, OSError) as error:
                _fail(calls, typed(error, "pipeline"))
            except Exception as error:  # noqa: BLE001 - the callers raise it
                _fail(calls, InternalError(debug=repr(error)))

    async def _send(self, calls: list[_Call]) -> None:
        try:
            replies = await self._round_trip(calls)
        except exceptions.ConnectionError:
            # A connection that had been idle while the server restarted; a new one may well do. Everything that is
            # sent here is safe to repeat.
            replies = await self._round_trip(calls)
        unknown = [
            call for call, reply in zip(calls, replies, strict=True) if isinstance(reply, exceptions.NoScriptError)
        ]
        for call, reply in zip(calls, replies, strict=True):
            if not isinstance(reply, exceptions.NoScriptError):
                _settle(call, reply)
        if unknown:
            sources = {call.script.source for call in unknown if call.script}
            async with asyncio.timeout(self._timeout):
                for source in sources:
                    await self._redis.script_load(source)
            for call, reply in zip(unknown, await self._round_trip(unknown), strict=True):
                _settle(call, reply)

    async def _round_trip(self, calls: list[_Call]) -> list[Answer]:
        self.sent += 1
        async with asyncio.timeout(self._timeout):
            async with self._redis.pipeline(transaction=False) as pipe:
                for call in calls:
                    pipe.execute_command(*call.command)
                return await pipe.execute(raise_on_error=False)


def _settle(call: _Call, reply: Answer) -> None:
    if call.future.done():
        return
    if isinstance(reply, exceptions.RedisError):
        call.future.set_exception(typed(reply, call.script.name if call.script else str(call.command[0])))
    else:
        call.future.set_result(reply)


def _fail(calls: Sequence[_Call], error: ParlorError) -> None:
    for call in calls:
        if not call.future.done():
            # One each: a traceback grows on the error that is raised.
            call.future.set_exception(ParlorError.from_wire(error.to_wire()))

"""A Redis client whose answers are written down beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import cast

from redis.asyncio import Redis

from parlor.cache.connection import Answer
from parlor.cache.loader import Argument

Command = tuple[Argument, ...]
Serve = Callable[[list[Command]], Awaitable[list[Answer]]]
"""What one pipeline is answered with; it may wait or raise."""


class ScriptedRedis:
    """Only what ``ScriptPipeline`` uses. ``sent`` has the commands of each pipeline."""

    def __init__(self, serve: Serve) -> None:
        self.serve = serve
        self.sent: list[list[Command]] = []
        self.loaded: list[str] = []
        self.load_error: Exception | None = None
        self.under_way = 0
        self.most_under_way = 0
        self.closed = False

    def client(self) -> Redis:
        return cast("Redis", self)

    def pipeline(self, transaction: bool) -> ScriptedPipeline:
        assert transaction is False
        return ScriptedPipeline(self)

    async def script_load(self, source: str) -> None:
        if self.load_error is not None:
            raise self.load_error
        self.loaded.append(source)

    async def aclose(self) -> None:
        self.closed = True


class ScriptedPipeline:
    def __init__(self, redis: ScriptedRedis) -> None:
        self._redis = redis
        self._commands: list[Command] = []

    async def __aenter__(self) -> ScriptedPipeline:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def execute_command(self, *command: Argument) -> None:
        self._commands.append(command)

    async def execute(self, raise_on_error: bool) -> list[Answer]:
        assert raise_on_error is False
        redis = self._redis
        redis.sent.append(self._commands)
        redis.under_way += 1
        redis.most_under_way = max(redis.most_under_way, redis.under_way)
        try:
            return await redis.serve(self._commands)
        finally:
            redis.under_way -= 1


async def echo(commands: list[Command]) -> list[Answer]:
    """Answers each command with its last word."""
    await asyncio.sleep(0)
    return [command[-1] for command in commands]

"""Nobody waits for ever because the last sender was just about to end."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from parlor.cache.connection import ScriptPipeline
from parlor.settings import RedisSettings

pytestmark = pytest.mark.unit


class _Pipeline:
    """Answers each command with its own name, a turn of the loop later."""

    def __init__(self) -> None:
        self._names: list[bytes] = []

    async def __aenter__(self) -> _Pipeline:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._names.clear()

    def execute_command(self, *command: str) -> None:
        self._names.append(command[0].encode())

    async def execute(self, *, raise_on_error: bool) -> list[bytes]:
        assert not raise_on_error
        await asyncio.sleep(0)
        return list(self._names)


class _Client:
    def pipeline(self, *, transaction: bool) -> _Pipeline:
        assert not transaction
        return _Pipeline()


@pytest.mark.parametrize("in_flight", [1, 2])
async def test_what_is_asked_for_right_after_an_answer_is_sent_too(in_flight: int) -> None:
    pipeline = ScriptPipeline(cast("Redis", _Client()), RedisSettings(pipelines_in_flight=in_flight))

    async def one_after_the_other(name: str) -> list[Any]:
        # Both in the same turn of the loop in which the first answer comes: its sender has not quite ended.
        return [await pipeline.read(f"{name}{number}") for number in range(5)]

    async with asyncio.timeout(2):
        found = await asyncio.gather(*(one_after_the_other(name) for name in "ab"))

    assert found == [[f"{name}{number}".encode() for number in range(5)] for name in "ab"]

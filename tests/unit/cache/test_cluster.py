"""Commands go to the node that serves their slot, and follow it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr
from redis import exceptions

from parlor.cache import cluster
from parlor.cache.cluster import ClusterPipeline, slot_of
from parlor.cache.connection import Answer
from parlor.errors import CacheUnavailable
from parlor.settings import RedisSettings
from tests.unit.cache.scripted_redis import Command, ScriptedRedis

pytestmark = pytest.mark.unit

SETTINGS = RedisSettings(url=SecretStr("redis+cluster://a:1,b:2"))
KEY = "parlor:{p0}:partition"


class Nodes:
    """``of_slot`` says where the map has a key's slot."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = "a"
        self.maps = 0
        self.answers: dict[str, Callable[[Command], Answer]] = dict.fromkeys("ab", self._done)
        self.sent: list[tuple[str, Command]] = []
        monkeypatch.setattr(cluster, "connect", lambda *_, **__: self)
        monkeypatch.setattr(cluster, "connect_node", self._client)
        monkeypatch.setattr(cluster, "READ_AGAIN_AFTER", 0.0)

    async def execute_command(self, *words: str) -> Answer:
        assert words == ("CLUSTER", "SLOTS")
        self.maps += 1
        first, second = ("a", "b") if self.at == "a" else ("b", "a")
        middle = slot_of(KEY)
        return [[0, middle, [first.encode(), 1, b"id"]], [middle + 1, 16383, [second.encode(), 1, b"id"]]]

    async def aclose(self) -> None:
        """Nothing is open."""

    def _done(self, command: Command) -> Answer:
        return b"done"

    def _client(self, _settings: Any, _guard: Any, host: str, _port: int) -> Any:
        async def serve(commands: list[Command]) -> list[Answer]:
            self.sent += [(host, command) for command in commands]
            return [self.answers[host](command) for command in commands]

        return ScriptedRedis(serve).client()


async def ask(nodes: Nodes, *steps: Callable[[ClusterPipeline], Awaitable[Answer]]) -> list[Answer]:
    pipeline = ClusterPipeline(SETTINGS, None)
    try:
        return [await step(pipeline) for step in steps]
    finally:
        await pipeline.close()


def get(pipeline: ClusterPipeline) -> Awaitable[Answer]:
    return pipeline.read("GET", KEY)


async def test_a_command_goes_to_the_node_of_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(monkeypatch)
    assert await ask(nodes, get, lambda it: it.read("XREADGROUP", "GROUP", "g", "g", "STREAMS", KEY, ">")) == [
        b"done",
        b"done",
    ]
    assert [host for host, _ in nodes.sent] == ["a", "a"]
    assert nodes.maps == 1


async def test_a_slot_that_has_moved_is_followed_and_the_map_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(monkeypatch)
    nodes.answers["a"] = lambda _: exceptions.MovedError(f"{slot_of(KEY)} b:1")

    async def moves(pipeline: ClusterPipeline) -> Answer:
        nodes.at = "b"
        return await get(pipeline)

    await ask(nodes, get, moves)
    assert [host for host, _ in nodes.sent] == ["a", "b", "b"]
    assert nodes.maps == 2


async def test_a_slot_that_is_moving_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(monkeypatch)
    nodes.answers["a"] = lambda _: exceptions.AskError(f"{slot_of(KEY)} b:1")
    assert await ask(nodes, get, get) == [b"done", b"done"]
    assert [(host, command[0]) for host, command in nodes.sent] == 2 * [("a", "GET"), ("b", "ASKING"), ("b", "GET")]
    assert nodes.maps == 1


async def test_after_a_failure_the_map_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(monkeypatch)

    def dead(_: Command) -> Answer:
        raise exceptions.ConnectionError("refused")

    nodes.answers["a"] = dead
    pipeline = ClusterPipeline(SETTINGS, None)
    with pytest.raises(CacheUnavailable):
        await get(pipeline)
    nodes.at = "b"
    assert await get(pipeline) == b"done"
    await pipeline.close()


async def test_who_asks_whether_it_is_there_asks_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(monkeypatch)
    await ask(nodes, lambda it: it.read("PING"))
    assert sorted(host for host, _ in nodes.sent) == ["a", "b"]


async def test_a_slot_that_keeps_moving_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(monkeypatch)
    nodes.answers["a"] = lambda _: exceptions.MovedError(f"{slot_of(KEY)} b:1")
    nodes.answers["b"] = lambda _: exceptions.MovedError(f"{slot_of(KEY)} a:1")
    with pytest.raises(CacheUnavailable):
        await ask(nodes, get)

"""`parlor up` in a running cluster of two nodes, one of which dies."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.chat import Chat
from tests.cluster.conftest import World
from tests.cluster.talk import Talk, settled

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

ROOMS = 4


class Parlor:
    """One that `parlor up` has started."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self._where = ("--data-dir", str(directory))
        self._variables = {"PARLOR_REDIS__PREFIX": "up", "PARLOR_API__HOST": "127.0.0.1"}

    def up(self) -> None:
        cluster = self.world.cluster
        servers = ["--servers", "external", "--redis-url", self.world.redis_url]
        database = ["--mysql-url", self.world.database("up")]
        edge = ["--port", str(cluster.plan.http), "--ray-address", cluster.address]
        self.world.run("parlor", "up", "--detach", *self._where, *servers, *database, *edge, **self._variables)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.world.run("parlor", "status", "--json", *self._where, **self._variables)
        )
        return found

    def chat(self, account: str) -> Chat:
        token = self.world.run("parlor", "token", account, *self._where, **self._variables).strip()
        return Chat(self.world.cluster.url, token)

    def down(self) -> None:
        self.world.run("parlor", "down", *self._where, **self._variables)


@pytest.fixture
def parlor(world: World) -> Iterator[Parlor]:
    world.second_node()
    started = Parlor(world, world.cluster.directory / "up")
    started.up()
    try:
        yield started
    finally:
        started.down()


def nodes_of(status: dict[str, Any], kind: str) -> set[str]:
    return {actor["node"] for actor in status["actors"] if actor["kind"] == kind and actor["alive"]}


def test_rooms_move_when_their_node_dies_and_nothing_is_lost(parlor: Parlor, world: World) -> None:
    status = parlor.status()
    assert len(nodes_of(status, "RoomActor")) == len(nodes_of(status, "ShardWriter")) == 2, status["actors"]
    [head] = nodes_of(status, "Supervisor")
    chats = {}
    for number in range(ROOMS):
        chat = parlor.chat(f"account-{number}")
        chats[chat.create_room()] = chat

    with Talk(chats) as talk:
        talk.go_on(2)
        held = {actor["node"] for actor in parlor.status()["actors"] if actor["rooms"]}
        assert len(held) == 2, "rooms are on both nodes"

        world.kill_second_node()
        talk.go_on(3)
        rooms = {actor["node"]: set(actor["rooms"]) for actor in parlor.status()["actors"] if actor["rooms"]}
        assert rooms == {head: set(chats)}, "the head's actor has all rooms"
        # What fell with the node has no place now, and holds nobody up.
        assert nodes_of(parlor.status(), "RoomActor") == {head}

        world.second_node()
        settled(parlor.status, lambda found: len(nodes_of(found, "ShardWriter")) == 2)
        talk.go_on(1)
    talk.check()
    for room, chat in chats.items():
        last = chat.messages(room)[-1]["seq"]
        settled(partial(chat.persisted_seq, room), partial(operator.eq, last))

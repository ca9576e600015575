"""`parlor up` in a running cluster of two nodes, one of which dies."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import partial

import pytest

from tests.cluster.conftest import World
from tests.cluster.installed import Installed, nodes_of, places
from tests.cluster.talk import Talk, settled

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

ROOMS = 4


@pytest.fixture
def parlor(world: World, redis_url: str, mysql_url: str) -> Iterator[Installed]:
    world.second_node()
    started = Installed(world.cluster, "up", redis_url, mysql_url, {})
    started.up()
    try:
        yield started
    finally:
        started.down()


def test_rooms_move_when_their_node_dies_and_nothing_is_lost(parlor: Installed, world: World) -> None:
    status = parlor.status()
    assert len(nodes_of(status, "RoomActor")) == len(nodes_of(status, "ShardWriter")) == 2, status["actors"]
    [head] = nodes_of(status, "Supervisor")
    chats = {}
    for number in range(ROOMS):
        chat = parlor.chat(f"account-{number}")
        chats[chat.create_room()] = chat

    with Talk(chats) as talk:
        talk.go_on(2)
        assert len(places(parlor.status())) == 2, "both nodes hold rooms"

        world.kill_second_node()
        talk.go_on(3)
        status = parlor.status()
        assert places(status) == {head: set(chats)}, "the head's actor has all rooms"
        # What fell with the node has no place now, and holds nobody up.
        assert nodes_of(status, "RoomActor") == {head}

        world.second_node()
        settled(parlor.status, lambda found: len(nodes_of(found, "ShardWriter")) == 2)
        talk.go_on(1)
    talk.check()
    for room, chat in chats.items():
        last = chat.messages(room)[-1]["seq"]
        settled(partial(chat.persisted_seq, room), partial(operator.eq, last))

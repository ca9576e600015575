"""`parlor up` in a running cluster of two nodes, one of which dies."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import partial

import pytest

from tests.cluster.conftest import SharedCluster
from tests.cluster.installation import ClusterInstallation, nodes_of, places
from tests.cluster.load import Load, settled

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240, func_only=True)]

ROOMS = 4


@pytest.fixture
def parlor(shared: SharedCluster, redis_url: str, mysql_url: str) -> Iterator[ClusterInstallation]:
    shared.second_node()
    started = ClusterInstallation(shared.cluster, "up", redis_url, mysql_url, {})
    started.up()
    try:
        yield started
    finally:
        started.down()


def test_rooms_move_when_their_node_dies_and_nothing_is_lost(
    parlor: ClusterInstallation, shared: SharedCluster
) -> None:
    status = parlor.status()
    assert len(nodes_of(status, "RoomActor")) == len(nodes_of(status, "ShardWriter")) == 2, status["actors"]
    [head] = nodes_of(status, "Supervisor")
    chats = {}
    for number in range(ROOMS):
        client = parlor.client(f"account-{number}")
        chats[client.create_room()] = client

    with Load(chats) as load:
        load.go_on(2)
        assert len(places(parlor.status())) == 2, "both nodes hold rooms"

        shared.kill_second_node()
        load.go_on(3)
        status = parlor.status()
        assert places(status) == {head: set(chats)}, "the head's actor has all rooms"
        # What fell with the node has no place now, and holds nobody up.
        assert nodes_of(status, "RoomActor") == {head}

        shared.second_node()
        settled(parlor.status, lambda found: len(nodes_of(found, "ShardWriter")) == 2)
        load.go_on(1)
    load.check()
    for room, client in chats.items():
        last = client.messages(room)[-1]["seq"]
        settled(partial(client.persisted_seq, room), partial(operator.eq, last))

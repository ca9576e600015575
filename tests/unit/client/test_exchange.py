"""What is under way on a connection: turns are taken in order, and nobody who leaves takes one along."""

from __future__ import annotations

import asyncio

import pytest

from parlor.client.exchange import Gate, Turns
from tests.both_sockets import connected
from tests.unit.client.scripted_server import ROOM, Json
from tests.unit.client.socket_server import Peer, SocketServer, Store

pytestmark = pytest.mark.unit


class Promise:
    def __init__(self) -> None:
        self.given = 0

    def give(self, value: object) -> None:
        del value
        self.given += 1


def test_a_gate_lets_in_as_many_as_it_has_places_in_the_order_in_which_they_came() -> None:
    gate = Gate(2, Promise)
    entries = [gate.enter() for _ in range(6)]
    assert [entry.given for entry in entries] == [1, 1, 0, 0, 0, 0]
    gate.leave(entries[2])  # waits no longer
    gate.leave(entries[1])
    gate.leave(entries[1])  # harmless again
    assert [entry.given for entry in entries] == [1, 1, 0, 1, 0, 0]
    for entry in entries:
        gate.leave(entry)
    assert gate.is_empty


def test_each_room_has_its_turns_and_is_forgotten_after_them() -> None:
    turns = Turns(Promise)
    first, second, other = turns.enter("a"), turns.enter("a"), turns.enter("b")
    assert (first.given, second.given, other.given) == (1, 0, 1)
    turns.leave("a", first)
    assert second.given == 1
    turns.leave("a", second)
    turns.leave("a", second)
    turns.leave("b", other)
    assert turns.enter("a").given == 1


async def test_sends_of_tasks_are_made_in_the_order_of_their_calls_though_one_is_given_up() -> None:
    store, begun = Store(), asyncio.Event()

    async def script(peer: Peer, frame: Json) -> None:
        if peer.number > 1:
            await store(peer, frame)
        elif frame["content"] == "0":
            begun.set()

    async with SocketServer(script) as server, connected("asyncio", server.base_url) as socket:
        tasks = [asyncio.create_task(socket.send(ROOM.upper() if n % 2 else ROOM, f"{n}")) for n in range(10)]
        await begun.wait()
        tasks[3].cancel()
        await asyncio.wait({tasks[3]})
        await server.cut()
        await asyncio.gather(*tasks[:3], *tasks[4:])
    assert [frame["content"] for frame in server.frames] == ["0", *(f"{n}" for n in range(10) if n != 3)]

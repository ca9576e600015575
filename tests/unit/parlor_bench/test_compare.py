"""Two services are measured by turns, and compared by the ratio of each pair."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest

from demo_model.http import Connection, HttpServer, Request
from parlor_bench import compare as under_test
from parlor_bench.compare import MANY, Side, compare
from parlor_bench.load import Figures
from parlor_bench.send import send_to

pytestmark = pytest.mark.unit


class Service:
    """Takes sends; refuses the first few."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses = refuses

    async def handle(self, request: Request, connection: Connection) -> None:
        assert (request.method, request.path) == ("POST", "/v1/rooms/r/messages")
        self.refuses -= 1
        connection.respond(HTTPStatus.CREATED if self.refuses < 0 else HTTPStatus.CONFLICT, b"{}")


@asynccontextmanager
async def serving(name: str, service: Service) -> AsyncIterator[Side]:
    server = HttpServer(service.handle)
    try:
        port = await server.start("127.0.0.1", 0)
        yield Side(name, "127.0.0.1", port, [send_to("127.0.0.1", port, "r", "token")])
    finally:
        await server.close()


async def test_each_round_is_a_pair_at_one_connection_and_one_at_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "WARM_UP_SECONDS", 0.01)
    said: list[str] = []
    async with serving("base", Service()) as base, serving("new", Service()) as new:
        found = await compare(base, new, seconds=0.2, rounds=3, say=said.append)
    assert found.errors == 0
    assert min(found.rate, found.wait) > 0
    assert [pair.base.connections for pair in (*found.one, *found.many)] == [1, 1, 1, MANY, MANY, MANY]
    assert len(said) == 6


async def test_refused_sends_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "WARM_UP_SECONDS", 0.0)
    async with serving("base", Service(refuses=3)) as base, serving("new", Service(refuses=2)) as new:
        found = await compare(base, new, seconds=0.1, rounds=1, say=lambda _: None)
    assert found.errors == 5


async def test_a_ratio_is_of_the_new_one_and_the_two_take_turns_in_coming_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[tuple[str, int]] = []

    async def run(side: Side, connections: int, seconds: float) -> Figures:
        order.append((side.name, connections))
        return Figures(
            connections,
            seconds,
            10,
            0,
            100.0 if side.name == "base" else 150.0,
            4.0 if side.name == "base" else 3.0,
            9.0,
        )

    monkeypatch.setattr(under_test, "_run", run)
    sides = [Side(name, "", 0, []) for name in ("base", "new")]
    found = await compare(*sides, seconds=1, rounds=2, say=lambda _: None)
    both = [("base", "new"), ("new", "base")]
    assert order[2:] == [(name, connections) for turn in both for connections in (1, MANY) for name in turn]
    assert (found.rate, found.wait) == (1.5, 0.75)

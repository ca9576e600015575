"""The benchmark of floods: each attack does what it is called, and is compared with the seconds before it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import msgspec
import pytest

from demo_model.http import Connection, HttpServer, Request
from parlor_bench import flood
from parlor_bench.attack import ADDRESS
from parlor_bench.flood import Target, measure, orders, under_attack

pytestmark = pytest.mark.unit
PATIENCE = 60.0
ACCOUNT, ATTACKER = "ada-" + "a" * 12, "eve-" + "e" * 12


class Api:
    """Makes rooms and takes messages; of the attacker's it refuses every second one."""

    def __init__(self) -> None:
        self.sends: list[tuple[str, str]] = []
        """Who has sent, and from which address."""

    async def handle(self, request: Request, connection: Connection) -> None:
        who = request.headers["authorization"].removeprefix("Bearer ")
        if who not in (ACCOUNT, ATTACKER):
            connection.respond(HTTPStatus.UNAUTHORIZED, b"{}")
        elif request.method == "DELETE":
            connection.respond(HTTPStatus.ACCEPTED, b"{}")
        elif request.path == "/v1/rooms":
            connection.respond(HTTPStatus.CREATED, msgspec.json.encode({"room_id": f"room-of-{who}"}))
        else:
            assert request.path == f"/v1/rooms/room-of-{who}/messages"
            self.sends.append((who, request.headers.get("x-forwarded-for", "")))
            refused = who == ATTACKER and len(self.sends) % 2
            connection.respond(HTTPStatus.TOO_MANY_REQUESTS if refused else HTTPStatus.CREATED, b"{}")


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("SENDS", 2), ("BAD_TOKENS", 3), ("HALF_BODIES", 4), ("IDLE", 5)):
        monkeypatch.setattr(flood, name, number)


async def test_every_attack_is_compared_with_the_quiet_before_it() -> None:
    api, said = Api(), list[str]()
    server = HttpServer(api.handle)
    port = await server.start("127.0.0.1", 0)
    sizes = iter(({1: ("replica", 100.0), 2: ("ended", 5.0)}, {1: ("replica", 110.0), 3: ("begun", 7.0)}))
    target = Target("127.0.0.1", port, [ACCOUNT], ATTACKER, 100.0)
    try:
        found = await asyncio.wait_for(
            measure(target, seconds=0.5, rounds=1, memory=lambda: next(sizes), say=said.append), PATIENCE
        )
    finally:
        await server.close()
    assert set(found.attacks) == set(found.ratios) == {"sends", "bad tokens", "half bodies", "idle"}
    (sends,), (refused,), (half,), (idle,) = found.attacks.values()
    assert set(sends.answers) <= {"201", "429"}
    assert sends.answers
    assert set(refused.answers) == {"401"}
    assert half.answers == idle.answers == {}
    assert all(pair.quiet.requests and pair.attacked.requests for (pair,) in found.attacks.values())
    assert found.errors == 0
    assert {address for who, address in api.sends if who == ATTACKER} == {ADDRESS}
    assert [(each.name, each.before, each.after) for each in found.memory] == [("replica", 100.0, 110.0)]
    assert len(said) == 5, said


@pytest.mark.parametrize(("kind", "sent"), [("half bodies", b"POST /v1/rooms/r/messages HTTP/1.1"), ("idle", b"")])
async def test_connections_are_held_and_opened_again_when_they_are_closed(kind: str, sent: bytes) -> None:
    opened, again = list[bytes](), asyncio.Event()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(await reader.read(34) if sent else b"")
        if len(opened) > 5:
            again.set()
        writer.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    target = Target("127.0.0.1", port, [ACCOUNT], ATTACKER, 0)
    (order,) = (each for each in orders(target, "r") if each.kind == kind)
    async with server, under_attack(order) as outcome:
        await asyncio.wait_for(again.wait(), PATIENCE)
    assert set(opened) == {sent}
    assert outcome[0].answers["408"] >= 1
    assert outcome[0].answers["closed"] >= 1

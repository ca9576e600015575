"""The socket with every credential that must not get in, in the handshake or in the first frame."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from api import socket_frames
from tests.unit.api.bad_credentials import COOKIE, REFUSED, Credentials, made_credentials, signed
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import MESSAGE, ROOM
from tests.unit.api.sockets import Socket, is_idle
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit

OURS = {"Sec-Fetch-Site": "same-origin"}
CHANGES: dict[str, dict[str, Any]] = {
    "send": {"room_id": ROOM, "content": "x"},
    "stop": {"room_id": ROOM, "message_id": MESSAGE},
}
"""The frames that change something."""
READS: dict[str, dict[str, Any]] = {"subscribe": {"room_id": ROOM}, "unsubscribe": {"room_id": ROOM}, "ping": {}}


@pytest.fixture
async def credentials(app: FastAPI, gateway: FakeGateway, clock: FakeClock) -> Credentials:
    del app
    return await made_credentials(gateway, clock)


def untouched(gateway: FakeGateway) -> bool:
    return [call for call in gateway.calls if call[0] != "session"] == []


@pytest.mark.parametrize("carried", ["bearer", "cookie", "frame"])
@pytest.mark.parametrize("case", REFUSED)
async def test_nobody_gets_in_with(
    app: FastAPI, gateway: FakeGateway, credentials: Credentials, case: str, carried: str
) -> None:
    token = REFUSED[case](credentials)
    headers = {
        "bearer": {"Authorization": f"Bearer {token}"},
        "cookie": {"Cookie": f"{COOKIE}={token}", **OURS},
        "frame": {},
    }[carried]
    async with Socket(app, headers) as socket:
        if carried == "frame":
            await socket.accepted()
            socket.say(
                {"op": "authenticate", "token": token}, {"op": "send", "ref": 1, "room_id": ROOM, "content": "x"}
            )
            found = await socket.frame()
            assert (found["ref"], found["status"], found["body"]["code"]) == (None, 401, "unauthenticated")
            assert await socket.closed() == (1008, "unauthenticated")
        else:
            status, problem = await socket.denied()
            assert (status, problem["code"]) == (401, "unauthenticated")
    assert untouched(gateway)
    assert is_idle(app)


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("page", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {}], ids=str)
async def test_a_cookie_opens_it_for_our_own_page_alone(
    app: FastAPI, gateway: FakeGateway, page: dict[str, str]
) -> None:
    async with Socket(app, {"Cookie": f"{COOKIE}={signed()}", **page}) as socket:
        assert (await socket.denied())[0] == 403
    assert untouched(gateway)


def test_every_frame_is_here() -> None:
    assert {*CHANGES, *READS, "authenticate"} == set(socket_frames.OPS)


@pytest.mark.parametrize("op", [*CHANGES, *READS])
async def test_a_key_that_reads_changes_nothing(
    app: FastAPI, gateway: FakeGateway, credentials: Credentials, op: str
) -> None:
    async with Socket(app, {"Authorization": f"Bearer {credentials['read']}"}) as socket:
        await socket.accepted()
        socket.say({"op": op, "ref": 1, **(CHANGES | READS)[op]})
        found = await socket.frame()
        assert (found["status"] == 403) == (op in CHANGES), found
    assert op not in CHANGES or untouched(gateway)


async def test_a_key_that_only_writes_does_not_open_it(app: FastAPI, credentials: Credentials) -> None:
    async with Socket(app, {"Authorization": f"Bearer {credentials['write']}"}) as socket:
        status, problem = await socket.denied()
        assert (status, problem["code"]) == (403, "forbidden")

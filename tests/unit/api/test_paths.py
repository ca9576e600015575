"""How request paths and the ids in them are read."""

from __future__ import annotations

import httpx2
import pytest

from api.path_ids import path_of
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import MESSAGE, ROOM

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "path", [f"/v1/rooms%2F{ROOM}", f"/v1/rooms%2f{ROOM}", f"/v1%2Frooms/{ROOM}", f"/%2Fv1/rooms/{ROOM}"]
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_encoded_slash_separates_nothing(
    client: httpx2.AsyncClient, gateway: FakeGateway, method: str, path: str
) -> None:
    answer = await client.request(method, httpx2.URL("http://parlor").copy_with(raw_path=path.encode()))
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert gateway.calls == []


async def test_an_encoded_slash_in_an_id_is_part_of_it(client: httpx2.AsyncClient) -> None:
    url = httpx2.URL("http://parlor").copy_with(raw_path=f"/v1/rooms/{ROOM}%2Fmessages".encode())
    answer = await client.get(url)
    assert (answer.status_code, answer.json()["code"]) == (404, "room-not-found")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/v1/rooms", "/served"),
        (b"/a%2Fb/c%20d", "/a%2Fb/c d"),
        (b"/a%2fb%252F?x=%2F", "/a%2fb%2F"),
        (b"/%ff%2F", "/\ufffd%2F"),
        (None, "/served"),
    ],
)
def test_a_path_is_decoded_but_for_its_slashes(raw: bytes | None, path: str) -> None:
    assert path_of({"path": "/served", "raw_path": raw}) == path


@pytest.mark.parametrize(
    "room", [ROOM.upper(), ROOM.title(), ROOM.replace("-", "%2D"), "".join(f"%{ord(each):02x}" for each in ROOM)]
)
async def test_an_id_is_read_in_any_spelling(client: httpx2.AsyncClient, gateway: FakeGateway, room: str) -> None:
    answer = await client.get(f"/v1/rooms/{room}")
    assert answer.status_code == 200
    assert gateway.last_call() == ("get_room", ROOM)
    await client.get(f"/v1/rooms/{room}/messages/{MESSAGE.upper()}")
    assert gateway.last_call() == ("get_message", ROOM, MESSAGE)

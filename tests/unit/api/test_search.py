"""``GET /v1/search``."""

from __future__ import annotations

import httpx2
import pytest

from parlor.model.messages import SenderType
from parlor.model.search import SearchPage, SearchResult
from parlor.model.wire import timestamp
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import MESSAGE, ROOM
from tests.unit.fake_clock import NOW_MS

pytestmark = pytest.mark.unit

RESULT = SearchResult(ROOM, MESSAGE, 3, SenderType.USER, NOW_MS, "…of green tea, and", [(9, 12)])


async def test_results_are_told_with_their_place_and_the_matches(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    gateway.found = SearchPage([RESULT], MESSAGE)
    answer = await client.get("/v1/search", params={"q": "tea", "room_id": ROOM.upper(), "limit": 1, "cursor": MESSAGE})
    assert answer.status_code == 200
    assert answer.json() == {
        "results": [
            {
                "room_id": ROOM,
                "message_id": MESSAGE,
                "seq": 3,
                "sender_type": "USER",
                "timestamp": timestamp(NOW_MS),
                "snippet": "…of green tea, and",
                "highlights": [[9, 12]],
            }
        ],
        "next_cursor": MESSAGE,
        "errorCode": 0,
    }
    assert gateway.last_call() == ("search", "alice", "tea", ROOM, 1, MESSAGE)


async def test_what_is_not_said_is_every_room_and_twenty_results(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    assert (await client.get("/v1/search?q=tea")).json() == {"results": [], "next_cursor": None, "errorCode": 0}
    assert gateway.last_call() == ("search", "alice", "tea", None, 20, None)


@pytest.mark.parametrize("query", ["", "q=", f"q={'x' * 201}", "q=tea&limit=0", "q=tea&limit=101", "q=tea&limit=x"])
async def test_a_query_that_is_none_is_refused(client: httpx2.AsyncClient, gateway: FakeGateway, query: str) -> None:
    answer = await client.get(f"/v1/search?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert "search" not in [call[0] for call in gateway.calls]


async def test_what_is_no_room_is_not_found(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/search?q=tea&room_id=nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "room-not-found")

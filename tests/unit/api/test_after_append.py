"""What can refuse a send does so before the message is appended: after it, a refusal would have it sent twice."""

from __future__ import annotations

import httpx2
import msgspec
import pytest
from fastapi import FastAPI

from parlor.errors import CacheUnavailable, Overloaded, StoreUnavailable, StreamExpired, Unavailable
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import CURSOR, MESSAGE, ROOM

pytestmark = pytest.mark.unit

PATH = f"/v1/rooms/{ROOM}/messages"
BODY = b'{"content": "Hello"}'


@pytest.fixture
def headers(settings: Settings) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token(settings)}",
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
    }


def sends(gateway: FakeGateway) -> int:
    return sum(call[0] == "send_message" for call in gateway.calls)


async def test_without_a_free_stream_nothing_is_appended(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway
) -> None:
    async with Exchange(app, "GET", "/v1/events", headers) as one, Exchange(app, "GET", "/v1/events", headers) as two:
        assert ((await one.start())[0], (await two.start())[0]) == (200, 200)
        async with Exchange(app, "POST", PATH, headers) as third:
            third.body(BODY)
            status, answered = await third.start()
            assert (status, answered["retry-after"]) == (503, "5")
            assert msgspec.json.decode(await third.chunk())["code"] == "overloaded"
    assert sends(gateway) == 0


async def test_a_send_that_is_refused_gives_its_stream_back(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway
) -> None:
    gateway.fails = Overloaded()
    for _ in range(3):  # the application has two
        async with Exchange(app, "POST", PATH, headers) as refused:
            refused.body(BODY)
            assert (await refused.start())[0] == 503
    gateway.fails = None
    async with Exchange(app, "POST", PATH, headers) as taken:
        taken.body(BODY)
        assert (await taken.start())[0] == 200


@pytest.mark.parametrize("failure", [CacheUnavailable(), StoreUnavailable(), StreamExpired(), Overloaded()])
async def test_events_that_cannot_be_read_now_are_left_to_the_next_stream(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway, failure: CacheUnavailable
) -> None:
    gateway.subscription.refusal = failure
    for _ in range(3):  # it gives its stream back too
        async with Exchange(app, "POST", PATH, headers) as stream:
            stream.body(BODY)
            status, answered = await stream.start()
            assert (status, answered["content-type"]) == (200, "text/event-stream")
            assert answered["location"] == f"{PATH}/{MESSAGE}"
            lines = (await stream.chunk()).decode().splitlines()
            assert lines[:2] == [f"id: {CURSOR}", "event: stream.reconnect"]
            assert msgspec.json.decode(lines[2].removeprefix("data: ")) == {"cursor": CURSOR, "reason": failure.code}


async def test_a_reply_that_cannot_be_waited_for_is_answered_as_it_was_reserved(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    gateway.wait_fails = CacheUnavailable()
    answer = await client.post(PATH, json={"content": "Hello"}, headers={"Prefer": "wait=5"})
    assert (answer.status_code, answer.json()["reply"]["state"]) == (201, "COMPOSING")
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("failure", [CacheUnavailable(), StoreUnavailable()])
async def test_a_commit_that_is_not_heard_of_is_answered_with_the_message_id(
    client: httpx2.AsyncClient, gateway: FakeGateway, failure: Unavailable
) -> None:
    gateway.commit_fails = failure
    answer = await client.post(PATH, json={"content": "Hello"}, headers={"Prefer": "durability=persisted"})
    assert (answer.status_code, answer.json()["code"], answer.json()["message_id"]) == (503, failure.code, MESSAGE)

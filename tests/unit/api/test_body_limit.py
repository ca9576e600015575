"""Bodies over the limit."""

from __future__ import annotations

import json

import httpx2
import pytest
from fastapi import FastAPI

from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import ROOM

pytestmark = pytest.mark.unit

PATH = f"/v1/rooms/{ROOM}/messages"
LIMIT = 64 * 1024


def headers(settings: Settings, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(settings)}", "Content-Type": "application/json", **more}


async def test_a_body_that_announces_its_length_is_refused_unread(
    app: FastAPI, settings: Settings, gateway: FakeGateway
) -> None:
    async with Exchange(app, "POST", PATH, {**headers(settings), "Content-Length": str(LIMIT + 1)}) as exchange:
        status, answered = await exchange.start()
        assert (status, answered["connection"]) == (413, "close")
        assert json.loads(await exchange.chunk())["code"] == "content-too-large"
    assert [call[0] for call in gateway.calls] == ["session"]


async def test_a_chunked_body_is_refused_where_it_gets_too_long(app: FastAPI, settings: Settings) -> None:
    async with Exchange(app, "POST", PATH, headers(settings)) as exchange:
        exchange.body(b'{"content":"' + b"x" * (LIMIT // 2), more=True)
        exchange.body(b"x" * LIMIT, more=True)  # and the rest never comes
        assert (await exchange.start())[0] == 413
        assert json.loads(await exchange.chunk())["errorCode"] == 1008


async def test_a_body_of_exactly_the_limit_is_read(client: httpx2.AsyncClient) -> None:
    text = b'{"content":"x"}'
    body = text + b" " * (LIMIT - len(text))
    answer = await client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201
    too_long = await client.post(PATH, content=body + b" ", headers={"Content-Type": "application/json"})
    assert too_long.status_code == 413

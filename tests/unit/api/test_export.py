"""Export of a room as a file."""

from __future__ import annotations

import json

import httpx2
import pytest
from fastapi import FastAPI

from parlor.errors import RoomNotFound, StoreUnavailable
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import MESSAGE, REPLY, ROOM, message

pytestmark = pytest.mark.unit

PATH = f"/v1/rooms/{ROOM}/export"


async def test_jsonl_has_a_message_a_line(client: httpx2.AsyncClient) -> None:
    answer = await client.get(PATH)
    assert answer.headers["content-type"] == "application/jsonl"
    assert answer.headers["content-disposition"] == f'attachment; filename="room-{ROOM}.jsonl"'
    assert answer.content.endswith(b"\n")
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert [line["message_id"] for line in lines] == [MESSAGE, REPLY]
    assert lines[0]["timestamp"] == "2026-11-23T03:18:05.042Z"


async def test_jsonl_has_a_message_a_line_for_every_reader_of_lines(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    content = "a\nb\r\nc\x0bd\x0ce\x1cf\x85g\u2028h\u2029i"
    gateway.exported = [message(content=content)] * 2
    answer = await client.get(PATH)
    assert [json.loads(line)["content"] for line in answer.text.splitlines()] == [content, content]


async def test_markdown_can_be_read(client: httpx2.AsyncClient) -> None:
    answer = await client.get(PATH, params={"format": "markdown"})
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text == (
        "# 제목 🫖 שלום\n\n## 1 · USER · 2026-11-23T03:18:05.042Z\n\n> hello\n\n"
        "## 2 · AI · 2026-11-23T03:18:05.042Z\n\n> hi\n\n"
    )


async def test_an_empty_room_is_an_empty_file(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.exported = []
    answer = await client.get(PATH)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_an_unknown_format_is_refused(client: httpx2.AsyncClient) -> None:
    assert (await client.get(PATH, params={"format": "pdf"})).status_code == 422


@pytest.mark.parametrize(("error", "status"), [(RoomNotFound(), 404), (StoreUnavailable(), 503)])
async def test_what_fails_before_the_first_message_is_a_problem(
    client: httpx2.AsyncClient, gateway: FakeGateway, error: Exception, status: int
) -> None:
    gateway.exported, gateway.export_breaks = [], error
    assert (await client.get(PATH)).status_code == status


async def test_what_fails_on_the_way_cuts_the_answer(app: FastAPI, settings: Settings, gateway: FakeGateway) -> None:
    gateway.exported = [message(content="x" * 70_000), message()]
    gateway.export_breaks = StoreUnavailable()
    async with Exchange(app, "GET", PATH, {"Authorization": f"Bearer {token(settings)}"}) as exchange:
        await exchange.start()
        assert (await exchange.next())["more_body"] is True
        with pytest.raises((StoreUnavailable, RuntimeError)):
            await exchange.finished()


async def test_a_client_that_goes_ends_the_export(app: FastAPI, settings: Settings, gateway: FakeGateway) -> None:
    gateway.exported = [message(content="x" * 70_000)] * 3
    async with Exchange(app, "GET", PATH, {"Authorization": f"Bearer {token(settings)}"}) as exchange:
        await exchange.start()
        exchange.reading.clear()
        exchange.disconnect()
        await exchange.finished()

"""Routes of rooms, their queue and memory, personas, health and the page."""

from __future__ import annotations

import asyncio
import json

import httpx2
import pytest

from parlor.errors import CacheUnavailable, RoomNotFound
from parlor.model.requests import DependencyHealth
from parlor.model.rooms import RoomMemory
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import CURSOR, ROOM
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit

JSON = {"Content-Type": "application/json"}
ROOM_JSON = {
    "room_id": ROOM,
    "title": "제목 🫖 שלום",
    "ai_persona": "GPT4O",
    "created_at": "2026-11-23T03:18:05.042Z",
    "last_message_at": None,
    "message_count": 0,
    "state": "PENDING",
    "persisted_seq": 0,
    "external_id": None,
}


async def test_a_room_is_created_with_its_location(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await client.post("/v1/rooms", json={"title": "T", "ai_persona": "P"})
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/rooms/{ROOM}"
    assert answer.json() == {**ROOM_JSON, "title": "T", "errorCode": 0}
    assert gateway.last_call() == ("create_room", "alice", "T", "P", None, None)


async def test_a_room_needs_no_body(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    assert (await client.post("/v1/rooms")).status_code == 201
    assert gateway.last_call() == ("create_room", "alice", None, None, None, None)


async def test_a_room_that_is_created_again_with_its_key_is_answered_as_replayed(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    key = {"Idempotency-Key": '"k"'}
    first = await client.post("/v1/rooms", json={"title": "T"}, headers=key)
    assert (first.status_code, "idempotent-replayed" in first.headers) == (201, False)
    asked = gateway.last_call()
    gateway.replays = True
    again = await client.post("/v1/rooms", content=b'{"ai_persona": null, "title": "\\u0054"}', headers={**key, **JSON})
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert (again.headers["location"], again.json()) == (f"/v1/rooms/{ROOM}", first.json())
    assert gateway.last_call() == asked, "the spelling does not matter"
    await client.post("/v1/rooms", json={"title": "T", "ai_persona": "P"}, headers=key)
    assert gateway.last_call()[-2].key == asked[-2].key
    assert gateway.last_call()[-2].fingerprint != asked[-2].fingerprint


@pytest.mark.parametrize("key", ["", '""', "k" * 129, "a b"])
async def test_a_room_is_not_created_with_a_key_that_is_none(
    client: httpx2.AsyncClient, gateway: FakeGateway, key: str
) -> None:
    answer = await client.post("/v1/rooms", headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["header", "Idempotency-Key"])
    assert [call[0] for call in gateway.calls] == ["session"]


@pytest.mark.parametrize("external_id", ["chat-1", " 채팅 🫖 ", "x" * 128])
async def test_a_room_with_a_known_external_id_is_answered_as_it_is(
    client: httpx2.AsyncClient, gateway: FakeGateway, external_id: str
) -> None:
    made = await client.post("/v1/rooms", json={"external_id": external_id})
    assert (made.status_code, made.json()["external_id"]) == (201, external_id)
    assert gateway.last_call() == ("create_room", "alice", None, None, None, external_id)
    gateway.replays = True
    again = await client.post("/v1/rooms", json={"external_id": external_id})
    assert (again.status_code, "idempotent-replayed" in again.headers) == (200, False)
    assert again.headers["location"] == f"/v1/rooms/{ROOM}"


async def test_rooms_are_listed_by_external_id(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await client.get("/v1/rooms", params={"external_id": "a/b c"})
    assert answer.json() == {
        "rooms": [{**ROOM_JSON, "external_id": "a/b c"}],
        "total_count": 1,
        "next_cursor": None,
        "events_cursor": CURSOR,
        "errorCode": 0,
    }
    assert gateway.last_call() == ("find_rooms", "alice", "a/b c")


@pytest.mark.parametrize("external_id", ["", "x" * 129, "a\nb", "a\u0000", "\u200b", "\ud800", 5])
async def test_an_external_id_is_one_to_128_printable_characters(
    client: httpx2.AsyncClient, gateway: FakeGateway, external_id: object
) -> None:
    body = json.dumps({"external_id": external_id}).encode()
    answer = await client.post("/v1/rooms", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert [call[0] for call in gateway.calls] == ["session"]


async def test_rooms_are_listed_with_the_cursor_passed_through(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    answer = await client.get("/v1/rooms", params={"limit": 7, "cursor": "abc=="})
    assert answer.json() == {
        "rooms": [ROOM_JSON, {**ROOM_JSON, "last_message_at": "2026-11-23T03:18:05.042Z"}],
        "total_count": 2,
        "next_cursor": "opaque",
        "events_cursor": CURSOR,
        "errorCode": 0,
    }
    assert gateway.last_call() == ("list_rooms", 7, "abc==")
    await client.get("/v1/rooms")
    assert gateway.last_call() == ("list_rooms", 20, None)


async def test_text_goes_out_as_utf8_without_escapes(client: httpx2.AsyncClient) -> None:
    assert "제목 🫖 שלום".encode() in (await client.get(f"/v1/rooms/{ROOM}")).content


async def test_a_room_is_read_renamed_and_deleted(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    assert (await client.get(f"/v1/rooms/{ROOM}")).json() == {**ROOM_JSON, "errorCode": 0}
    renamed = await client.patch(f"/v1/rooms/{ROOM}", json={"title": "new"})
    assert (renamed.status_code, renamed.json()["title"]) == (200, "new")
    deleted = await client.delete(f"/v1/rooms/{ROOM}")
    assert (deleted.status_code, deleted.json()["state"]) == (202, "DELETING")
    assert gateway.last_call() == ("delete_room", ROOM)


@pytest.mark.parametrize(
    "body", [{"title": "new"}, {"ai_persona": "BRIEF"}, {"title": "new", "ai_persona": "BRIEF"}], ids=str
)
async def test_what_is_not_given_stays(client: httpx2.AsyncClient, gateway: FakeGateway, body: dict[str, str]) -> None:
    answer = await client.patch(f"/v1/rooms/{ROOM}", json=body)
    assert (answer.status_code, answer.json()) == (200, {**ROOM_JSON, **body, "errorCode": 0})
    assert gateway.last_call() == ("update_room", ROOM, body.get("title"), body.get("ai_persona"))


@pytest.mark.parametrize(
    "body", [{}, {"title": None}, {"title": None, "ai_persona": None}, {"ai_persona": ""}, {"ai_persona": 1}], ids=str
)
async def test_an_update_of_nothing_is_refused(
    client: httpx2.AsyncClient, gateway: FakeGateway, body: dict[str, object]
) -> None:
    answer = await client.patch(f"/v1/rooms/{ROOM}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert [call[0] for call in gateway.calls] == ["session"]


async def test_a_state_has_its_log(client: httpx2.AsyncClient) -> None:
    answer = await client.get(f"/v1/rooms/{ROOM}/state")
    line = {"at": "2026-11-23T03:18:05.042Z", "from": "CREATING", "to": "PENDING", "by": "room"}
    assert answer.json() == {"state": "PENDING", "log": [line], "errorCode": 0}


async def test_a_queue_is_the_messages_that_wait(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await client.get(f"/v1/rooms/{ROOM}/queue")
    body = answer.json()
    assert (answer.status_code, body.keys()) == (200, {"messages", "next_cursor", "errorCode"})
    assert body["next_cursor"] == "5"
    assert [(each["seq"], each["timestamp"]) for each in body["messages"]] == [
        (3, "2026-11-23T03:18:05.042Z"),
        (5, "2026-11-23T03:18:05.042Z"),
    ]
    assert gateway.last_call() == ("queued_messages", ROOM, 50, None)
    await client.get(f"/v1/rooms/{ROOM}/queue?limit=7&cursor=3")
    assert gateway.last_call() == ("queued_messages", ROOM, 7, "3")


async def test_a_memory_is_read_and_forgotten(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    at = "2026-11-23T03:18:05.042Z"
    read = await client.get(f"/v1/rooms/{ROOM}/memory")
    known = {"summary": "They talked about tea.", "through_seq": 12, "updated_at": at, "version": 3, "errorCode": 0}
    assert (read.status_code, read.json()) == (200, known)
    assert gateway.last_call() == ("room_memory", ROOM)
    forgotten = await client.delete(f"/v1/rooms/{ROOM}/memory")
    empty = {"summary": "", "through_seq": 0, "updated_at": at, "version": 4, "errorCode": 0}
    assert (forgotten.status_code, forgotten.json()) == (200, empty)
    assert gateway.last_call() == ("reset_memory", ROOM)


async def test_a_room_without_memory_was_never_updated(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.memory = RoomMemory("", 0, None, 0)
    assert (await client.get(f"/v1/rooms/{ROOM}/memory")).json()["updated_at"] is None


@pytest.mark.parametrize("refusal", [RoomNotFound(), CacheUnavailable(retry_after=1)])
@pytest.mark.parametrize(("method", "call"), [("GET", "queue"), ("GET", "memory"), ("DELETE", "memory")])
async def test_queue_and_memory_are_refused_as_everything_else(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    method: str,
    call: str,
    refusal: RoomNotFound | CacheUnavailable,
) -> None:
    await client.get(f"/v1/rooms/{ROOM}")
    gateway.fails = refusal
    answer = await client.request(method, f"/v1/rooms/{ROOM}/{call}")
    assert (answer.status_code, answer.json()["code"]) == (refusal.http_status, refusal.code)


@pytest.mark.parametrize("name", ["x", "00000000-0000-4000-8000-000000000000", ROOM.replace("-", "")])
async def test_what_is_no_id_of_ours_is_no_room(client: httpx2.AsyncClient, gateway: FakeGateway, name: str) -> None:
    for below in ("", "/messages", "/events", "/queue", "/memory"):
        answer = await client.get(f"/v1/rooms/{name}{below}")
        assert (answer.status_code, answer.json()["code"]) == (404, "room-not-found")
    assert [call[0] for call in gateway.calls] == ["session"]


async def test_personas_are_listed_without_their_prompts(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/personas")
    persona = {"name": "GPT4O", "title": "GPT-4o", "description": "All-round", "model": "gpt-4o"}
    assert answer.json() == {"personas": [persona], "errorCode": 0}


async def test_health_needs_no_token(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    del client.headers["authorization"]
    assert (await client.get("/healthz")).json()["ready"] is True
    ready = await client.get("/readyz")
    assert (ready.status_code, [each["name"] for each in ready.json()["dependencies"]]) == (200, ["redis", "shard 1"])
    gateway.healths = [
        DependencyHealth("redis", ok=False, detail="refused"),
        DependencyHealth("x", ok=True, detail="ok"),
    ]
    broken = await client.get("/readyz")
    assert (broken.status_code, broken.headers["retry-after"]) == (503, "1")
    body = broken.json()
    assert body["dependencies"][0] == {"name": "redis", "ok": False, "detail": "refused"}
    assert (body["ready"], body["detail"], body["errorCode"]) == (False, "redis: refused", 1012)


async def test_many_who_ask_whether_it_is_ready_share_one_check(
    client: httpx2.AsyncClient, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = 0, asyncio.Event()

    async def readiness() -> list[DependencyHealth]:
        nonlocal begun
        begun += 1
        await go_on.wait()
        return gateway.healths

    monkeypatch.setattr(gateway, "readiness", readiness)
    asking = [asyncio.create_task(client.get("/readyz")) for _ in range(20)]
    await settle()
    asking[0].cancel()
    go_on.set()
    answers = await asyncio.gather(*asking[1:])
    assert ({answer.status_code for answer in answers}, begun) == ({200}, 1)
    assert (await client.get("/readyz")).status_code == 200
    assert begun == 2, "what is asked later is checked anew"


async def test_the_page_and_its_files_come_with_a_strict_policy(client: httpx2.AsyncClient) -> None:
    del client.headers["authorization"]
    page = await client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-cache"
    missing = await client.get("/assets/no-such-file.js")
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    assert (await client.get("/assets/../../../settings.py")).status_code == 404

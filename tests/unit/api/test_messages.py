"""Sending, listing, reading, editing and deleting messages."""

from __future__ import annotations

import httpx2
import msgspec
import pytest
from fastapi import FastAPI

from parlor.errors import StoreUnavailable
from parlor.model.messages import Event
from parlor.model.parts import FilePart, ImagePart, StoredParts, TextSpan
from parlor.model.requests import OnBusy, ReplyMode, SendRequest
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import CURSOR, EDITED_AT, MESSAGE, REPLY, ROOM

pytestmark = pytest.mark.unit

PATH = f"/v1/rooms/{ROOM}/messages"
MESSAGE_JSON = {
    "message_id": MESSAGE,
    "room_id": ROOM,
    "seq": 1,
    "sender_type": "USER",
    "content": "hello",
    "timestamp": "2026-11-23T03:18:05.042Z",
    "state": "PENDING",
    "durability": "cached",
    "is_streaming": False,
    "attempt": 0,
    "parent_message_id": None,
    "finish_reason": None,
    "usage": None,
    "metadata": {},
    "ai_persona": None,
    "error": None,
    "parts": [{"type": "text", "text": "hello"}],
}
REPLY_JSON = {
    **MESSAGE_JSON,
    "message_id": REPLY,
    "seq": 2,
    "sender_type": "AI",
    "content": "",
    "parts": [],
    "state": "COMPOSING",
    "is_streaming": True,
    "parent_message_id": MESSAGE,
}


def sent(gateway: FakeGateway) -> SendRequest:
    request = next(call[2] for call in gateway.calls if call[0] == "send_message")
    assert isinstance(request, SendRequest)
    return request


async def test_a_send_is_answered_with_message_reply_and_cursor(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    body = {"content": "hello 🫖", "ai_persona": "P", "metadata": {"a": 1}, "on_busy": "reject", "reply": "none"}
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{PATH}/{MESSAGE}"
    assert "idempotent-replayed" not in answer.headers
    assert answer.json() == {"message": MESSAGE_JSON, "reply": REPLY_JSON, "cursor": CURSOR, "errorCode": 0}
    assert sent(gateway) == SendRequest("hello 🫖", "P", {"a": 1}, OnBusy.REJECT, ReplyMode.NONE)


async def test_a_repeat_with_the_same_key_is_answered_as_replayed(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    gateway.receipt = msgspec.structs.replace(gateway.receipt, replayed=True)
    answer = await client.post(PATH, json={"content": "x"}, headers={"Idempotency-Key": '"k"'})
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (200, "true")
    idempotency = sent(gateway).idempotency
    assert idempotency is not None
    assert idempotency.key == "k"


async def test_a_message_without_reply_has_reply_null(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.receipt = msgspec.structs.replace(gateway.receipt, reply=None)
    answer = await client.post(PATH, json={"content": "x"}, headers={"Prefer": "wait=5"})
    assert answer.json()["reply"] is None
    assert "preference-applied" not in answer.headers
    assert [call[0] for call in gateway.calls] == ["session", "send_message"]


async def test_waiting_gives_the_reply_as_it_is_then(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await client.post(PATH, json={"content": "x"}, headers={"Prefer": "wait=30"})
    assert (answer.status_code, answer.json()["reply"]["content"]) == (201, "all of it")
    assert answer.headers["preference-applied"] == "wait=30"
    assert gateway.last_call() == ("wait_for_reply", REPLY, 30.0)


async def test_a_long_wait_is_capped_and_says_so(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await client.post(PATH, json={"content": "x"}, headers={"Prefer": "wait=99999"})
    assert answer.headers["preference-applied"] == "wait=300"
    assert gateway.last_call() == ("wait_for_reply", REPLY, 300.0)


async def test_a_persisted_send_is_urgent_and_waits_for_the_commit(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    headers = [("Prefer", "durability=persisted"), ("Prefer", "wait=1")]
    answer = await client.post(PATH, json={"content": "x"}, headers=headers)
    assert answer.json()["message"]["durability"] == "persisted"
    assert answer.headers["preference-applied"] == "durability=persisted, wait=1"
    assert sent(gateway).urgent
    assert [call[0] for call in gateway.calls] == ["session", "send_message", "wait_for_commit", "wait_for_reply"]


async def test_a_commit_that_does_not_come_names_the_message_that_is_kept(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    gateway.commit_fails = StoreUnavailable("not yet", retry_after=2.4)
    answer = await client.post(PATH, json={"content": "x"}, headers={"Prefer": "durability=persisted"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    body = answer.json()
    assert (body["code"], body["message_id"], body["detail"]) == ("store-unavailable", MESSAGE, "not yet")


async def test_a_sender_may_take_the_answer_as_events(app: FastAPI, settings: Settings, gateway: FakeGateway) -> None:
    headers = {
        "Authorization": f"Bearer {token(settings)}",
        "Accept": "text/event-stream",
        "Content-Type": "application/json",
        "Idempotency-Key": "k",
    }
    gateway.receipt = msgspec.structs.replace(gateway.receipt, replayed=True)
    async with Exchange(app, "POST", PATH, headers) as stream:
        stream.body(b'{"content":"x"}')
        status, answered = await stream.start()
        assert (status, answered["idempotent-replayed"]) == (200, "true")
        assert answered["location"] == f"{PATH}/{MESSAGE}"
        assert await stream.chunk() == b": open\n\n"
        gateway.subscription.batches.put_nowait([Event("1-1", "message.completed", b"{}")])
        assert await stream.chunk() == b"id: 1-1\nevent: message.completed\ndata: {}\n\n"
        stream.disconnect()
        await stream.finished()
    assert gateway.last_call() == ("turn_events", ROOM, CURSOR)


async def test_a_page_passes_its_bounds_on(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await client.get(PATH, params={"limit": 2, "before": 9})
    body = answer.json()
    assert [each["seq"] for each in body["messages"]] == [1, 2]
    assert body["messages"][1]["usage"] == {"input_tokens": 3, "output_tokens": 4}
    assert {key: body[key] for key in ("has_more", "next_before", "persisted_seq", "cursor", "errorCode")} == {
        "has_more": True,
        "next_before": 1,
        "persisted_seq": 1,
        "cursor": CURSOR,
        "errorCode": 0,
    }
    assert gateway.last_call() == ("list_messages", ROOM, 2, 9, None)
    await client.get(PATH, params={"after": 0})
    assert gateway.last_call() == ("list_messages", ROOM, 50, None, 0)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "before=0", "before=-1", "after=-1", "after=9e9", "before=2&after=1"]
)
async def test_a_page_with_wrong_bounds_is_refused(client: httpx2.AsyncClient, query: str) -> None:
    answer = await client.get(f"{PATH}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


async def test_a_message_is_read_deleted_and_asked_for_its_state(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    assert (await client.get(f"{PATH}/{MESSAGE}")).json() == {**MESSAGE_JSON, "errorCode": 0}
    deleted = await client.delete(f"{PATH}/{MESSAGE}")
    assert deleted.status_code == 200
    assert deleted.json() == {"message_id": MESSAGE, "state": "DELETING", "outcome": "deleting", "errorCode": 0}
    assert (await client.get(f"{PATH}/{MESSAGE}/state")).json() == {"state": "PENDING", "log": [], "errorCode": 0}
    assert gateway.last_call() == ("message_state", ROOM, MESSAGE)


@pytest.mark.parametrize("on_busy", OnBusy)
async def test_every_way_to_treat_a_busy_room_is_taken(
    client: httpx2.AsyncClient, gateway: FakeGateway, on_busy: OnBusy
) -> None:
    assert (await client.post(PATH, json={"content": "x", "on_busy": on_busy})).status_code == 201
    assert sent(gateway).on_busy is on_busy


async def test_an_edit_is_answered_with_message_reply_and_cursor(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    answer = await client.patch(f"{PATH}/{MESSAGE}", json={"content": "better 🫖"})
    assert answer.status_code == 200
    message = {
        **MESSAGE_JSON,
        "content": "better",
        "parts": [{"type": "text", "text": "better"}],
        "metadata": {"edited_at": EDITED_AT},
    }
    assert answer.json() == {**message, "reply": REPLY_JSON, "cursor": CURSOR, "errorCode": 0}
    assert gateway.last_call() == ("edit_message", ROOM, MESSAGE, "better 🫖", None)


async def test_an_edit_of_a_message_without_reply_has_reply_null(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    gateway.edited = msgspec.structs.replace(gateway.edited, reply=None)
    answer = await client.patch(f"{PATH}/{MESSAGE}", json={"content": "x"})
    assert (answer.status_code, answer.json()["reply"]) == (200, None)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
async def test_what_is_no_id_of_ours_is_no_message(client: httpx2.AsyncClient, method: str) -> None:
    answer = await client.request(method, f"{PATH}/nothing", json={"content": "x"} if method == "PATCH" else None)
    assert (answer.status_code, answer.json()["code"]) == (404, "message-not-found")


@pytest.mark.parametrize(
    ("body", "content", "parts"),
    [
        ({"parts": [{"type": "text", "text": "a"}]}, "a", None),
        (
            {"parts": [{"type": "text", "text": "a"}, {"type": "text", "text": "\u00fcb"}]},
            "a\u00fcb",
            (TextSpan(1), TextSpan(2)),
        ),
        ({"content": "x", "parts": [{"type": "text", "text": "ab"}]}, "xab", (TextSpan(1), TextSpan(2))),
        ({"content": "ab", "parts": [{"type": "text", "text": "ab"}]}, "ab", None),
        ({"parts": [{"type": "image", "file_id": "AB"}]}, "", (ImagePart("ab", "", "", 0),)),
        (
            {"content": "a", "parts": [{"type": "file", "file_id": "x"}]},
            "a",
            (TextSpan(1), FilePart("x", "", "", 0)),
        ),
    ],
)
async def test_a_message_is_sent_in_parts(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    body: dict[str, object],
    content: str,
    parts: StoredParts | None,
) -> None:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 201
    assert sent(gateway) == SendRequest(content, parts=parts)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"parts": []},
        {"parts": [{"type": "text", "text": " \u200b"}]},
        {"parts": [{"type": "text", "text": ""}]},
        {"parts": [{"type": "text", "text": "a\u0000"}]},
        {"parts": [{"type": "text", "text": "a", "more": 1}]},
        {"parts": [{"type": "reasoning", "text": "a"}]},
        {"parts": [{"type": "image", "file_id": "x", "name": "y"}]},
        {"parts": [{"type": "file"}]},
        {"parts": [{"type": "text", "text": "a"}] * 65},
        {"parts": {"type": "text", "text": "a"}},
    ],
)
async def test_parts_that_nobody_can_send_are_refused(
    client: httpx2.AsyncClient, gateway: FakeGateway, body: dict[str, object]
) -> None:
    answer = await client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert [call for call in gateway.calls if call[0] == "send_message"] == []


async def test_the_whole_of_a_message_in_parts_has_the_limit_of_a_content(client: httpx2.AsyncClient) -> None:
    half = {"type": "text", "text": "x" * 500}
    assert (await client.post(PATH, json={"parts": [half, half]})).status_code == 201
    assert (await client.post(PATH, json={"content": "y", "parts": [half, half]})).json()["code"] == "content-too-large"


async def test_the_same_key_with_other_parts_is_another_request(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    for parts in (["ab"], ["a", "b"]):
        body = {"parts": [{"type": "text", "text": text} for text in parts]}
        await client.post(PATH, json=body, headers={"Idempotency-Key": "k"})
    one, other = (call[2].idempotency for call in gateway.calls if call[0] == "send_message")
    assert one.fingerprint != other.fingerprint

"""The AI SDK's chats, with the requests of its ``DefaultChatTransport``."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from parlor.errors import CacheUnavailable, IdempotencyMismatch
from parlor.model.messages import Message
from parlor.model.requests import SendReceipt
from parlor.model.rooms import RoomPage
from tests.unit.api.dialects.test_ai_sdk_frames import chunks, folded
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import CURSOR, REPLY, ROOM, message, reply
from tests.unit.api.test_openai_chat import ended, event

pytestmark = pytest.mark.unit

CHAT = "/ai-sdk/chat"
ANSWERED = [message(content="Hello"), reply(content="Hi!", is_streaming=False)]
RUNNING = reply(seq=4, attempt=3)


def said(*texts: str, message_id: str = "m-1", role: str = "user") -> dict[str, Any]:
    return {"id": message_id, "role": role, "parts": [{"type": "text", "text": text} for text in texts]}


def asked(*messages: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What `DefaultChatTransport` sends."""
    return {"id": "tea", "messages": list(messages or [said("Hello")]), "trigger": "submit-message", **changes}


def calls(gateway: FakeGateway, name: str) -> list[tuple[Any, ...]]:
    return [call for call in gateway.calls if call[0] == name]


async def unavailable(*_: object) -> None:
    raise CacheUnavailable


@pytest.fixture
def without_room(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    async def found(*asked: Any) -> RoomPage:
        return RoomPage([], 0, None, CURSOR)

    monkeypatch.setattr(gateway, "find_rooms", found)


async def test_a_message_is_sent_and_its_reply_streamed(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.subscription.batches.put_nowait([event("message.created"), event("message.delta", text="Hi"), ended()])
    earlier = [said("Before", message_id="m-0"), said("Yes?", message_id="r-0", role="assistant")]
    answer = await client.post(CHAT, json=asked(*earlier, said("Hel", "lo"), webSearch=True, ai_persona="GPT4O"))
    assert answer.status_code == 200
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert answer.headers["content-type"] == "text/event-stream"
    assert (answer.headers["parlor-room"], "idempotent-replayed" in answer.headers) == (ROOM, False)
    found = chunks(answer.content)
    assert found[:2] == [{"type": "start", "messageId": REPLY}, {"type": "start-step"}]
    assert folded(found)["text"] == "Hi!"
    assert found[-2:] == [{"type": "finish", "finishReason": "stop"}, None]
    assert ("create_room", "alice", None, "GPT4O", None, "tea") in gateway.calls
    ((_, room, sent),) = calls(gateway, "send_message")
    assert (room, sent.content, sent.ai_persona, sent.idempotency.key) == (ROOM, "Hello", "GPT4O", "m-1")


@pytest.mark.parametrize(
    ("message_id", "key"), [("k" * 128, "k" * 128), ("k" * 129, None), ("", None), ("\u0000", None), ("차-1", "차-1")]
)
async def test_the_messages_id_is_its_idempotency_key(
    client: httpx2.AsyncClient, gateway: FakeGateway, message_id: str, key: str | None
) -> None:
    gateway.subscription.batches.put_nowait([ended()])
    assert (await client.post(CHAT, json=asked(said("x", message_id=message_id)))).status_code == 200
    ((_, _, sent),) = calls(gateway, "send_message")
    assert (sent.idempotency.key if sent.idempotency else None) == key


async def test_only_the_same_text_is_a_repeat(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.receipt = SendReceipt(message(), reply(), CURSOR, replayed=True)
    bodies = [
        asked(),
        asked(said("Before", message_id="m-0"), said("Hel", "lo")),
        asked(said("Hello!")),
        asked(ai_persona="X"),
    ]
    for body in bodies:
        gateway.subscription.batches.put_nowait([ended()])
        answer = await client.post(CHAT, json=body)
        assert answer.headers["idempotent-replayed"] == "true"
    first, again, edited, elsewhere = [sent.idempotency for _, _, sent in calls(gateway, "send_message")]
    assert first == again
    assert len({each.fingerprint for each in (first, edited, elsewhere)}) == 3


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (asked(said(" ")), 422, "invalid-request"),
        (asked(said("\u0000")), 422, "invalid-request"),
        (asked(said("x", role="assistant")), 422, "invalid-request"),
        (asked({"id": "m", "role": "user", "parts": [{"type": "file", "url": "data:,"}]}), 422, "invalid-request"),
        (asked(id="x" * 129), 422, "invalid-request"),
        (asked(id=""), 422, "invalid-request"),
        (asked(trigger="resume-stream"), 422, "invalid-request"),
        ({"id": "tea"}, 422, "invalid-request"),
        (asked(said("x" * 1001)), 413, "content-too-large"),
    ],
)
async def test_what_cannot_be_sent_is_refused(
    client: httpx2.AsyncClient, gateway: FakeGateway, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await client.post(CHAT, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert not calls(gateway, "create_room")
    assert not calls(gateway, "send_message")


async def test_a_refused_send_gives_its_stream_back(
    client: httpx2.AsyncClient, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: Any) -> SendReceipt:
        raise IdempotencyMismatch

    with monkeypatch.context() as patched:
        patched.setattr(gateway, "send_message", refuses)
        for _ in range(3):  # more than the streams that the account may have
            answer = await client.post(CHAT, json=asked())
            assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-mismatch")
    gateway.subscription.batches.put_nowait([ended()])
    assert (await client.post(CHAT, json=asked())).status_code == 200


async def test_a_turn_that_cannot_be_read_now_was_sent_all_the_same(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    gateway.subscription.refusal = CacheUnavailable()
    answer = await client.post(CHAT, json=asked())
    told, done = chunks(answer.content)
    assert (answer.status_code, told["type"], done) == (200, "error", None)
    assert told["errorText"].startswith("cache-unavailable: ")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"messages": []},
        {"messages": [said("Hello"), said("Hi!", role="assistant")]},
        {"messageId": REPLY.upper(), "messages": [said("Another")]},
        {"messageId": "Ab3", "ai_persona": "GPT4O"},
    ],
)
async def test_the_last_reply_is_begun_anew(
    client: httpx2.AsyncClient, gateway: FakeGateway, changes: dict[str, Any]
) -> None:
    gateway.current = ANSWERED
    gateway.subscription.batches.put_nowait([event("message.reset"), event("message.delta", text="Hi!"), ended()])
    answer = await client.post(CHAT, json=asked(**{"trigger": "regenerate-message", **changes}))
    assert folded(chunks(answer.content))["text"] == "Hi!"
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert calls(gateway, "regenerate") == [("regenerate", ROOM, REPLY, changes.get("ai_persona"), None)]
    assert calls(gateway, "reply_events") == [("reply_events", ROOM, REPLY, None)]
    assert not calls(gateway, "send_message")


@pytest.mark.parametrize(
    ("messages", "body", "status", "code"),
    [
        (ANSWERED, asked(said("It never arrived")), 422, "invalid-request"),
        ([message()], asked(), 404, "message-not-found"),
    ],
)
async def test_no_other_reply_is_begun_anew(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    messages: list[Message],
    body: dict[str, Any],
    status: int,
    code: str,
) -> None:
    gateway.current = messages
    for _ in range(3):  # more than the streams that the account may have
        answer = await client.post(CHAT, json={**body, "trigger": "regenerate-message"})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not calls(gateway, "regenerate")


async def test_a_chat_without_a_room_has_nothing_to_begin_anew(
    client: httpx2.AsyncClient, gateway: FakeGateway, without_room: None
) -> None:
    answer = await client.post(CHAT, json=asked(trigger="regenerate-message"))
    assert (answer.status_code, answer.json()["code"]) == (404, "room-not-found")
    assert not calls(gateway, "create_room")


@pytest.mark.parametrize(("segment", "chat"), [("tea", "tea"), ("%EC%B0%A8", "차"), ("a%2Fb%2fc", "a/b/c")])
async def test_the_running_reply_resumes_from_its_start(
    client: httpx2.AsyncClient, gateway: FakeGateway, segment: str, chat: str
) -> None:
    gateway.running = RUNNING
    gateway.subscription.batches.put_nowait([event("message.delta", text="Hi"), ended()])
    answer = await client.get(f"{CHAT}/{segment}/stream")
    found = chunks(answer.content)
    assert (answer.status_code, found[:1], folded(found)["text"]) == (
        200,
        [{"type": "start", "messageId": REPLY}],
        "Hi!",
    )
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert calls(gateway, "find_rooms") == [("find_rooms", "alice", chat)]
    assert calls(gateway, "reply_events") == [("reply_events", ROOM, REPLY, None)]


async def test_the_running_reply_is_stopped(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.running = RUNNING
    answer = await client.post(f"{CHAT}/tea/stop")
    assert (answer.status_code, answer.content) == (204, b"")
    assert calls(gateway, "stop_reply") == [("stop_reply", ROOM, REPLY, 3)]


@pytest.mark.parametrize(("method", "what"), [("GET", "stream"), ("POST", "stop")])
async def test_where_no_reply_runs_there_is_nothing_to_do(
    client: httpx2.AsyncClient, gateway: FakeGateway, method: str, what: str
) -> None:
    for _ in range(2):
        answer = await client.request(method, f"{CHAT}/tea/{what}")
        assert (answer.status_code, answer.content) == (204, b"")
    assert not calls(gateway, "stop_reply")


@pytest.mark.parametrize("asked_of", ["find_rooms", "running_reply"])
@pytest.mark.parametrize(("method", "what"), [("GET", "stream"), ("POST", "stop")])
async def test_without_redis_nobody_says_that_no_reply_runs(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    monkeypatch: pytest.MonkeyPatch,
    asked_of: str,
    method: str,
    what: str,
) -> None:
    monkeypatch.setattr(gateway, asked_of, unavailable)
    answer = await client.request(method, f"{CHAT}/tea/{what}")
    assert (answer.status_code, answer.json()["code"]) == (503, "cache-unavailable")
    assert not calls(gateway, "stop_reply")


@pytest.mark.parametrize("asked_of", ["find_rooms", "current_messages"])
async def test_without_redis_nobody_says_that_there_is_no_reply_to_begin_anew(
    client: httpx2.AsyncClient, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, asked_of: str
) -> None:
    monkeypatch.setattr(gateway, asked_of, unavailable)
    answer = await client.post(CHAT, json=asked(trigger="regenerate-message"))
    assert (answer.status_code, answer.json()["code"]) == (503, "cache-unavailable")


@pytest.mark.parametrize(("method", "what"), [("GET", "stream"), ("POST", "stop")])
async def test_a_chat_without_a_room_has_nothing_running(
    client: httpx2.AsyncClient, without_room: None, method: str, what: str
) -> None:
    assert (await client.request(method, f"{CHAT}/new/{what}")).status_code == 204
    answer = await client.request(method, f"{CHAT}/{'x' * 129}/{what}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")

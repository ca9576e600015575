"""Sending again, sending while a reply is written, and what the headers ask for."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import httpx2
import pytest

from tests.integration.sse import text_of
from tests.integration.user import PERSISTED, Json, User, of, succeeded
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

SLOW = "[[tokens=40 delay=50ms]]"
"""About two seconds."""


async def _post(user: User, room: str, key: str, **body: object) -> httpx2.Response:
    return await user.http.post(f"{of(room)}/messages", json=body, headers={"Idempotency-Key": key})


async def test_the_same_key_and_body_give_the_same_turn(user: User) -> None:
    room, key = await user.create_room(), uuid4().hex
    first = await _post(user, room, key, content="once", metadata={"a": 1, "b": 2})
    again = await _post(user, room, key, metadata={"b": 2, "a": 1}, content="once")
    quoted = await _post(user, room, f'"{key}"', content="once", metadata={"a": 1, "b": 2}, reply="auto")

    sent = succeeded(first, 201)
    assert "idempotent-replayed" not in first.headers
    for repeat in (again, quoted):
        body = succeeded(repeat, 200)
        assert repeat.headers["idempotent-replayed"] == "true"
        assert body["message"]["message_id"] == sent["message"]["message_id"]
        assert body["reply"]["message_id"] == sent["reply"]["message_id"]
        assert body["cursor"] == sent["cursor"]
    assert (await user.get(of(room)))["message_count"] == 2


async def test_a_key_with_another_body_is_refused(user: User) -> None:
    room, key = await user.create_room(), uuid4().hex
    succeeded(await _post(user, room, key, content="one", reply="none"), 201)
    for other in (
        {"content": "two", "reply": "none"},
        {"content": "one"},
        {"content": "one", "reply": "none", "metadata": {"x": 1}},
    ):
        refused = await _post(user, room, key, **other)
        assert refused.status_code == 422
        assert (refused.json()["code"], refused.json()["errorCode"]) == ("idempotency-mismatch", 1006)
    assert (await user.get(of(room)))["message_count"] == 1


async def test_keys_of_other_rooms_and_accounts_are_other_keys(user: User, stranger: User) -> None:
    key = uuid4().hex
    rooms = [(user, await user.create_room()), (user, await user.create_room())]
    rooms.append((stranger, await stranger.create_room()))
    ids = {
        succeeded(await _post(who, room, key, content=f"hello from {number}", reply="none"), 201)["message"][
            "message_id"
        ]
        for number, (who, room) in enumerate(rooms)
    }
    assert len(ids) == 3


async def test_a_burst_of_the_same_send_is_one_turn(user: User) -> None:
    room, key = await user.create_room(), uuid4().hex
    answers = await asyncio.gather(*(_post(user, room, key, content="burst") for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["message"]["message_id"] for answer in answers}) == 1
    assert (await user.get(of(room)))["message_count"] == 2


async def test_a_repeat_joins_the_stream_that_is_running(user: User) -> None:
    room, key = await user.create_room(), {"Idempotency-Key": uuid4().hex}
    async with user.stream(room, SLOW, headers=key) as first:
        opening = await first.until("message.delta")
        async with user.stream(room, SLOW, headers=key) as second:
            assert second.response.headers["idempotent-replayed"] == "true"
            joined = await second.rest()
        whole = opening + await first.rest()

    assert joined == whole
    assert whole[-1].type == "message.completed"
    assert text_of(joined, whole[1].data["message"]["message_id"]) == whole[-1].data["message"]["content"]
    async with user.stream(room, SLOW, headers=key) as third:
        assert (await third.rest())[-1] == whole[-1]


async def test_a_busy_room_refuses_when_asked_to_and_queues_by_default(user: User) -> None:
    room = await user.create_room()
    running = await user.send(room, SLOW)

    refused = await user.http.post(f"{of(room)}/messages", json={"content": "now?", "on_busy": "reject"})
    assert refused.status_code == 409
    assert (refused.json()["code"], refused.json()["errorCode"]) == ("room-busy", 1005)
    assert int(refused.headers["retry-after"]) == refused.json()["retry_after_seconds"]
    queued = await user.send(room, "[[text=at last]]")
    assert (queued["message"]["seq"], queued["reply"]["state"]) == (3, "COMPOSING")

    message = await eventually(
        lambda: user.message(room, queued["reply"]["message_id"]), lambda found: not found["is_streaming"]
    )
    assert message["content"] == "at last"
    first = await user.message(room, running["reply"]["message_id"])
    assert (first["finish_reason"], len(first["content"].split())) == ("stop", 40)
    taken = await user.send(room, "now!", on_busy="reject", reply="none")
    assert taken["message"]["seq"] == 5


async def test_persistence_and_the_reply_can_both_be_waited_for(user: User) -> None:
    room = await user.create_room()
    answer = await user.http.post(
        f"{of(room)}/messages", json={"content": "[[text=ok]]"}, headers={"Prefer": "durability=persisted, wait=10"}
    )
    sent = succeeded(answer, 201)
    assert answer.headers["preference-applied"] == "durability=persisted, wait=10"
    assert (sent["message"]["state"], sent["message"]["durability"]) == ("SENT", "persisted")
    assert sent["reply"]["content"] == "ok"


async def test_a_repeat_may_ask_for_persistence_later(user: User) -> None:
    room, key = await user.create_room(), {"Idempotency-Key": uuid4().hex}
    first = await user.send(room, "later", reply="none", headers=key)
    again = await user.send(room, "later", reply="none", headers={**key, **PERSISTED}, status=200)
    assert again["message"]["message_id"] == first["message"]["message_id"]
    assert again["message"]["durability"] == "persisted"


async def test_a_persona_of_one_turn_does_not_change_the_room(user: User) -> None:
    personas = [found["name"] for found in (await user.get("/v1/personas"))["personas"]]
    assert personas[0] == "GPT4O"
    other = personas[1]
    room = await user.create_room()
    turn = await user.send(room, "[[text=a]]", ai_persona=other, headers={"Prefer": "wait=10"})
    usual = await user.send(room, "[[text=b]]", headers={"Prefer": "wait=10"})
    assert (turn["reply"]["ai_persona"], usual["reply"]["ai_persona"]) == (other, "GPT4O")
    assert (await user.get(of(room)))["ai_persona"] == "GPT4O"


async def test_the_second_turn_is_given_the_first_to_read(user: User) -> None:
    room = await user.create_room()
    first = await user.converse(room, "I like green tea")
    second = await user.converse(room, "What do I like?")
    assert "**first message**" in first["reply"]["content"]
    assert "**2 earlier messages**" in second["reply"]["content"]
    assert "I like green tea" in second["reply"]["content"]
    prompt = await user.converse(room, "[[echo=1]]")
    assert '"role":"assistant"' in prompt["reply"]["content"].replace(" ", "")
    assert "I like green tea" in prompt["reply"]["content"]


async def test_a_room_an_edit_and_an_attempt_are_made_once_for_each_key(user: User) -> None:
    """A client that lost the answer asks again, also when the world has moved on."""

    async def ask(method: str, path: str, body: Json, key: str, status: int) -> Json:
        answer = await user.http.request(method, path, json=body, headers={"Idempotency-Key": f'"{key}"'})
        found = succeeded(answer, status)
        assert answer.headers.get("idempotent-replayed") == ("true" if key in known else None)
        known.add(key)
        return found

    known: set[str] = set()
    first = await ask("POST", "/v1/rooms", {"title": "Once"}, "room", 201)
    room = first["room_id"]
    again = await ask("POST", "/v1/rooms", {"title": "Once"}, "room", 200)
    assert {**again, "state": first["state"]} == first, "its row is on its way"
    sent = await user.converse(room, "[[tokens=2]] one")
    question, reply = (f"{of(room)}/messages/{sent[name]['message_id']}" for name in ("message", "reply"))
    await ask("POST", f"{reply}/regenerate", {}, "attempt", 202)
    await user.ended(room, sent["reply"]["message_id"])
    edited = await ask("PATCH", question, {"content": "[[tokens=2]] two"}, "edit", 200)
    assert edited["reply"]["attempt"] == 3
    await user.ended(room, sent["reply"]["message_id"])
    assert (await ask("POST", f"{reply}/regenerate", {}, "attempt", 200))["attempt"] == 3, "as it is now"
    again = await ask("PATCH", question, {"content": "[[tokens=2]] two"}, "edit", 200)
    assert (again["content"], again["cursor"], again["reply"]["attempt"]) == ("[[tokens=2]] two", edited["cursor"], 3)
    assert len(await user.variants(room, sent["reply"]["message_id"])) == 3
    for method, path, body in (
        ("POST", "/v1/rooms", {"title": "Twice"}),
        ("PATCH", question, {"content": "three"}),
        ("POST", f"{reply}/regenerate", {"ai_persona": "GPT4O"}),
    ):
        key = {"/v1/rooms": "room", question: "edit"}.get(path, "attempt")
        answer = await user.http.request(method, path, json=body, headers={"Idempotency-Key": f'"{key}"'})
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-mismatch")
    assert (await user.get("/v1/rooms"))["total_count"] == 1
    assert succeeded(await user.http.delete(of(room)), 202)
    gone = await user.http.post("/v1/rooms", json={"title": "Once"}, headers={"Idempotency-Key": '"room"'})
    assert (gone.status_code, gone.json()["code"]) == (404, "room-not-found")

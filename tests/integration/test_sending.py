"""Sending again, sending while a reply is written, and what the headers ask for."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import httpx2
import pytest

from tests.integration.person import PERSISTED, Person, of, succeeded
from tests.integration.sse import text_of
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

SLOW = "[[tokens=40 delay=50ms]]"
"""About two seconds."""


async def _post(person: Person, room: str, key: str, **body: object) -> httpx2.Response:
    return await person.http.post(f"{of(room)}/messages", json=body, headers={"Idempotency-Key": key})


async def test_the_same_key_and_body_give_the_same_turn(person: Person) -> None:
    room, key = await person.create_room(), uuid4().hex
    first = await _post(person, room, key, content="once", metadata={"a": 1, "b": 2})
    again = await _post(person, room, key, metadata={"b": 2, "a": 1}, content="once")
    quoted = await _post(person, room, f'"{key}"', content="once", metadata={"a": 1, "b": 2}, reply="auto")

    sent = succeeded(first, 201)
    assert "idempotent-replayed" not in first.headers
    for repeat in (again, quoted):
        body = succeeded(repeat, 200)
        assert repeat.headers["idempotent-replayed"] == "true"
        assert body["message"]["message_id"] == sent["message"]["message_id"]
        assert body["reply"]["message_id"] == sent["reply"]["message_id"]
        assert body["cursor"] == sent["cursor"]
    assert (await person.get(of(room)))["message_count"] == 2


async def test_a_key_with_another_body_is_refused(person: Person) -> None:
    room, key = await person.create_room(), uuid4().hex
    succeeded(await _post(person, room, key, content="one", reply="none"), 201)
    for other in (
        {"content": "two", "reply": "none"},
        {"content": "one"},
        {"content": "one", "reply": "none", "metadata": {"x": 1}},
    ):
        refused = await _post(person, room, key, **other)
        assert refused.status_code == 422
        assert (refused.json()["code"], refused.json()["errorCode"]) == ("idempotency-mismatch", 1006)
    assert (await person.get(of(room)))["message_count"] == 1


async def test_keys_of_other_rooms_and_accounts_are_other_keys(person: Person, stranger: Person) -> None:
    key = uuid4().hex
    rooms = [(person, await person.create_room()), (person, await person.create_room())]
    rooms.append((stranger, await stranger.create_room()))
    ids = {
        succeeded(await _post(who, room, key, content=f"hello from {number}", reply="none"), 201)["message"][
            "message_id"
        ]
        for number, (who, room) in enumerate(rooms)
    }
    assert len(ids) == 3


async def test_a_burst_of_the_same_send_is_one_turn(person: Person) -> None:
    room, key = await person.create_room(), uuid4().hex
    answers = await asyncio.gather(*(_post(person, room, key, content="burst") for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["message"]["message_id"] for answer in answers}) == 1
    assert (await person.get(of(room)))["message_count"] == 2


async def test_a_repeat_joins_the_stream_that_is_running(person: Person) -> None:
    room, key = await person.create_room(), {"Idempotency-Key": uuid4().hex}
    async with person.stream(room, SLOW, headers=key) as first:
        opening = await first.until("message.delta")
        async with person.stream(room, SLOW, headers=key) as second:
            assert second.response.headers["idempotent-replayed"] == "true"
            joined = await second.rest()
        whole = opening + await first.rest()

    assert joined == whole
    assert whole[-1].type == "message.completed"
    assert text_of(joined, whole[1].data["message"]["message_id"]) == whole[-1].data["message"]["content"]
    async with person.stream(room, SLOW, headers=key) as third:
        assert (await third.rest())[-1] == whole[-1]


async def test_a_busy_room_refuses_when_asked_to_and_queues_by_default(person: Person) -> None:
    room = await person.create_room()
    running = await person.send(room, SLOW)

    refused = await person.http.post(f"{of(room)}/messages", json={"content": "now?", "on_busy": "reject"})
    assert refused.status_code == 409
    assert (refused.json()["code"], refused.json()["errorCode"]) == ("room-busy", 1005)
    assert int(refused.headers["retry-after"]) == refused.json()["retry_after_seconds"]
    queued = await person.send(room, "[[text=at last]]")
    assert (queued["message"]["seq"], queued["reply"]["state"]) == (3, "COMPOSING")

    message = await eventually(
        lambda: person.message(room, queued["reply"]["message_id"]), lambda found: not found["is_streaming"]
    )
    assert message["content"] == "at last"
    first = await person.message(room, running["reply"]["message_id"])
    assert (first["finish_reason"], len(first["content"].split())) == ("stop", 40)
    taken = await person.send(room, "now!", on_busy="reject", reply="none")
    assert taken["message"]["seq"] == 5


async def test_persistence_and_the_reply_can_both_be_waited_for(person: Person) -> None:
    room = await person.create_room()
    answer = await person.http.post(
        f"{of(room)}/messages", json={"content": "[[text=ok]]"}, headers={"Prefer": "durability=persisted, wait=10"}
    )
    sent = succeeded(answer, 201)
    assert answer.headers["preference-applied"] == "durability=persisted, wait=10"
    assert (sent["message"]["state"], sent["message"]["durability"]) == ("SENT", "persisted")
    assert sent["reply"]["content"] == "ok"


async def test_a_repeat_may_ask_for_persistence_later(person: Person) -> None:
    room, key = await person.create_room(), {"Idempotency-Key": uuid4().hex}
    first = await person.send(room, "later", reply="none", headers=key)
    again = await person.send(room, "later", reply="none", headers={**key, **PERSISTED}, status=200)
    assert again["message"]["message_id"] == first["message"]["message_id"]
    assert again["message"]["durability"] == "persisted"


async def test_a_persona_of_one_turn_does_not_change_the_room(person: Person) -> None:
    personas = [found["name"] for found in (await person.get("/v1/personas"))["personas"]]
    assert personas[0] == "GPT4O"
    other = personas[1]
    room = await person.create_room()
    turn = await person.send(room, "[[text=a]]", ai_persona=other, headers={"Prefer": "wait=10"})
    usual = await person.send(room, "[[text=b]]", headers={"Prefer": "wait=10"})
    assert (turn["reply"]["ai_persona"], usual["reply"]["ai_persona"]) == (other, "GPT4O")
    assert (await person.get(of(room)))["ai_persona"] == "GPT4O"


async def test_the_second_turn_is_given_the_first_to_read(person: Person) -> None:
    room = await person.create_room()
    first = await person.converse(room, "I like green tea")
    second = await person.converse(room, "What do I like?")
    assert "**first message**" in first["reply"]["content"]
    assert "**2 earlier messages**" in second["reply"]["content"]
    assert "I like green tea" in second["reply"]["content"]
    prompt = await person.converse(room, "[[echo=1]]")
    assert '"role":"assistant"' in prompt["reply"]["content"].replace(" ", "")
    assert "I like green tea" in prompt["reply"]["content"]

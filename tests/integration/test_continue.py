"""A reply that ended before it was whole goes on in its slot, from the text that it has."""

from __future__ import annotations

import pytest

from tests.integration.shards import Shards, StoredVersion
from tests.integration.sse import text_of
from tests.integration.user import User, of, succeeded

pytestmark = pytest.mark.integration

WORDS = "[[delay=20ms text=one two three four five six seven eight nine ten]]"
WHOLE = "one two three four five six seven eight nine ten"


async def test_a_stopped_reply_goes_on_for_its_readers_its_prompt_and_its_shard(user: User, shards: Shards) -> None:
    room = await user.create_room("Cut")
    async with user.stream(room, WORDS) as reader:
        opening = await reader.until("message.delta")
        reply = opening[1].data["message"]["message_id"]
        stopped = await user.stop(room, reply)
        cursor = (await reader.rest())[-1].id
    kept = stopped["content"]
    assert stopped["finish_reason"] == "stopped"
    assert WHOLE.startswith(kept)
    assert 0 < len(kept) < len(WHOLE)

    begun = succeeded(await user.http.post(f"{of(room)}/messages/{reply}/continue", json={}), 202)
    assert (begun["message_id"], begun["attempt"], begun["is_streaming"], begun["content"]) == (reply, 2, True, kept)
    async with user.events(f"{of(room)}/messages/{reply}", after=cursor) as reader:
        events = await reader.rest()
    assert [event.type for event in events[:3]] == ["message.updated", "message.reset", "message.delta"]
    assert (events[2].data["offset"], events[2].data["text"]) == (0, kept)
    assert text_of(events, reply) == WHOLE, "the demo model goes on where its prompt ends"
    assert events[-1].data["message"]["finish_reason"] == "stop"

    variants = await user.variants(room, reply)
    assert [(each["attempt"], each["content"]) for each in variants] == [(1, kept), (2, WHOLE)]
    answer = await user.http.post(f"{of(room)}/messages/{reply}/continue")
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal-transition")
    await user.flush()
    assert [row.content for row in await shards.messages(room)] == [WORDS, WHOLE]
    assert await shards.versions(room) == [StoredVersion(2, 1, 1, kept, "stopped")]

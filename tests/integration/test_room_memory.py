"""What no longer fits into the prompt is folded into a summary, and a room gets a title: neither outlives a delete, nor
overrides a person."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest
from redis.asyncio import Redis

from parlor.cache.keys import Keys
from parlor.llm.memory import SUMMARY_HEADING
from parlor.model.ids import RoomId, home_of
from tests.integration.shards import Shards
from tests.integration.sse import SseEvent
from tests.integration.user import Json, User, of, succeeded
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration
KINDS = ("embedded",)
"""Once is enough for what is the same program; what differs by database is the contract tests' business."""

FILLING = f"{'and-so-on-' * 10} " * 100
"""About a third of what a prompt may have: five messages like this overflow it."""
WORDS = ("My cat is called Miaou", "I live in Lyon", "I was born in May", "I drink oolong", "I play the oboe")


def facts_of(room: str) -> list[str]:
    """Unlike those of any other room."""
    return [f"{words} ({room[-12:]})" for words in WORDS]


async def _memory(user: User, room: str) -> Json:
    return await user.get(f"{of(room)}/memory")


async def _prompt(user: User, room: str, question: str) -> list[Json]:
    """What the language model was given to read."""
    sent = await user.converse(room, f"{question} [[echo=1 first=0ms delay=0ms]]")
    found: list[Json] = msgspec.json.decode(sent["reply"]["content"])["messages"]
    # The echo would remember what is to be forgotten.
    await user.delete_message(room, sent["reply"]["message_id"])
    return found


async def _overflowing(user: User, room: str) -> Json:
    """Tells the facts, until the prompt does not hold them; the memory, when it has them."""
    for fact in facts_of(room):
        await user.note(room, f"{fact} {FILLING}")
    await user.converse(room, "[[text=I see]]")
    return await eventually(partial(_memory, user, room), lambda found: found["summary"])


async def test_facts_that_left_the_prompt_are_told_by_its_summary_until_they_are_deleted(
    user: User, shards: Shards
) -> None:
    room = await user.create_room("Facts")
    facts = facts_of(room)
    assert await _memory(user, room) == {"summary": "", "through_seq": 0, "updated_at": None, "version": 0}
    memory = await _overflowing(user, room)

    assert facts[0] in memory["summary"]
    assert 1 <= memory["through_seq"] < len(facts) + 2
    assert memory["updated_at"]
    prompt = await _prompt(user, room, "What do you know?")
    system, said = prompt[0]["content"], [turn["content"] for turn in prompt[1:]]
    assert SUMMARY_HEADING in system
    # Told once each: by the summary, or in full.
    for number, fact in enumerate(facts, 1):
        folded = number <= memory["through_seq"]
        assert (fact in system) == folded
        assert any(fact in text for text in said) != folded
    await user.flush()
    assert await shards.tables_with(f"said: {facts[0]}") == ["rooms"]

    first = (await user.history(room))[0]
    await user.delete_message(room, first["message_id"])
    gone = await _memory(user, room)
    assert facts[0] not in gone["summary"]
    assert gone["version"] > memory["version"]
    prompt = await _prompt(user, room, "And now?")
    assert facts[0] not in str(prompt)
    await user.flush()
    assert await shards.tables_with(facts[0]) == []
    # What is deleted refuses a fold that is under way; the next answer is another occasion.
    await user.converse(room, "[[text=go on]]")
    again = await eventually(partial(_memory, user, room), lambda found: found["summary"])
    assert facts[0] not in again["summary"]
    assert facts[1] in again["summary"]


async def test_a_summary_outlives_the_cache_and_ends_with_a_reset(
    user: User, shards: Shards, redis: Redis, keys: Keys
) -> None:
    room = RoomId(await user.create_room("Reset"))
    facts = facts_of(room)
    memory = await _overflowing(user, room)
    room_key = keys.room(home_of(room), room)
    await user.flush()
    assert await shards.tables_with(f"said: {facts[0]}") == ["rooms"]
    await eventually(lambda: redis.hget(room_key, "pending"), "0".__eq__)
    assert await redis.delete(room_key, keys.messages(home_of(room), room)) == 2
    assert await _memory(user, room) == memory

    emptied = succeeded(await user.http.delete(f"{of(room)}/memory"), 200)
    assert (emptied["summary"], emptied["through_seq"]) == ("", 0)
    assert emptied["version"] > memory["version"]
    assert await _memory(user, room) == emptied
    # Harmless when repeated.
    assert succeeded(await user.http.delete(f"{of(room)}/memory"), 200) == emptied
    await user.flush()
    assert await shards.tables_with(f"said: {facts[0]}") == []
    # The messages themselves are untouched: what fits is in the prompt, in full.
    assert facts[-1] in str(await _prompt(user, room, "Start over"))
    assert [message["content"].startswith(facts[0]) for message in (await user.history(room))[:2]] == [True, False]


async def test_a_room_gets_a_title_from_its_first_turn_everywhere(user: User, shards: Shards) -> None:
    room = await user.create_room()
    async with user.events("/v1") as account:
        await user.converse(room, "Where does the tea come from? [[text=From the hills]]")
        events: list[SseEvent] = []
        while not events or not events[-1].data["room"]["title"]:
            events += await account.until("room.updated")
    title = "About: Where does the tea come"
    assert events[-1].data["room"]["title"] == title
    assert (await user.get(of(room)))["title"] == title
    assert [found["title"] for found in (await user.get("/v1/rooms"))["rooms"]] == [title]
    await user.flush()
    stored = await shards.room(room)
    assert stored is not None
    assert stored.title == title


async def test_a_title_that_a_person_gave_is_never_overwritten(user: User, redis: Redis, keys: Keys) -> None:
    named, renamed = await user.create_room("Mine"), await user.create_room()
    async with user.stream(renamed, "[[tokens=20 delay=20ms]]") as reader:
        await reader.until("message.delta")
        # While the turn that would have given it one is under way.
        succeeded(await user.http.patch(of(renamed), json={"title": "Mine too"}), 200)
        await reader.rest()
    await user.converse(named, "[[text=one]]")
    # A third room is given one meanwhile: whatever was to come has had its time.
    untitled = await user.create_room()
    await user.converse(untitled, "[[text=two]]")
    await eventually(partial(user.get, of(untitled)), lambda found: found["title"])
    for room, title in ((named, "Mine"), (renamed, "Mine too")):
        await user.converse(room, "[[text=three]]")
        assert (await user.get(of(room)))["title"] == title

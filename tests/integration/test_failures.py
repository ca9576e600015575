"""The LLM fails: the reply ends with the reason, and what was said stays (P3)."""

from __future__ import annotations

import pytest

from tests.integration.shards import Shards
from tests.integration.sse import text_of
from tests.integration.user import User
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration
KINDS = ("private",)


async def test_an_llm_that_answers_with_an_error_fails_the_reply(user: User, shards: Shards) -> None:
    room = await user.create_room()
    async with user.stream(room, "[[fail=500]]") as reader:
        events = await reader.rest()

    assert [event.type for event in events] == ["message.created", "message.created", "message.failed"]
    message = events[-1].data["message"]
    assert (message["finish_reason"], message["content"], message["is_streaming"]) == ("error", "", False)
    assert events[-1].data["error"]["code"] == "llm-error"
    assert events[-1].data["error"]["detail"]
    assert message["error"] == events[-1].data["error"]
    found = await eventually(lambda: user.message(room, message["message_id"]), lambda m: m["state"] == "SENT")
    assert (found["finish_reason"], found["error"]["code"]) == ("error", "llm-error")
    row = (await shards.messages(room))[1]
    assert (row.finish_reason, row.error_code) == ("error", "llm-error")


@pytest.mark.parametrize("how", ["error", "cut", "end"])
async def test_an_answer_that_breaks_off_keeps_what_was_said(user: User, how: str) -> None:
    room = await user.create_room()
    async with user.stream(room, f"[[fail_after=3 fail_as={how} delay=30ms text=one two three four five]]") as reader:
        events = await reader.rest()

    message = events[-1].data["message"]
    assert events[-1].type == "message.failed"
    assert message["content"].split() == ["one", "two", "three"]
    assert message["finish_reason"] == "error"
    assert text_of(events, message["message_id"]) == message["content"]
    assert (await user.history(room))[1]["content"] == message["content"]


async def test_an_llm_that_says_nothing_is_given_up(user: User) -> None:
    room = await user.create_room()
    async with user.stream(room, "[[hang_after=2 text=well then nothing more]]") as reader:
        events = await reader.rest(seconds=30)

    assert events[-1].type == "message.failed"
    assert events[-1].data["message"]["content"].split() == ["well", "then"]


async def test_a_failure_before_the_first_word_is_tried_again(user: User) -> None:
    room = await user.create_room()
    turn = await user.send(room, f"[[fail=503 times=1]] [[text=second try in {room}]]", headers={"Prefer": "wait=20"})
    assert (turn["reply"]["finish_reason"], turn["reply"]["content"]) == ("stop", f"second try in {room}")


async def test_the_room_goes_on_after_a_failure(user: User) -> None:
    room = await user.create_room()
    await user.send(room, "[[fail=400]]", headers={"Prefer": "wait=10"})
    # times=0: the question that got no answer is read together with the next one, its directive too.
    turn = await user.send(room, "[[times=0 text=better now]]", headers={"Prefer": "wait=10"})
    assert turn["reply"]["content"] == "better now"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_cut_short_says_so(user: User, shards: Shards, reason: str) -> None:
    room = await user.create_room()
    turn = await user.send(room, f"[[finish={reason} text=and so]]", headers={"Prefer": "wait=10"})
    assert (turn["reply"]["finish_reason"], turn["reply"]["content"]) == (reason, "and so")
    await user.note(room, "stored?", persisted=True)
    assert (await shards.messages(room))[1].finish_reason == reason


async def test_an_answer_without_a_word_is_a_failure_with_a_code_of_its_own(user: User, shards: Shards) -> None:
    room = await user.create_room()
    turn = await user.send(room, "[[text=]]", headers={"Prefer": "wait=10"})
    assert (turn["reply"]["finish_reason"], turn["reply"]["error"]["code"]) == ("error", "llm-empty-answer")
    await user.note(room, "stored?", persisted=True)
    assert (await shards.messages(room))[1].error_code == "llm-empty-answer"

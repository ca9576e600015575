"""A person writes again while the answer is on its way: five policies, whenever it comes, and one order for all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from tests.integration.room_views import GONE, Line, agreed_views
from tests.integration.shards import Shards
from tests.integration.sse import EventReader
from tests.integration.user import Json, User, of

pytestmark = pytest.mark.integration
KINDS = ("private",)
POLICIES = ("enqueue", "reject", "interrupt", "rollback", "merge")
WORDS = 30
BEFORE, WITHIN, AT_THE_END = "before the first token", "in the middle", "at the very end"
SCRIPTS = {
    BEFORE: f"[[first=2s tokens={WORDS}]]",
    WITHIN: f"[[tokens={WORDS} delay=70ms]]",
    AT_THE_END: f"[[tokens={WORDS} delay=5ms]]",
}
PARTIAL = {BEFORE: range(1), WITHIN: range(1, WORDS), AT_THE_END: range(WORDS, WORDS + 1)}
"""Words of a reply that is interrupted then."""
SECOND, ANSWER = "[[text=the second answer]]", "the second answer"


async def _arrive(reader: EventReader, moment: str) -> None:
    """Returns when it is the moment to write again."""
    if moment == BEFORE:
        await reader.until("message.created")
    elif moment == WITHIN:
        await reader.until("message.delta")
    else:
        text = ""
        while len(text.split()) < WORDS:
            text += (await reader.until("message.delta"))[-1].data["text"]


async def _talk(user: User, policy: str, moment: str) -> tuple[str, str, int]:
    """A message, a second one at the moment; the room, its first cursor, and the status of the second send."""
    room = await user.create_room(policy)
    cursor = (await user.messages(room))["cursor"]
    async with user.stream(room, SCRIPTS[moment]) as reader:
        await _arrive(reader, moment)
        body = {"content": SECOND, "on_busy": policy}
        answer = await user.http.post(f"{of(room)}/messages", json=body, headers={"Prefer": "wait=20"})
        await reader.rest()
    if answer.status_code != 201:
        assert (answer.status_code, answer.json()["code"]) == (409, "room-busy")
    return room, cursor, answer.status_code


def _expected(policy: str, status: int, script: str, reply: Line) -> list[Line]:
    """The room's lines, by what became of the first reply."""
    first = (1, script, None) if reply[1] != GONE else (1, GONE, None)
    if status != 201:
        assert policy == "reject"
        return [first, reply]
    # Only a rollback takes the turn away, and it takes all of it.
    assert reply[1] != GONE or policy == "rollback"
    return [first, reply, (3, SECOND, None), (4, ANSWER, "stop")]


@pytest.mark.parametrize("moment", SCRIPTS)
async def test_whenever_a_second_message_comes_history_rows_and_events_tell_one_order(
    user: User, shards: Shards, moment: str
) -> None:
    async def check(policy: str) -> None:
        room, cursor, status = await _talk(user, policy, moment)
        lines, events = await agreed_views(user, shards, room, cursor)

        _, text, finish = lines[1]
        assert lines == _expected(policy, status, SCRIPTS[moment], lines[1])
        if moment != AT_THE_END:
            # At the end the reply may have ended in time: then each policy is an ordinary send.
            fate = {"interrupt": "stopped", "rollback": None}.get(policy, "stop")
            assert (finish, status) == (fate, 409 if policy == "reject" else 201)
        if finish == "stop":
            assert len(text.split()) == WORDS
        elif finish == "stopped":
            assert policy == "interrupt"
            assert len(text.split()) in PARTIAL[moment]
            # The partial answer has its end before the next turn begins.
            kinds = [event.type for event in events]
            assert kinds.index("message.stopped") < _nth(kinds, "message.created", 3)

    await asyncio.gather(*(check(policy) for policy in POLICIES))


def _nth(values: Sequence[str], value: str, count: int) -> int:
    return [place for place, found in enumerate(values) if found == value][count - 1]


async def test_what_waits_is_answered_together_after_a_merge_an_interrupt_or_a_rollback(
    user: User, shards: Shards
) -> None:
    async def check(policy: str, first: list[tuple[str, str | None]]) -> None:
        room = await user.create_room(policy)
        cursor = (await user.messages(room))["cursor"]
        async with user.stream(room, "the first [[tokens=20 delay=40ms]]") as reader:
            await reader.until("message.delta")
            await user.send(room, "it waits")
            sent = await user.send(
                room, "it does not [[echo=1 delay=0ms]]", on_busy=policy, headers={"Prefer": "wait=20"}, status=201
            )
        prompt = msgspec.json.decode(sent["reply"]["content"])["messages"]
        # One turn of all that nobody had answered; the one that was rolled back was never said.
        asked = prompt[-1]["content"]
        assert asked.endswith("it waits\n\nit does not [[echo=1 delay=0ms]]")
        assert ("the first" in str(prompt)) == (policy != "rollback")

        lines, _ = await agreed_views(user, shards, room, cursor)
        assert [(content, finish) for _, content, finish in lines[2:5]] == [
            ("it waits", None),
            (GONE, None),
            ("it does not [[echo=1 delay=0ms]]", None),
        ]
        assert [(content.split()[0], finish) for _, content, finish in lines[:2]] == first
        assert lines[5] == (6, sent["reply"]["content"], "stop")
        assert len(lines) == 6

    await asyncio.gather(
        check("merge", [("the", None), ("the", "stop")]),
        check("interrupt", [("the", None), ("the", "stopped")]),
        check("rollback", [(GONE, None), (GONE, None)]),
    )


async def test_messages_that_wait_are_listed_edited_and_withdrawn(user: User, shards: Shards) -> None:
    room = await user.create_room()
    cursor = (await user.messages(room))["cursor"]

    async def waiting() -> list[str]:
        return [message["content"] for message in (await user.get(f"{of(room)}/queue"))["messages"]]

    assert await waiting() == []
    async with user.stream(room, "[[tokens=1000 delay=50ms]]") as reader:
        first = (await reader.until("message.delta"))[1].data["message"]["message_id"]
        queued: list[Json] = [await user.send(room, f"number {n} [[echo=1 delay=0ms]]") for n in (1, 2, 3)]
        assert await waiting() == [f"number {n} [[echo=1 delay=0ms]]" for n in (1, 2, 3)]

        edited = await user.edit_message(room, queued[0]["message"]["message_id"], "other words [[echo=1 delay=0ms]]")
        assert (edited["reply"]["attempt"], edited["reply"]["is_streaming"]) == (0, True)
        assert edited["metadata"]["edited_at"]
        await user.delete_message(room, queued[1]["message"]["message_id"])
        assert await waiting() == ["other words [[echo=1 delay=0ms]]", "number 3 [[echo=1 delay=0ms]]"]
        # Before any of them has begun.
        await user.stop(room, first)
    last = await user.ended(room, queued[2]["reply"]["message_id"])
    assert await waiting() == []

    lines, _ = await agreed_views(user, shards, room, cursor)
    contents = [content for _, content, _ in lines]
    assert contents[2::2] == ["other words [[echo=1 delay=0ms]]", GONE, "number 3 [[echo=1 delay=0ms]]"]
    assert [finish for _, _, finish in lines[1::2]] == ["stopped", "stop", None, "stop"]
    assert contents[5] == GONE
    for answer in (contents[3], contents[7]):
        assert "other words" in answer
        assert "number 1" not in answer
        assert "number 2" not in answer
    assert contents[7] == last["content"]

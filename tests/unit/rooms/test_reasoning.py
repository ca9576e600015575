"""A reply that thinks: part by part in the log, on pages and in its row, whoever writes it to its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parlor.errors import AnswerOnlyReasoning, LlmError
from parlor.model.messages import FinishReason, Message
from parlor.model.parts import Part, ReasoningPart, TextPart, parts_of
from parlor.rooms.room import Room
from tests.unit.domain import Domain, crash, settle
from tests.unit.memory_store import Templates
from tests.unit.scripted_model import Talk

pytestmark = pytest.mark.unit


async def begun(domain: Domain) -> tuple[Room, Talk]:
    """Returns a room whose first reply is being written."""
    room = domain.room(await domain.new_room())
    await domain.send(room)
    await settle()
    return room, domain.model.talks[0]


async def reply_of(domain: Domain, room: Room) -> Message:
    return (await domain.page(room.room_id)).messages[1]


def shown(message: Message) -> list[Part]:
    return parts_of(message.content, message.parts)


def folded(events: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The reply's parts as a client puts them together."""
    parts: dict[int, dict[str, Any]] = {}
    for kind, data in events:
        if kind == "message.reset":
            parts = {}
        elif kind == "message.part":
            parts[data["index"]] = data["part"]
        elif kind in ("message.delta", "message.reasoning"):
            about = "text" if kind == "message.delta" else "reasoning"
            so_far = sum(len(part["text"]) for part in parts.values() if part["type"] == about)
            assert data["offset"] == so_far
            part = parts.setdefault(data["index"], {"type": about, "text": ""})
            part["text"] += data["text"]
    return [parts[index] for index in sorted(parts)]


async def test_reasoning_is_told_as_it_comes_and_ends_with_its_duration(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.think("Let me ")
    await settle()
    talk.think("see")
    await domain.clock.advance(2)
    assert shown(await reply_of(domain, room)) == [ReasoningPart("Let me see")]
    assert (await reply_of(domain, room)).content == ""
    talk.say("Y")
    await domain.clock.advance(1)
    talk.say("es")
    talk.finish()
    await domain.clock.advance(1)
    whole = [ReasoningPart("Let me see", 2000), TextPart("Yes")]
    reply = await reply_of(domain, room)
    assert (reply.content, shown(reply), reply.finish_reason) == ("Yes", whole, FinishReason.STOP)
    events = await domain.events(room.room_id)
    assert [kind for kind, _ in events if kind not in ("message.created", "room.updated")] == [
        *("message.reasoning", "message.reasoning", "message.part", "message.delta", "message.delta"),
        "message.completed",
    ]
    parts = events[-1][1]["message"]["parts"]
    assert (
        folded(events)
        == parts
        == [
            {"type": "reasoning", "text": "Let me see", "duration_ms": 2000},
            {"type": "text", "text": "Yes"},
        ]
    )
    await domain.write_all()
    row = (await domain.rows(room.room_id))[1]
    assert parts_of(row.doc.content, row.doc.parts) == whole
    assert [text for _, text in await domain.texts(room.room_id)] == ["Hello", "Yes"]


async def test_a_plain_reply_stores_no_parts(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.say("plain")
    talk.finish()
    await domain.clock.advance(1)
    reply = await reply_of(domain, room)
    assert (reply.parts, shown(reply)) == (None, [TextPart("plain")])
    assert "message.part" not in await domain.kinds(room.room_id)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (None, FinishReason.STOPPED),
        (LlmError("tired"), FinishReason.ERROR),
        (AnswerOnlyReasoning(), FinishReason.ERROR),
    ],
)
async def test_a_reply_that_only_thought_keeps_that(
    domain: Domain, failure: LlmError | None, reason: FinishReason
) -> None:
    room, talk = await begun(domain)
    talk.think("hm")
    await domain.clock.advance(0.5)
    if failure is None:
        await domain.stop(room, (await reply_of(domain, room)).message_id)
    else:
        talk.fail(failure)
    await domain.clock.advance(0.5)
    reply = await reply_of(domain, room)
    assert (reply.content, reply.finish_reason) == ("", reason)
    (part,) = shown(reply)
    assert isinstance(part, ReasoningPart)
    assert (part.text, part.duration_ms is not None) == ("hm", True)


async def test_reasoning_that_took_all_there_was_is_an_end_that_says_so(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.think("hm")
    talk.finish(FinishReason.REASONING_LIMIT)
    await domain.clock.advance(1)
    reply = await reply_of(domain, room)
    assert (reply.finish_reason, reply.error) == (FinishReason.REASONING_LIMIT, None)
    assert (await domain.kinds(room.room_id))[-1] == "message.completed"


async def test_the_next_owner_begins_again_without_what_was_thought(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.think("lost")
    talk.say("words")
    await domain.clock.advance(1)
    await crash(room)
    other = domain.room(room.room_id)
    await domain.wake(other)
    await settle()
    domain.model.talks[1].think("anew")
    domain.model.talks[1].say("Yes")
    domain.model.talks[1].finish()
    await domain.clock.advance(1)
    reply = await reply_of(domain, other)
    assert [getattr(part, "text", "") for part in shown(reply)] == ["anew", "Yes"]
    events = await domain.events(room.room_id)
    assert folded(events) == events[-1][1]["message"]["parts"]


async def test_a_continued_reply_tells_every_part_that_stands(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.think("hm")
    talk.say("One, ")
    talk.finish(FinishReason.LENGTH)
    await domain.clock.advance(1)
    kept = shown(await reply_of(domain, room))
    await domain.go_on(room, (await reply_of(domain, room)).message_id)
    await settle()
    assert shown(await reply_of(domain, room)) == kept
    domain.model.talks[1].say("two")
    domain.model.talks[1].finish()
    await domain.clock.advance(1)
    reply = await reply_of(domain, room)
    assert shown(reply) == [kept[0], TextPart("One, two")]
    events = await domain.events(room.room_id)
    anew = events[[kind for kind, _ in events].index("message.reset") :]
    assert [kind for kind, _ in anew][:3] == ["message.reset", "message.part", "message.delta"]
    assert folded(events) == events[-1][1]["message"]["parts"]
    assert domain.model.talks[1].context.turns[-1].content == "One, "


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["think", "say"]), st.text(min_size=1, max_size=3)),
        st.tuples(st.sampled_from(["time passes", "append unheard", "append lost", "owner dies"]), st.just("")),
    ),
    max_size=14,
)


async def story(domain: Domain, steps: list[tuple[str, str]]) -> None:
    """What a reader folds from the events is what is stored."""
    room, _ = await begun(domain)
    for step, text in steps:
        talk = domain.model.talks[-1]
        match step:
            case "think":
                talk.think(text)
            case "say":
                talk.say(text)
            case "time passes":
                await domain.clock.advance(0.1)
            case "append unheard":
                domain.pipeline.lose["append_delta"] += 1
            case "append lost":
                domain.pipeline.refuse["append_delta"] += 1
            case "owner dies":
                await crash(room)
                room = domain.room(room.room_id)
                await domain.wake(room)
        await settle()
    domain.model.talks[-1].finish()
    await domain.clock.advance(10)
    events = await domain.events(room.room_id)
    stored, seen = events[-1][1]["message"]["parts"], folded(events)
    assert stored == [{**part, **fold} for part, fold in zip(stored, seen, strict=True)]
    (_, content) = (await domain.texts(room.room_id))[1]
    assert content == "".join(part["text"] for part in stored if part["type"] == "text")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_what_a_reader_folds_is_what_is_stored(templates: Templates, steps: list[tuple[str, str]]) -> None:
    async def run() -> None:
        domain = Domain(templates)
        try:
            await story(domain, steps)
        finally:
            await domain.close()

    asyncio.run(run())

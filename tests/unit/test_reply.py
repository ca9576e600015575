"""Writing one reply: deltas, its end, and everything that may go wrong on the way."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parlor.errors import CacheUnavailable, InvalidRequest, LlmError, RoomNotFound, StoreUnavailable
from parlor.model import FinishReason, OnBusy, Usage
from parlor.room import Room
from parlor.states import MessageState
from tests.unit.memory_store import Templates
from tests.unit.rig import HOME, Rig, settle
from tests.unit.scripted_model import USAGE, Talk

pytestmark = pytest.mark.unit

INTERVAL = 0.025
"""Of deltas, the default."""


async def begun(rig: Rig) -> tuple[Room, Talk]:
    """A room whose first reply is being written."""
    room = rig.room(await rig.new_room())
    await rig.send(room)
    await settle()
    return room, rig.model.talks[0]


async def deltas(rig: Rig, room: Room) -> list[tuple[int, str]]:
    return [(data["offset"], data["text"]) for kind, data in await rig.events(room.room_id) if kind == "message.delta"]


async def test_the_first_piece_is_told_at_once_and_the_next_ones_together(rig: Rig) -> None:
    room, talk = await begun(rig)
    talk.say("A")
    await settle()
    assert await deltas(rig, room) == [(0, "A")]
    talk.say("B", "C", "D")
    await settle()
    assert await deltas(rig, room) == [(0, "A")]
    await rig.clock.advance(INTERVAL)
    assert await deltas(rig, room) == [(0, "A"), (1, "BCD")]
    talk.say("E")
    await rig.clock.advance(INTERVAL)
    assert await deltas(rig, room) == [(0, "A"), (1, "BCD"), (4, "E")]


async def test_a_reply_ends_with_its_whole_text_everywhere(rig: Rig) -> None:
    room, talk = await begun(rig)
    for piece in ("Ein", " schöner", " Tag 🙂", "!"):
        talk.say(piece)
        await rig.clock.advance(0.01)
    talk.finish()
    await rig.clock.advance(1)
    whole = "Ein schöner Tag 🙂!"
    assert "".join(text for _, text in await deltas(rig, room)) == whole
    kind, data = (await rig.events(room.room_id))[-1]
    assert (kind, data["message"]["content"]) == ("message.completed", whole)
    assert data["message"]["usage"] == {"input_tokens": 3, "output_tokens": 5}
    await rig.write_all()
    row = (await rig.rows(room.room_id))[1]
    assert (row.doc.content, row.doc.finish_reason, row.doc.usage) == (whole, FinishReason.STOP, USAGE)
    assert (row.doc.attempt, row.doc.ai_persona) == (1, "GPT4O")
    assert rig.metrics.replies == {"stop": 1}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.tuples(st.text(min_size=1, max_size=5), st.sampled_from([0.0, 0.01, 0.03])), max_size=12))
def test_joined_deltas_are_the_final_text(templates: Templates, pieces: list[tuple[str, float]]) -> None:
    async def conversation() -> None:
        rig = Rig(templates)
        room, talk = await begun(rig)
        for text, pause in pieces:
            talk.say(text)
            await rig.clock.advance(pause)
        talk.finish()
        await rig.clock.advance(1)
        told, whole, end = await deltas(rig, room), "".join(text for text, _ in pieces), 0
        for offset, text in told:
            assert offset == end
            end += len(text)
        assert "".join(text for _, text in told) == whole
        assert (await rig.texts(room.room_id))[1] == (2, whole)
        await rig.close()

    asyncio.run(conversation())


async def test_a_reply_without_a_word_ends_too(rig: Rig) -> None:
    room, talk = await begun(rig)
    talk.finish()
    await rig.clock.advance(1)
    assert await rig.kinds(room.room_id) == ["message.created", "message.created", "message.completed"]


async def test_a_reply_that_was_cut_by_its_length_says_so(rig: Rig) -> None:
    room, talk = await begun(rig)
    talk.say("so far")
    talk.finish(FinishReason.LENGTH, Usage(1, 2))
    await rig.clock.advance(1)
    reply = (await rig.page(room.room_id)).messages[1]
    assert (reply.finish_reason, reply.usage) == (FinishReason.LENGTH, Usage(1, 2))


async def test_a_readers_page_has_the_text_so_far(rig: Rig) -> None:
    room, talk = await begun(rig)
    talk.say("half a")
    await settle()
    reply = (await rig.page(room.room_id)).messages[1]
    assert (reply.content, reply.is_streaming, reply.attempt) == ("half a", True, 1)
    assert reply.state is MessageState.COMPOSING


# One after the other


async def test_replies_are_written_in_the_order_of_their_turns(rig: Rig) -> None:
    room, first = await begun(rig)
    await rig.send(room, "two", on_busy=OnBusy.ENQUEUE)
    await rig.send(room, "three")
    await settle()
    assert len(rig.model.talks) == 1
    first.say("answer 1")
    first.finish()
    await rig.clock.advance(0.1)
    assert [turn.content for turn in rig.model.talks[1].context.turns] == ["Hello", "answer 1", "two"]
    for number in (1, 2):
        rig.model.talks[number].say(f"answer {number + 1}")
        rig.model.talks[number].finish()
        await rig.clock.advance(0.1)
    assert [text for _, text in await rig.texts(room.room_id)] == [
        "Hello",
        "answer 1",
        "two",
        "answer 2",
        "three",
        "answer 3",
    ]
    ends = [data["message"]["seq"] for kind, data in await rig.events(room.room_id) if kind == "message.completed"]
    assert ends == [2, 4, 6]
    assert not room.busy


# The model fails


async def test_a_failure_keeps_the_partial_text_and_says_why(rig: Rig) -> None:
    room, talk = await begun(rig)
    talk.say("half a")
    await settle()
    talk.fail(LlmError("The model is tired", debug="secret detail"))
    await rig.clock.advance(1)
    kind, data = (await rig.events(room.room_id))[-1]
    assert kind == "message.failed"
    assert data["error"] == {"code": "llm-error", "detail": "The model is tired"}
    reply = (await rig.page(room.room_id)).messages[1]
    assert (reply.content, reply.finish_reason) == ("half a", FinishReason.ERROR)
    assert reply.error is not None
    assert "secret" not in str(data)
    await rig.write_all()
    assert (await rig.rows(room.room_id))[1].doc.error_code == "llm-error"
    assert rig.metrics.replies == {"error": 1}


async def test_an_answer_without_an_end_is_a_failure(rig: Rig) -> None:
    room, talk = await begun(rig)
    talk.say("half a")
    talk.hang_up()
    await rig.clock.advance(1)
    reply = (await rig.page(room.room_id)).messages[1]
    assert (reply.content, reply.finish_reason) == ("half a", FinishReason.ERROR)


@pytest.mark.parametrize("fault", [ZeroDivisionError("secret"), InvalidRequest("no such persona"), RoomNotFound()])
async def test_a_fault_in_the_model_ends_its_reply_and_not_the_room(rig: Rig, fault: Exception) -> None:
    room, talk = await begun(rig)
    talk.say("half a")
    talk.fail(fault)
    await rig.clock.advance(1)
    kind, data = (await rig.events(room.room_id))[-1]
    assert (kind, data["error"]["code"]) == ("message.failed", "llm-error")
    assert "secret" not in str(data)
    reply = (await rig.page(room.room_id)).messages[1]
    assert (reply.content, reply.finish_reason, reply.is_streaming) == ("half a", FinishReason.ERROR, False)
    assert (await rig.say(room, "still here")).seq == 3


async def test_without_redis_a_reply_waits_for_its_conversation(rig: Rig) -> None:
    room = rig.room(await rig.new_room())
    rig.model.mem_error = CacheUnavailable()
    await rig.send(room, "the question")
    await rig.clock.advance(1)
    assert rig.model.talks == []
    rig.model.mem_error = None
    await rig.clock.advance(1)
    assert [turn.content for turn in rig.model.talks[0].context.turns] == ["the question"]


async def test_the_memory_never_reads_less_than_there_is(rig: Rig) -> None:
    room = await rig.opened()
    await rig.say(room, "stored")
    await rig.write_all()
    await rig.say(room, "the question")
    rig.server.connected = False
    with pytest.raises(CacheUnavailable):
        await rig.history.before(room.room_id, 3, 10)


async def test_a_conversation_that_cannot_be_read_fails_its_reply(rig: Rig) -> None:
    room = rig.room(await rig.new_room())
    rig.model.mem_error = StoreUnavailable()
    await rig.send(room)
    await rig.clock.advance(1)
    kind, data = (await rig.events(room.room_id))[-1]
    assert (kind, data["error"]["code"]) == ("message.failed", "llm-error")


# Redis fails


async def test_redis_down_delays_a_reply_and_loses_nothing_of_it(rig: Rig) -> None:
    room, talk = await begun(rig)
    talk.say("one ")
    await rig.clock.advance(0.1)
    rig.server.connected = False
    talk.say("two ")
    await rig.clock.advance(0.5)
    talk.say("three")
    talk.finish()
    await rig.clock.advance(2)
    assert room.busy
    rig.server.connected = True
    await rig.clock.advance(1)
    assert "".join(text for _, text in await deltas(rig, room)) == "one two three"
    assert (await rig.kinds(room.room_id)).count("message.completed") == 1
    assert (await rig.texts(room.room_id))[1] == (2, "one two three")
    assert not room.busy


@pytest.mark.parametrize("script", ["start_attempt", "append_delta", "complete_reply"])
async def test_a_lost_answer_repeats_a_step_without_doubling_it(rig: Rig, script: str) -> None:
    rig.pipeline.lose[script] = 2
    room = rig.room(await rig.new_room())
    await rig.send(room)
    await rig.clock.advance(1)
    talk = rig.model.talks[0]
    talk.say("one ")
    await rig.clock.advance(1)
    talk.say("two")
    talk.finish()
    await rig.clock.advance(2)
    assert "".join(text for _, text in await deltas(rig, room)) == "one two"
    assert await rig.kinds(room.room_id) == [
        "message.created",
        "message.created",
        "message.delta",
        "message.delta",
        "message.completed",
    ]
    assert rig.metrics.replies == {"stop": 1}
    await rig.write_all()
    uses = await rig.store.daily_use(rig.ada.shard_id, rig.ada.account_db_key, "2000-01-01", "2100-01-01")
    assert [(use.messages, use.output_tokens) for use in uses] == [(2, 5)]


# Signs of life


async def test_a_silent_reply_gives_signs_of_life(rig: Rig) -> None:
    room, _ = await begun(rig)
    await rig.clock.advance(60)
    assert await rig.reader.overdue_rooms(HOME, 10) == []
    assert room.busy


async def test_a_reply_that_ended_is_not_overdue(rig: Rig) -> None:
    room, talk = await begun(rig)
    talk.finish()
    await rig.clock.advance(60)
    assert await rig.reader.overdue_rooms(HOME, 10) == []
    assert not room.busy


async def test_signs_of_life_go_on_after_redis_was_away(rig: Rig) -> None:
    await begun(rig)
    rig.server.connected = False
    await rig.clock.advance(10)
    rig.server.connected = True
    await rig.clock.advance(2)
    assert await rig.reader.overdue_rooms(HOME, 10) == []


# Ended early


async def test_ending_early_closes_the_connection_and_keeps_the_text(rig: Rig) -> None:
    room, talk = await begun(rig)
    talk.say("half a")
    await settle()
    room.end_replies(FinishReason.STOPPED)
    await rig.clock.advance(0.1)
    assert talk.closed
    reply = (await rig.page(room.room_id)).messages[1]
    assert (reply.content, reply.finish_reason, reply.error) == ("half a", FinishReason.STOPPED, None)
    assert (await rig.kinds(room.room_id))[-1] == "message.stopped"


async def test_ending_before_the_first_step_ends_the_reply_too(rig: Rig) -> None:
    room = rig.room(await rig.new_room())
    gate = rig.pipeline.gates["start_attempt"] = asyncio.Event()
    await rig.send(room)
    await settle()
    room.end_replies(FinishReason.INTERRUPTED)
    gate.set()
    await rig.clock.advance(1)
    reply = (await rig.page(room.room_id)).messages[1]
    assert (reply.finish_reason, reply.content, reply.is_streaming) == (FinishReason.INTERRUPTED, "", False)
    assert all(talk.closed for talk in rig.model.talks)


async def test_the_first_of_two_reasons_to_end_counts(rig: Rig) -> None:
    room, _ = await begun(rig)
    room.end_replies(FinishReason.STOPPED)
    room.end_replies(FinishReason.INTERRUPTED)
    await rig.clock.advance(1)
    assert (await rig.page(room.room_id)).messages[1].finish_reason is FinishReason.STOPPED

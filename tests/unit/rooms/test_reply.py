"""Writing one reply: its deltas, its end, and everything that can go wrong."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parlor.errors import (
    AnswerEmpty,
    AnswerFiltered,
    AnswerOnlyReasoning,
    CacheUnavailable,
    InvalidRequest,
    LlmError,
    RoomNotFound,
    StoreUnavailable,
)
from parlor.model.messages import FinishReason, ReplyError, Usage
from parlor.model.requests import OnBusy
from parlor.model.states import MessageState
from parlor.rooms.room import Room
from tests.unit.account_use import used_by_day
from tests.unit.domain import HOME, Domain, settle
from tests.unit.memory_store import Templates
from tests.unit.scripted_model import USAGE, Talk

pytestmark = pytest.mark.unit


async def begun(domain: Domain) -> tuple[Room, Talk]:
    """Returns a room whose first reply is being written."""
    room = domain.room(await domain.new_room())
    await domain.send(room)
    await settle()
    return room, domain.model.talks[0]


async def deltas(domain: Domain, room: Room) -> list[tuple[int, str]]:
    return [
        (data["offset"], data["text"]) for kind, data in await domain.events(room.room_id) if kind == "message.delta"
    ]


async def test_a_reply_ends_with_its_whole_text_everywhere(domain: Domain) -> None:
    room, talk = await begun(domain)
    for piece in ("Ein", " schöner", " Tag 🙂", "!"):
        talk.say(piece)
        await domain.clock.advance(0.01)
    talk.finish()
    await domain.clock.advance(1)
    whole = "Ein schöner Tag 🙂!"
    assert "".join(text for _, text in await deltas(domain, room)) == whole
    kind, data = (await domain.events(room.room_id))[-1]
    assert (kind, data["message"]["content"]) == ("message.completed", whole)
    assert data["message"]["usage"] == {"input_tokens": 3, "output_tokens": 5}
    await domain.write_all()
    row = (await domain.rows(room.room_id))[1]
    assert (row.doc.content, row.doc.finish_reason, row.doc.usage) == (whole, FinishReason.STOP, USAGE)
    assert (row.doc.attempt, row.doc.ai_persona) == (1, "GPT4O")
    assert domain.metrics.replies == {"stop": 1}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.tuples(st.text(min_size=1, max_size=5), st.sampled_from([0.0, 0.01, 0.03])), max_size=12))
def test_joined_deltas_are_the_final_text(templates: Templates, pieces: list[tuple[str, float]]) -> None:
    async def conversation() -> None:
        domain = Domain(templates)
        room, talk = await begun(domain)
        for text, pause in pieces:
            talk.say(text)
            await domain.clock.advance(pause)
        talk.finish()
        await domain.clock.advance(1)
        shown, whole, end = await deltas(domain, room), "".join(text for text, _ in pieces), 0
        for offset, text in shown:
            assert offset == end
            end += len(text)
        assert "".join(text for _, text in shown) == whole
        assert (await domain.texts(room.room_id))[1] == (2, whole)
        await domain.close()

    asyncio.run(conversation())


async def test_a_reply_without_a_word_ends_too(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.finish()
    await domain.clock.advance(1)
    assert await domain.kinds(room.room_id) == ["message.created", "message.created", "message.completed"]


async def test_a_reply_that_was_cut_by_its_length_says_so(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.say("so far")
    talk.finish(FinishReason.LENGTH, Usage(1, 2))
    await domain.clock.advance(1)
    reply = (await domain.page(room.room_id)).messages[1]
    assert (reply.finish_reason, reply.usage) == (FinishReason.LENGTH, Usage(1, 2))


async def test_a_reply_that_a_content_filter_cut_short_says_so(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.say("The first step is")
    talk.finish(FinishReason.CONTENT_FILTER)
    await domain.clock.advance(1)
    assert (await domain.kinds(room.room_id))[-1] == "message.completed"
    await domain.write_all()
    row = (await domain.rows(room.room_id))[1]
    assert (row.doc.content, row.doc.finish_reason) == ("The first step is", FinishReason.CONTENT_FILTER)
    assert domain.metrics.replies == {"content_filter": 1}


async def test_a_readers_page_has_the_text_so_far(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.say("half a")
    await settle()
    reply = (await domain.page(room.room_id)).messages[1]
    assert (reply.content, reply.is_streaming, reply.attempt) == ("half a", True, 1)
    assert reply.state is MessageState.COMPOSING


# One after the other


async def test_replies_are_written_in_the_order_of_their_turns(domain: Domain) -> None:
    room, first = await begun(domain)
    await domain.send(room, "two", on_busy=OnBusy.ENQUEUE)
    await domain.send(room, "three")
    await settle()
    assert len(domain.model.talks) == 1
    first.say("answer 1")
    first.finish()
    await domain.clock.advance(0.1)
    assert [turn.content for turn in domain.model.talks[1].context.turns] == ["Hello", "answer 1", "two"]
    for number in (1, 2):
        domain.model.talks[number].say(f"answer {number + 1}")
        domain.model.talks[number].finish()
        await domain.clock.advance(0.1)
    assert [text for _, text in await domain.texts(room.room_id)] == [
        "Hello",
        "answer 1",
        "two",
        "answer 2",
        "three",
        "answer 3",
    ]
    ends = [data["message"]["seq"] for kind, data in await domain.events(room.room_id) if kind == "message.completed"]
    assert ends == [2, 4, 6]
    assert not room.busy


# The model fails


async def test_a_failure_keeps_the_partial_text_and_says_why(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.say("half a")
    await settle()
    talk.fail(LlmError("The model is tired", debug="secret detail"))
    await domain.clock.advance(1)
    kind, data = (await domain.events(room.room_id))[-1]
    assert kind == "message.failed"
    assert data["error"] == {"code": "llm-error", "detail": "The model is tired"}
    reply = (await domain.page(room.room_id)).messages[1]
    assert (reply.content, reply.finish_reason) == ("half a", FinishReason.ERROR)
    assert reply.error is not None
    assert "secret" not in str(data)
    await domain.write_all()
    assert (await domain.rows(room.room_id))[1].doc.error_code == "llm-error"
    assert domain.metrics.replies == {"error": 1}


@pytest.mark.parametrize("error", [AnswerEmpty(), AnswerOnlyReasoning(), AnswerFiltered()])
async def test_an_answer_that_says_nothing_fails_with_a_code_of_its_own(domain: Domain, error: LlmError) -> None:
    room, talk = await begun(domain)
    talk.fail(error)
    await domain.clock.advance(1)
    kind, data = (await domain.events(room.room_id))[-1]
    assert (kind, data["error"]) == ("message.failed", {"code": error.code, "detail": error.title})
    assert (await domain.page(room.room_id)).messages[1].error == ReplyError(error.code, error.title)


async def test_when_the_provider_wants_to_be_asked_again_is_told_with_the_failure(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.fail(LlmError("Too many requests", retry_after=20.2))
    await domain.clock.advance(1)
    _, data = (await domain.events(room.room_id))[-1]
    failure = {"code": "llm-error", "detail": "Too many requests", "retry_after_seconds": 21}
    assert data["error"] == data["message"]["error"] == failure
    await domain.write_all()
    assert (await domain.rows(room.room_id))[1].doc.error_detail == "Too many requests"


async def test_an_answer_without_an_end_is_a_failure(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.say("half a")
    talk.hang_up()
    await domain.clock.advance(1)
    reply = (await domain.page(room.room_id)).messages[1]
    assert (reply.content, reply.finish_reason) == ("half a", FinishReason.ERROR)


@pytest.mark.parametrize("fault", [ZeroDivisionError("secret"), InvalidRequest("no such persona"), RoomNotFound()])
async def test_a_fault_in_the_model_ends_its_reply_and_not_the_room(domain: Domain, fault: Exception) -> None:
    room, talk = await begun(domain)
    talk.say("half a")
    talk.fail(fault)
    await domain.clock.advance(1)
    kind, data = (await domain.events(room.room_id))[-1]
    assert (kind, data["error"]["code"]) == ("message.failed", "llm-error")
    assert "secret" not in str(data)
    reply = (await domain.page(room.room_id)).messages[1]
    assert (reply.content, reply.finish_reason, reply.is_streaming) == ("half a", FinishReason.ERROR, False)
    assert (await domain.say(room, "still here")).seq == 3


async def test_without_redis_a_reply_waits_for_its_conversation(domain: Domain) -> None:
    room = domain.room(await domain.new_room())
    domain.model.mem_error = CacheUnavailable()
    await domain.send(room, "the question")
    await domain.clock.advance(1)
    assert domain.model.talks == []
    domain.model.mem_error = None
    await domain.clock.advance(1)
    assert [turn.content for turn in domain.model.talks[0].context.turns] == ["the question"]


async def test_the_memory_never_reads_less_than_there_is(domain: Domain) -> None:
    room = await domain.opened()
    await domain.say(room, "stored")
    await domain.write_all()
    await domain.say(room, "the question")
    domain.server.connected = False
    with pytest.raises(CacheUnavailable):
        await domain.internal_history.before(room.room_id, 3, 10)


async def test_a_conversation_that_cannot_be_read_fails_its_reply(domain: Domain) -> None:
    room = domain.room(await domain.new_room())
    domain.model.mem_error = StoreUnavailable()
    await domain.send(room)
    await domain.clock.advance(1)
    kind, data = (await domain.events(room.room_id))[-1]
    assert (kind, data["error"]["code"]) == ("message.failed", "llm-error")


# Redis fails


async def test_redis_down_delays_a_reply_and_loses_nothing_of_it(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.say("one ")
    await domain.clock.advance(0.1)
    domain.server.connected = False
    talk.say("two ")
    await domain.clock.advance(0.5)
    talk.say("three")
    talk.finish()
    await domain.clock.advance(2)
    assert room.busy
    domain.server.connected = True
    await domain.clock.advance(1)
    assert "".join(text for _, text in await deltas(domain, room)) == "one two three"
    assert (await domain.kinds(room.room_id)).count("message.completed") == 1
    assert (await domain.texts(room.room_id))[1] == (2, "one two three")
    assert not room.busy


@pytest.mark.parametrize("script", ["start_attempt", "append_delta", "complete_reply"])
async def test_a_lost_answer_repeats_a_step_without_doubling_it(domain: Domain, script: str) -> None:
    domain.pipeline.lose[script] = 2
    room = domain.room(await domain.new_room())
    await domain.send(room)
    await domain.clock.advance(1)
    talk = domain.model.talks[0]
    talk.say("one ")
    await domain.clock.advance(1)
    talk.say("two")
    talk.finish()
    await domain.clock.advance(2)
    assert "".join(text for _, text in await deltas(domain, room)) == "one two"
    assert await domain.kinds(room.room_id) == [
        "message.created",
        "message.created",
        "message.delta",
        "message.delta",
        "message.completed",
    ]
    assert domain.metrics.replies == {"stop": 1}
    await domain.write_all()
    uses = await used_by_day(domain)
    assert [(use.messages, use.output_tokens) for use in uses] == [(2, 5)]


# Lease of a silent reply


async def test_the_lease_of_a_silent_reply_is_renewed(domain: Domain) -> None:
    room, _ = await begun(domain)
    await domain.clock.advance(60)
    assert await domain.reader.overdue_rooms(HOME, 10) == []
    assert room.busy


async def test_a_reply_that_ended_is_not_overdue(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.finish()
    await domain.clock.advance(60)
    assert await domain.reader.overdue_rooms(HOME, 10) == []
    assert not room.busy


async def test_renewals_go_on_after_redis_was_down(domain: Domain) -> None:
    await begun(domain)
    domain.server.connected = False
    await domain.clock.advance(10)
    domain.server.connected = True
    await domain.clock.advance(2)
    assert await domain.reader.overdue_rooms(HOME, 10) == []


# Ended early


async def test_ending_early_closes_the_connection_and_keeps_the_text(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.say("half a")
    await settle()
    room.end_replies(FinishReason.STOPPED)
    await domain.clock.advance(0.1)
    assert talk.closed
    reply = (await domain.page(room.room_id)).messages[1]
    assert (reply.content, reply.finish_reason, reply.error) == ("half a", FinishReason.STOPPED, None)
    assert (await domain.kinds(room.room_id))[-1] == "message.stopped"


async def test_ending_before_the_first_step_ends_the_reply_too(domain: Domain) -> None:
    room = domain.room(await domain.new_room())
    gate = domain.pipeline.gates["start_attempt"] = asyncio.Event()
    await domain.send(room)
    await settle()
    room.end_replies(FinishReason.INTERRUPTED)
    gate.set()
    await domain.clock.advance(1)
    reply = (await domain.page(room.room_id)).messages[1]
    assert (reply.finish_reason, reply.content, reply.is_streaming) == (FinishReason.INTERRUPTED, "", False)
    assert all(talk.closed for talk in domain.model.talks)


async def test_the_first_of_two_reasons_to_end_counts(domain: Domain) -> None:
    room, _ = await begun(domain)
    room.end_replies(FinishReason.STOPPED)
    room.end_replies(FinishReason.INTERRUPTED)
    await domain.clock.advance(1)
    assert (await domain.page(room.room_id)).messages[1].finish_reason is FinishReason.STOPPED

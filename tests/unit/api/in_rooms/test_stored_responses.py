"""Responses that are stored, over the real gateway and rooms in memory, through the unmodified openai package."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from fastapi import FastAPI

from tests.unit.actors.cluster import Cluster
from tests.unit.api.in_rooms.answering import answer

pytestmark = pytest.mark.unit


async def begun(sdk: openai.AsyncOpenAI, text: Any = "Hello", **asked: Any) -> Any:
    """A response in the background."""
    return await sdk.responses.create(model="GPT4O", input=text, background=True, **asked)


async def streamed(sdk: openai.AsyncOpenAI, response_id: str, after: int | None = None) -> list[Any]:
    behind = {} if after is None else {"starting_after": after}
    stream = await sdk.responses.retrieve(response_id, stream=True, **behind)  # type: ignore[call-overload]
    return [each async for each in stream]


async def test_what_runs_in_the_background_can_be_asked_for(sdk: openai.AsyncOpenAI, cluster: Cluster) -> None:
    first = await begun(sdk, metadata={"mine": "1"})
    assert (first.status, first.background, first.output) == ("queued", True, [])
    await answer(cluster, "Hi")
    found = await sdk.responses.retrieve(first.id)
    assert (found.status, found.output_text, found.id) == ("completed", "Hi", first.id)
    assert (found.background, found.metadata, found.conversation) == (True, {"mine": "1"}, first.conversation)


async def test_a_response_is_continued_by_its_id(sdk: openai.AsyncOpenAI, cluster: Cluster) -> None:
    first = await begun(sdk)
    await answer(cluster, "Hi")
    second = await begun(sdk, "And you?", previous_response_id=first.id)
    await answer(cluster, "Well")
    found = await sdk.responses.retrieve(second.id)
    assert (found.output_text, found.previous_response_id) == ("Well", first.id)
    assert found.conversation == first.conversation
    items: Any = await sdk.responses.input_items.list(second.id)
    assert [(each.role, each.content[0].text) for each in items.data] == [("user", "And you?")]
    assert (items.data[0].id, items.has_more) == (items.first_id, False)


async def test_a_stream_goes_on_exactly_behind_the_last_known_event(sdk: openai.AsyncOpenAI, cluster: Cluster) -> None:
    first = await begun(sdk)
    await answer(cluster, "H", "i", " there")
    whole = await streamed(sdk, first.id)
    assert [each.sequence_number for each in whole] == list(range(len(whole)))
    assert whole[-1].response.output_text == "Hi there"
    for after in range(len(whole)):
        assert await streamed(sdk, first.id, after) == whole[after + 1 :]


async def test_a_stream_that_was_cut_goes_on_while_the_reply_is_written(
    sdk: openai.AsyncOpenAI, cluster: Cluster
) -> None:
    first = await begun(sdk)
    await answer(cluster, "H", ends=False)
    going_on = asyncio.create_task(streamed(sdk, first.id, 4))
    await answer(cluster, "i")
    events = await going_on
    assert [each.sequence_number for each in events] == list(range(5, 5 + len(events)))
    assert [each.delta for each in events if each.type == "response.output_text.delta"] == ["i"]
    assert events[-1].response.output_text == "Hi"


async def test_when_the_log_is_gone_the_last_event_is_told_alone(sdk: openai.AsyncOpenAI, cluster: Cluster) -> None:
    first = await begun(sdk)
    await answer(cluster, "Hi")
    partition = (await cluster.gateway().session("alice")).partition
    await cluster.domain.write_all(partition)
    await cluster.domain.redis.flushall()
    (event,) = await streamed(sdk, first.id, 3)
    assert (event.type, event.sequence_number, event.response.output_text) == ("response.completed", 4, "Hi")
    whole = await streamed(sdk, first.id)
    assert [each.delta for each in whole if each.type == "response.output_text.delta"] == ["Hi"]


async def test_text_of_an_attempt_that_was_given_up_is_not_gone_on_with(
    sdk: openai.AsyncOpenAI, cluster: Cluster, app: FastAPI
) -> None:
    first = await begun(sdk)
    await answer(cluster, "Hi")
    gateway = app.state.edge.gateway
    alice = await gateway.session("alice")
    reply = await gateway.find_message(alice, first.id.removeprefix("resp_"))
    await gateway.regenerate(alice, reply.room_id, reply.message_id)
    await answer(cluster, "Good day")
    (event,) = await streamed(sdk, first.id, 4)
    assert (event.type, event.sequence_number, event.response.error.code) == ("response.failed", 5, "message-reset")
    assert (await streamed(sdk, first.id, 1))[-1].response.output_text == "Good day"
    assert (await sdk.responses.retrieve(first.id)).output_text == "Good day"


async def test_a_response_is_cancelled_once(sdk: openai.AsyncOpenAI, cluster: Cluster) -> None:
    first = await begun(sdk)
    await answer(cluster, "Hi", ends=False)
    assert (await sdk.responses.retrieve(first.id)).status == "in_progress"
    cancelled = await sdk.responses.cancel(first.id)
    assert (cancelled.status, cancelled.output_text) == ("cancelled", "Hi")
    assert await sdk.responses.cancel(first.id) == cancelled == await sdk.responses.retrieve(first.id)
    last = (await streamed(sdk, first.id))[-1]
    assert (last.type, last.response.status) == ("response.incomplete", "cancelled")


async def test_a_response_that_was_deleted_is_not_found(sdk: openai.AsyncOpenAI, cluster: Cluster) -> None:
    first = await begun(sdk)
    await answer(cluster, "Hi")
    for _ in range(2):
        await sdk.responses.delete(first.id)
    calls: list[Any] = [sdk.responses.retrieve, sdk.responses.cancel, sdk.responses.input_items.list]
    for call in calls:
        with pytest.raises(openai.NotFoundError) as refused:
            await call(first.id)
        assert refused.value.code == "message-not-found"


@pytest.mark.parametrize("response_id", ["resp_1", "msg_1", "resp_", "resp_01a20669-29f2-8011-8000-000000000003"])
async def test_what_is_no_response_is_not_found(sdk: openai.AsyncOpenAI, cluster: Cluster, response_id: str) -> None:
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve(response_id)
    with pytest.raises(openai.NotFoundError):
        await begun(sdk, previous_response_id=response_id)


async def test_a_message_of_a_person_is_no_response(sdk: openai.AsyncOpenAI, cluster: Cluster) -> None:
    first = await begun(sdk)
    await answer(cluster, "Hi")
    items: Any = await sdk.responses.input_items.list(first.id)
    (item,) = items.data
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve(item.id.replace("msg_", "resp_"))


async def test_a_history_begins_the_room_and_is_in_the_prompt(sdk: openai.AsyncOpenAI, cluster: Cluster) -> None:
    said: list[Any] = [
        {"role": "user", "content": "I am Ann"},
        {"role": "assistant", "content": "Hello Ann"},
        {"role": "user", "content": "Who am I?"},
    ]
    first = await begun(sdk, said)
    await answer(cluster, "Ann")
    assert first.conversation is not None
    turns = cluster.domain.model.talks[-1].context.turns
    assert [(turn.role, turn.content) for turn in turns] == [
        ("user", "I am Ann"),
        ("assistant", "Hello Ann"),
        ("user", "Who am I?"),
    ]
    items: Any = await sdk.conversations.items.list(first.conversation.id, order="asc")
    assert [(each.role, each.content[0].text, each.status) for each in items.data] == [
        ("user", "I am Ann", "completed"),
        ("assistant", "Hello Ann", "completed"),
        ("user", "Who am I?", "completed"),
        ("assistant", "Ann", "completed"),
    ]

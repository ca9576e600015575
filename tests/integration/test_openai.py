"""The unmodified openai package against the running installation."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import openai
import pytest

from tests.integration.user import Json, User, succeeded
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration
KINDS = ("private",)
HELLO: list[Any] = [{"role": "user", "content": "Hello there"}]
TITLE = "### Task:\nGenerate a concise, 3-5 word title.\n### Chat History:\n<chat_history>\nUSER: Hi\n</chat_history>"
"""As Open WebUI asks for one, with the id of the chat."""


def base_url(user: User) -> str:
    return f"{str(user.http.base_url).rstrip('/')}/openai/v1"


def key_of(user: User) -> str:
    return user.http.headers["authorization"].removeprefix("Bearer ")


def client_of(user: User) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=key_of(user), base_url=base_url(user), max_retries=0)


async def room_of(user: User, external_id: str) -> Json:
    (room,) = (await user.get("/v1/rooms", external_id=external_id))["rooms"]
    found: Json = room
    return found


async def test_a_chat_of_a_front_end_is_one_room_and_its_title_requests_are_not_stored(user: User) -> None:
    chat = {"X-OpenWebUI-Chat-Id": str(uuid4())}
    said: list[Any] = []
    async with client_of(user) as client:
        for text in ("One", "Two"):
            said.append({"role": "user", "content": text})
            stream = await client.chat.completions.create(model="GPT4O", messages=said, stream=True, extra_headers=chat)
            answer = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
            assert answer
            said.append({"role": "assistant", "content": answer})
            asked: list[Any] = [{"role": "user", "content": TITLE}]
            await client.chat.completions.create(model="GPT4O", messages=asked, extra_headers=chat)
    room = await room_of(user, chat["X-OpenWebUI-Chat-Id"])
    assert [message["content"] for message in await user.history(room["room_id"])] == [each["content"] for each in said]


async def test_an_api_key_and_the_synchronous_client_work(user: User) -> None:
    made = succeeded(await user.http.post("/v1/keys", json={"name": "SDK", "scopes": ["read", "write"]}), 201)

    def ask() -> tuple[str | None, list[str]]:
        with openai.OpenAI(api_key=made["key"], base_url=base_url(user), max_retries=0) as client:
            answer = client.chat.completions.create(model="GPT4O", messages=HELLO)
            return answer.choices[0].message.content, [model.id for model in client.models.list()]

    content, models = await asyncio.to_thread(ask)
    assert content
    assert "GPT4O" in models


@pytest.mark.timeout(120)
async def test_the_synchronous_client_streams_responses_and_follows_one_that_was_cut(user: User) -> None:
    def ask() -> tuple[list[str], list[int]]:
        with openai.OpenAI(api_key=key_of(user), base_url=base_url(user), max_retries=0) as client:
            first = client.responses.create(model="GPT4O", input="Hello there")
            with client.responses.stream(model="GPT4O", input="And again", previous_response_id=first.id) as stream:
                second = stream.get_final_response()
            assert second.conversation == first.conversation
            slow = client.responses.create(
                model="GPT4O",
                input="[[tokens=40 delay=20ms]] Slowly",
                previous_response_id=second.id,
                background=True,
                stream=True,
            )
            seen: list[Any] = []
            for event in slow:
                seen.append(event)
                if len(seen) > 6:
                    slow.close()
                    break
            response_id = seen[0].response.id
            seen += client.responses.retrieve(response_id, stream=True, starting_after=seen[-1].sequence_number)
            told = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
            assert told == client.responses.retrieve(response_id).output_text
            return [first.output_text, second.output_text, told], [event.sequence_number for event in seen]

    texts, numbers = await asyncio.to_thread(ask)
    assert all(texts)
    assert numbers == list(range(len(numbers)))


async def test_what_is_asked_outside_of_rooms_is_counted_and_not_stored(user: User) -> None:
    async with client_of(user) as client:
        answer = await client.chat.completions.create(model="GPT4O", messages=HELLO)
    assert answer.usage is not None
    assert (await user.get("/v1/rooms"))["rooms"] == []

    async def counted() -> int:
        total: Json = (await user.get("/v1/usage"))["total"]
        return int(total["output_tokens"])

    await eventually(counted, lambda tokens: tokens == answer.usage.completion_tokens)  # type: ignore[union-attr]


@pytest.mark.timeout(120)
async def test_a_response_in_the_background_is_followed_from_where_it_was_cut(user: User) -> None:
    async with client_of(user) as client:
        stream = await client.responses.create(
            model="GPT4O", input="[[tokens=40 delay=20ms]] Hello there", background=True, stream=True
        )
        seen: list[Any] = []
        async for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta" and len(seen) > 6:
                await stream.close()
                break
        response_id = seen[0].response.id
        rest = await client.responses.retrieve(response_id, stream=True, starting_after=seen[-1].sequence_number)
        seen += [event async for event in rest]
        assert [event.sequence_number for event in seen] == list(range(len(seen)))
        told = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
        found = await client.responses.retrieve(response_id)
        assert found.status == "completed"
        assert told == found.output_text == seen[-1].response.output_text
        assert found.conversation is not None
        room = found.conversation.id.removeprefix("conv_")
        assert [message["content"] for message in await user.history(room)][1] == told


async def test_a_response_is_continued_cancelled_and_deleted(user: User) -> None:
    async with client_of(user) as client:
        first = await client.responses.create(model="GPT4O", input="Hello there")
        async with client.responses.stream(model="GPT4O", input="And again", previous_response_id=first.id) as stream:
            second = await stream.get_final_response()
        assert second.conversation == first.conversation
        assert second.output_text
        slow = await client.responses.create(
            model="GPT4O", input="[[tokens=500 delay=50ms]] Slowly", previous_response_id=first.id, background=True
        )
        stopped = await client.responses.cancel(slow.id)
        assert stopped.status == "cancelled"
        assert await client.responses.cancel(slow.id) == stopped
        await client.responses.delete(slow.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(slow.id)
        assert first.conversation is not None
        listed: Any = await client.conversations.items.list(first.conversation.id, order="asc")
        assert [each.role for each in listed.data] == ["user", "assistant", "user", "assistant", "user"]


async def test_a_response_and_its_conversation_are_their_accounts_own(user: User, stranger: User) -> None:
    async with client_of(user) as client, client_of(stranger) as another:
        made = await client.responses.create(model="GPT4O", input="Hello there")
        assert made.conversation is not None
        for call in (
            another.responses.retrieve(made.id),
            another.responses.cancel(made.id),
            another.conversations.retrieve(made.conversation.id),
            another.responses.create(model="GPT4O", input="Hello", previous_response_id=made.id),
        ):
            with pytest.raises(openai.NotFoundError):
                await call

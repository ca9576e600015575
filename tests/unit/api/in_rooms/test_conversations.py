"""OpenAI's conversations and their items, through the unmodified openai package."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from fastapi import FastAPI

from parlor.model.ids import RoomId
from tests.unit.actors.cluster import Cluster
from tests.unit.api.in_rooms.answering import answer

pytestmark = pytest.mark.unit

TALK: list[Any] = [
    {"type": "message", "role": "developer", "content": "Be brief."},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
]


def said(items: Any) -> list[tuple[str, str]]:
    return [(each.role, each.content[0].text) for each in items.data]


async def test_a_conversation_is_a_room(sdk: openai.AsyncOpenAI, app: FastAPI) -> None:
    made = await sdk.conversations.create(metadata={"title": "Tea", "topic": "leaves"})
    assert made.id.startswith("conv_")
    gateway = app.state.edge.gateway
    alice = await gateway.session("alice")
    room = await gateway.get_room(alice, RoomId(made.id.removeprefix("conv_")))
    assert (room.title, room.created_at // 1000) == ("Tea", made.created_at)
    assert made.metadata == {"topic": "leaves", "title": "Tea", "ai_persona": "GPT4O"}
    assert made == await sdk.conversations.retrieve(made.id)
    updated = await sdk.conversations.update(made.id, metadata={"title": "Coffee"})
    assert updated.metadata == {"title": "Coffee", "ai_persona": "GPT4O"}
    assert await sdk.conversations.update(made.id, metadata={}) == updated == await sdk.conversations.retrieve(made.id)
    for _ in range(2):
        deleted = await sdk.conversations.delete(made.id)
        assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "conversation.deleted")
    with pytest.raises(openai.NotFoundError):
        await sdk.conversations.retrieve(made.id)


async def test_metadata_is_kept_as_a_whole(sdk: openai.AsyncOpenAI, app: FastAPI) -> None:
    """What comes back is what was sent last, beside what is the room's own; a rename leaves it."""
    own = {"title": "", "ai_persona": "GPT4O"}
    pairs = {f"{number}".ljust(64, "k"): "😀".ljust(512, "v") for number in range(16)}
    made = await sdk.conversations.create(metadata=pairs)
    assert made.metadata == {**pairs, **own}
    # What was retrieved may be sent back as it is: what is the room's does not count.
    assert (
        await sdk.conversations.update(made.id, metadata={**pairs, "ai_persona": "GPT4O"})
    ).metadata == made.metadata
    changed = await sdk.conversations.update(made.id, metadata={"a": "1", "b": ""})
    assert changed.metadata == {"a": "1", "b": "", **own}
    gateway = app.state.edge.gateway
    await gateway.update_room(await gateway.session("alice"), RoomId(made.id.removeprefix("conv_")), "Tea", None)
    renamed = {"a": "1", "b": "", **own, "title": "Tea"}
    assert (await sdk.conversations.retrieve(made.id)).metadata == renamed
    assert (await sdk.conversations.update(made.id, metadata=None)).metadata == {**own, "title": "Tea"}
    # Without the parameter, nothing changes.
    await sdk.conversations.update(made.id, metadata={"c": "3"})
    untouched: Any = await sdk.post(f"/conversations/{made.id}", cast_to=object, body={})
    assert untouched["metadata"] == {"c": "3", **own, "title": "Tea"}


@pytest.mark.parametrize(
    "metadata",
    [
        {str(number): "" for number in range(17)},
        {"k" * 65: "v"},
        {"k": "v" * 513},
        {"k": 1},
        {"k": "\0"},
        {"\0": "v"},
        "text",
    ],
)
async def test_metadata_has_openais_limits(sdk: openai.AsyncOpenAI, metadata: Any) -> None:
    made = await sdk.conversations.create()
    calls: Any = [
        lambda: sdk.conversations.create(metadata=metadata),
        lambda: sdk.conversations.update(made.id, metadata=metadata),
        lambda: sdk.responses.create(model="GPT4O", input="x", conversation=made.id, metadata=metadata),
    ]
    for call in calls:
        with pytest.raises(openai.BadRequestError) as refused:
            await call()
        assert str(refused.value.param).startswith("metadata")
    assert (await sdk.conversations.retrieve(made.id)).metadata == {"title": "", "ai_persona": "GPT4O"}


async def test_a_conversation_that_is_made_again_has_the_metadata_of_the_first(sdk: openai.AsyncOpenAI) -> None:
    once: Any = {"extra_headers": {"Idempotency-Key": "k"}}
    made = await sdk.conversations.create(metadata={"a": "1"}, **once)
    assert await sdk.conversations.create(metadata={"a": "1"}, **once) == made
    with pytest.raises(openai.BadRequestError, match="idempotency key"):
        await sdk.conversations.create(metadata={"a": "2"}, **once)


async def test_items_are_the_rooms_messages(sdk: openai.AsyncOpenAI, cluster: Cluster) -> None:
    made = await sdk.conversations.create(items=TALK)
    added: Any = await sdk.conversations.items.create(made.id, items=[{"role": "user", "content": "And?"}])
    assert said(added) == [("user", "And?")]
    items = await sdk.conversations.items.list(made.id, order="asc")
    whole = [("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", "And?")]
    assert said(items) == whole
    assert said(await sdk.conversations.items.list(made.id)) == whole[::-1]
    assert await sdk.conversations.items.retrieve(added.data[0].id, conversation_id=made.id) == added.data[0]
    await sdk.responses.create(model="GPT4O", input="Now?", conversation=made.id, background=True)
    await answer(cluster, "Now")
    turns = cluster.domain.model.talks[-1].context.turns
    assert [turn.content for turn in turns] == ["Be brief.", "Hello", "Hi", "And?", "Now?"]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_pages_have_every_item_once_and_nothing_that_was_deleted(
    sdk: openai.AsyncOpenAI, order: Any, limit: int
) -> None:
    texts = [str(number) for number in range(6)]
    made = await sdk.conversations.create(items=[{"role": "user", "content": text} for text in texts])
    listed: Any = await sdk.conversations.items.list(made.id, order="asc")
    for gone in (1, 2, 5):
        assert (await sdk.conversations.items.delete(listed.data[gone].id, conversation_id=made.id)).id == made.id
    found = [each async for each in sdk.conversations.items.list(made.id, order=order, limit=limit)]
    contents = [each.content[0].text for each in found]  # type: ignore[union-attr, index]
    assert contents == (["0", "3", "4"] if order == "asc" else ["4", "3", "0"])
    with pytest.raises(openai.NotFoundError):
        await sdk.conversations.items.retrieve(listed.data[1].id, conversation_id=made.id)


async def test_items_are_added_once_for_each_key(sdk: openai.AsyncOpenAI) -> None:
    made = await sdk.conversations.create(extra_headers={"Idempotency-Key": "room"}, items=TALK)
    assert await sdk.conversations.create(extra_headers={"Idempotency-Key": "room"}, items=TALK) == made
    for _ in range(2):
        again = {"Idempotency-Key": "k"}
        await sdk.conversations.items.create(made.id, items=[{"role": "user", "content": "1"}], extra_headers=again)
    assert len((await sdk.conversations.items.list(made.id)).data) == 4


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "items[0].type"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, "items[0].type"),
        ({"role": "user", "content": " "}, "items[0].content"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, "items[0].content[0]"),
        ({"role": "assistant", "content": [{"type": "input_image", "image_url": "data:,"}]}, "items[0].content[0]"),
    ],
)
async def test_what_is_no_message_is_refused_before_there_is_a_room(
    sdk: openai.AsyncOpenAI, app: FastAPI, item: Any, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await sdk.conversations.create(items=[item])
    assert refused.value.param == param
    gateway = app.state.edge.gateway
    assert (await gateway.list_rooms(await gateway.session("alice"), 10, None)).rooms == []


@pytest.mark.parametrize("missing", ["conv_1", "conv_01a20669-29f2-8011-8000-000000000003", "x"])
async def test_what_is_no_conversation_is_not_found(sdk: openai.AsyncOpenAI, missing: str) -> None:
    with pytest.raises(openai.NotFoundError):
        await sdk.conversations.retrieve(missing)
    with pytest.raises(openai.NotFoundError):
        await sdk.conversations.items.list(missing)
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.create(model="GPT4O", input="Hello", conversation=missing)

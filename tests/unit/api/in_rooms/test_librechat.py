"""LibreChat's requests, whole, as its agents send them to a custom endpoint (its sources say how, with LangChain's
``ChatOpenAI``): ``headers`` in ``librechat.yaml`` name the conversation, titles are asked for in one of three ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.tokens import issue
from parlor.model.rooms import Room
from parlor.settings import Settings
from tests.unit.actors.cluster import Cluster
from tests.unit.api.in_rooms.answering import answer

pytestmark = pytest.mark.unit

CHAT = "/openai/v1/chat/completions"
CONVERSATION = "0a4e2f1c-1b5d-4a77-9f5e-6d2b6a3f8c10"
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
SAMPLING = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}
TALK = {"model": "GPT4O", "user": "665f1c2e9b1e8a0012345678", **SAMPLING, "stream": True}
STREAMED = {"stream_options": {"include_usage": True}}
TITLE = (
    "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. Only return the title "
    "itself."
)
STRUCTURED = (
    "Analyze this conversation and provide:\n1. The detected language of the conversation\n2. A concise title in the "
    "detected language (5 words or less, no punctuation or quotation)\n\nUser: Hi\nAI: Hello"
)
TOOL = {
    "type": "function",
    "function": {
        "name": "extract",
        "description": "A function available to call.",
        "parameters": {"type": "object", "properties": {"title": {"type": "string"}, "language": {"type": "string"}}},
    },
}
QUIET = {"model": "GPT4O", "user": TALK["user"], "temperature": 0.2, "stream": False}
TITLES: list[dict[str, Any]] = [
    {**QUIET, "messages": [{"role": "user", "content": f"{TITLE}\n\nConversation:\nUser: Hi\nAI: Hello"}]},
    {
        **QUIET,
        "messages": [{"role": "user", "content": STRUCTURED}],
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "extract"}},
        "parallel_tool_calls": False,
    },
    {
        **QUIET,
        "messages": [{"role": "user", "content": STRUCTURED}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "extract", "schema": TOOL["function"]["parameters"], "strict": False},  # type: ignore[index]
        },
    },
]


@pytest.fixture
async def librechat(app: FastAPI, settings: Settings, cluster: Cluster) -> AsyncIterator[httpx2.AsyncClient]:
    key = issue(settings.auth, "alice", None, datetime.fromtimestamp(cluster.domain.clock.now_ms() / 1000, UTC))
    headers = {"Authorization": f"Bearer {key}", "X-Conversation-Id": CONVERSATION, "User-Agent": "OpenAI/JS 5.12.2"}
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://parlor", headers=headers) as made:
        yield made


async def answered(cluster: Cluster, librechat: httpx2.AsyncClient, body: dict[str, Any], *texts: str) -> str:
    asking = asyncio.create_task(librechat.post(CHAT, json=body))
    await answer(cluster, *texts)
    response = await asking
    assert response.status_code == 200, response.text
    return response.text


def chunks(streamed: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in streamed.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def said(streamed: str) -> str:
    deltas = [choice["delta"] for chunk in chunks(streamed) for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


async def rooms(app: FastAPI) -> list[Room]:
    gateway = app.state.edge.gateway
    found: list[Room] = (await gateway.list_rooms(await gateway.session("alice"), 10, None)).rooms
    return found


async def test_a_conversation_is_one_room_and_its_titles_are_not_stored(
    app: FastAPI, cluster: Cluster, librechat: httpx2.AsyncClient
) -> None:
    first = [SYSTEM, {"role": "user", "content": "Hi"}]
    streamed = await answered(cluster, librechat, {**TALK, **STREAMED, "messages": first}, "Hel", "lo")
    assert said(streamed) == "Hello"
    assert chunks(streamed)[-1]["usage"]["total_tokens"] > 0
    for title in TITLES:
        await answered(cluster, librechat, title, "Greeting")
    parts = [{"type": "text", "text": "And now?"}]
    second = [*first, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": parts}]
    assert said(await answered(cluster, librechat, {**TALK, **STREAMED, "messages": second}, "Now")) == "Now"

    (room,) = await rooms(app)
    assert room.external_id == CONVERSATION
    gateway = app.state.edge.gateway
    page = await gateway.list_messages(await gateway.session("alice"), room.room_id, 20, None, None)
    assert [message.content for message in page.messages] == ["Hi", "Hello", "And now?", "Now"]


async def test_a_structured_title_gets_its_tool_or_its_schema(cluster: Cluster, librechat: httpx2.AsyncClient) -> None:
    shown = []
    for title in TITLES[1:]:
        await answered(cluster, librechat, title, "Greeting")
        context = cluster.domain.model.talks[-1].context
        assert context.turns[-1].content == STRUCTURED
        named, form = context.tool_choice, context.form
        shown.append(([tool.name for tool in context.tools], named and named.name, form and form.schema))
    schema = TOOL["function"]["parameters"]  # type: ignore[index]
    assert shown == [(["extract"], "extract", None), ([], None, schema)]

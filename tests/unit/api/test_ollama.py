"""Ollama's chat and models, through the unmodified ollama package."""

from __future__ import annotations

import json
from typing import Any

import httpx
import httpx2
import ollama
import pytest
from fastapi import FastAPI

from parlor.errors import CacheUnavailable, ContentTooLarge, Overloaded
from parlor.llm.ports import ModelCall, PromptTurn
from parlor.model.messages import Event, FinishReason
from parlor.model.parts import ReasoningPart, TextSpan
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import ROOM
from tests.unit.api.test_openai_chat import BROKEN, FAILED, ended, event, final

pytestmark = pytest.mark.unit

CHAT = "/api/chat"
SAID = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
ASKED: dict[str, Any] = {"model": "GPT4O", "messages": SAID}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def sdk(app: FastAPI, settings: Settings) -> ollama.AsyncClient:
    headers = {"Authorization": f"Bearer {token(settings)}"}
    return ollama.AsyncClient("http://parlor", headers=headers, transport=httpx.ASGITransport(app=app))


async def test_the_models_are_the_personas(sdk: ollama.AsyncClient, client: httpx2.AsyncClient) -> None:
    assert [model.model for model in (await sdk.list()).models] == ["GPT4O"]
    assert (await client.get("/api/version")).json()["version"]


@pytest.mark.parametrize("model", ["GPT4O", "GPT4O:latest"])
async def test_without_a_room_the_messages_go_to_the_model(
    sdk: ollama.AsyncClient, gateway: FakeGateway, model: str
) -> None:
    gateway.answering.message = final(parts=(ReasoningPart("Hm", 5), TextSpan(3)))
    gateway.answering.batches.put_nowait(None)
    answer = await sdk.chat(model, SAID, options={"temperature": 0.5, "num_predict": 9, "seed": 1})
    assert (answer.message.content, answer.message.thinking, answer.model) == ("Hi!", "Hm", model)
    assert (answer.done, answer.done_reason, answer.prompt_eval_count, answer.eval_count) == (True, "stop", 7, 2)
    turns = [PromptTurn("system", "Be brief."), PromptTurn("user", "Hello")]
    assert ("answer", "alice", ModelCall("GPT4O", turns, 0.5, 9)) in gateway.calls
    assert not any(call[0] in ("send_message", "create_room") for call in gateway.calls)


@pytest.mark.parametrize(("think", "thought"), [(None, "Hm"), (True, "Hm"), (False, "")])
async def test_a_stream_is_lines_and_then_the_end(
    sdk: ollama.AsyncClient, gateway: FakeGateway, think: bool | None, thought: str
) -> None:
    gateway.answering.batches.put_nowait([event("message.reasoning", text="Hm"), event("message.delta", text="H")])
    gateway.answering.batches.put_nowait([])
    gateway.answering.batches.put_nowait([ended(finish_reason=FinishReason.LENGTH)])
    parts = [part async for part in await sdk.chat("GPT4O", SAID, stream=True, think=think)]
    assert "".join(part.message.content or "" for part in parts) == "Hi!"
    assert "".join(part.message.thinking or "" for part in parts) == thought
    assert [part.done for part in parts].index(True) == len(parts) - 1
    assert (parts[-1].done_reason, parts[-1].prompt_eval_count, parts[-1].eval_count) == ("length", 7, 2)


async def test_lines_come_unless_they_are_not_wanted(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.answering.batches.put_nowait([event("message.delta", text="Hi!"), ended()])
    answer = await client.post(CHAT, json=ASKED)
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["message"]["content"] for line in lines] == ["", "Hi!", ""]
    gateway.answering.message = final()
    gateway.answering.batches.put_nowait(None)
    assert (await client.post(CHAT, json={**ASKED, "stream": False})).json()["message"]["content"] == "Hi!"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_last_user_message_is_sent_to_the_room_of_the_header(
    client: httpx2.AsyncClient, gateway: FakeGateway, stream: bool
) -> None:
    gateway.waited = final()
    gateway.subscription.batches.put_nowait([ended()])
    headers = {"Parlor-Room": ROOM, "Idempotency-Key": "k"}
    answer = await client.post(CHAT, json={**ASKED, "stream": stream}, headers=headers)
    assert answer.headers["parlor-room"] == ROOM
    assert "".join(json.loads(line)["message"]["content"] for line in answer.text.splitlines()) == "Hi!"
    (sent,) = [call for call in gateway.calls if call[0] == "send_message"]
    assert (sent[1], sent[2].content, sent[2].ai_persona, sent[2].idempotency.key) == (ROOM, "Hello", "GPT4O", "k")


@pytest.mark.parametrize(
    "batch",
    [
        [event("message.delta", text="H"), event("message.reset")],
        [event("message.deleted")],
        [Event("1-1", "room.deleted", b"{}")],
        [FAILED],
        [ended(finish_reason=FinishReason.INTERRUPTED)],
        CacheUnavailable(),
    ],
)
async def test_a_stream_that_cannot_go_on_ends_with_an_error(
    sdk: ollama.AsyncClient, gateway: FakeGateway, batch: Any
) -> None:
    gateway.answering.batches.put_nowait(batch)
    stream = await sdk.chat("GPT4O", SAID, stream=True)
    with pytest.raises(ollama.ResponseError):
        async for _ in stream:
            pass


async def test_a_reply_that_failed_is_an_error(sdk: ollama.AsyncClient, gateway: FakeGateway) -> None:
    gateway.answering.message = final(finish_reason=FinishReason.ERROR, error=BROKEN)
    gateway.answering.batches.put_nowait(None)
    with pytest.raises(ollama.ResponseError, match="The model failed") as refused:
        await sdk.chat("GPT4O", SAID)
    assert refused.value.status_code == 500


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"format": "xml"}, 400, "format"),
        ({"options": {"stop": ["x"]}}, 400, "stop"),
        ({"messages": [{"role": "user", "content": "x", "images": ["AA=="]}]}, 400, "PNG"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "no call"),
        ({"messages": [{"role": "user", "content": "\u0000"}]}, 400, "U+0000"),
        ({"messages": []}, 400, "messages"),
        ({"model": "nobody"}, 404, "nobody"),
    ],
)
async def test_what_parlor_cannot_do_is_refused(
    client: httpx2.AsyncClient, gateway: FakeGateway, changes: dict[str, Any], status: int, told: str
) -> None:
    answer = await client.post(CHAT, json={**ASKED, **changes})
    assert answer.status_code == status
    assert told in answer.json()["error"]
    assert not any(call[0] in ("answer", "send_message") for call in gateway.calls)


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/api/tags", {"Authorization": "Bearer x"}, None, 401),
        ("GET", "/api/nothing", {}, None, 404),
        ("PUT", "/api/tags", {}, None, 405),
        ("POST", CHAT, JSON, b"x" * 8_000_000, 413),
        ("POST", CHAT, {"Content-Type": "text/plain"}, b"{", 415),
        ("POST", CHAT, JSON, b"{", 400),
    ],
)
async def test_every_error_has_ollamas_form(
    client: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str], body: bytes | None, status: int
) -> None:
    answer = await client.request(method, path, headers=headers, content=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize(("error", "status"), [(ContentTooLarge("Too long"), 413), (Overloaded("Busy"), 503)])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_has_the_status_of_its_error(
    client: httpx2.AsyncClient, gateway: FakeGateway, error: Exception, status: int, stream: bool
) -> None:
    gateway.answering.refusal = error
    answer = await client.post(CHAT, json={**ASKED, "stream": stream})
    assert (answer.status_code, list(answer.json())) == (status, ["error"])

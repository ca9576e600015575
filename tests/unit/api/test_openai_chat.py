"""OpenAI's chat completions and models, through the unmodified openai package."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import openai
import pytest

from parlor.errors import CacheUnavailable, ContentTooLarge, RoomNotFound
from parlor.llm.ports import ModelCall, PromptTurn
from parlor.model.messages import Event, FinishReason, Message, ReplyError, Usage
from parlor.model.parts import ReasoningPart, TextSpan
from parlor.model.states import MessageState
from parlor.model.wire import encode, message_form
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import REPLY, ROOM, reply

pytestmark = pytest.mark.unit

SAID: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
]
USED = Usage(7, 2)


def event(kind: str, **data: Any) -> Event:
    return Event("1-1", kind, encode({"message_id": REPLY, "attempt": 1, "index": 0, "offset": 0, **data}), REPLY, 1)


def ended(kind: str = "message.completed", **changes: Any) -> Event:
    return event(kind, message=message_form(final(**changes)))


def final(**changes: Any) -> Message:
    about = {"content": "Hi!", "is_streaming": False, "state": MessageState.PENDING, "usage": USED, "attempt": 1}
    return reply(**{**about, "finish_reason": FinishReason.STOP, **changes})


BROKEN = ReplyError("llm-error", "The model failed")
FAILED = event("message.failed", message=message_form(final(finish_reason=FinishReason.ERROR, error=BROKEN)))
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
CHAT = "/openai/v1/chat/completions"


async def test_the_models_are_the_personas(gpt: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in gpt.models.list()] == ["GPT4O"]
    assert (await gpt.models.retrieve("GPT4O")).owned_by == "parlor"
    with pytest.raises(openai.NotFoundError) as refused:
        await gpt.models.retrieve("NOBODY")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


async def test_without_a_room_the_messages_go_to_the_model(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.answering.message = final()
    gateway.answering.batches.put_nowait(None)
    answer = await gpt.chat.completions.create(model="GPT4O", messages=SAID, temperature=0.5, max_tokens=9, seed=1)
    choice = answer.choices[0]
    assert (choice.message.content, choice.message.role, choice.finish_reason) == ("Hi!", "assistant", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (7, 2, 9)
    turns = [PromptTurn("system", "Be brief."), PromptTurn("user", "Hello")]
    assert ("answer", "alice", ModelCall("GPT4O", turns, 0.5, 9)) in gateway.calls
    assert not any(call[0] in ("send_message", "create_room") for call in gateway.calls)


async def test_a_stream_is_the_deltas_and_then_the_end(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    events = [event("message.delta", text="H"), event("message.delta", text="i!")]
    gateway.answering.batches.put_nowait(events)
    gateway.answering.batches.put_nowait([])
    gateway.answering.batches.put_nowait([ended()])
    chunks = [
        chunk
        async for chunk in await gpt.chat.completions.create(
            model="GPT4O", messages=SAID, stream=True, stream_options={"include_usage": True}
        )
    ]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hi!"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None, None, None, "stop"]
    usage = chunks[-1].usage
    assert usage is not None
    assert (chunks[-1].choices, usage.total_tokens) == ([], 9)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_the_helper_of_the_package_collects_a_stream(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.answering.batches.put_nowait([event("message.delta", text="H"), ended()])
    async with gpt.chat.completions.stream(model="GPT4O", messages=SAID) as stream:
        seen = [each.type async for each in stream]
        whole = await stream.get_final_completion()
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("Hi!", "stop")
    assert "content.delta" in seen


@pytest.mark.parametrize("name", [ROOM, ROOM.upper()])
async def test_the_last_user_message_is_sent_to_the_room_of_the_header(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, name: str
) -> None:
    gateway.waited = final()
    headers = {"Parlor-Room": name, "Idempotency-Key": "k"}
    raw = await gpt.chat.completions.with_raw_response.create(model="GPT4O", messages=SAID, extra_headers=headers)
    assert raw.headers["parlor-room"] == ROOM
    assert raw.parse().choices[0].message.content == "Hi!"
    (sent,) = [call for call in gateway.calls if call[0] == "send_message"]
    assert (sent[1], sent[2].content, sent[2].ai_persona, sent[2].idempotency.key) == (ROOM, "Hello", "GPT4O", "k")


@pytest.mark.parametrize("header", ["Parlor-Room", "X-OpenWebUI-Chat-Id", "X-Conversation-Id"])
async def test_an_external_id_gets_a_room(gpt: openai.AsyncOpenAI, gateway: FakeGateway, header: str) -> None:
    gateway.waited = final()
    chat = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
    await gpt.chat.completions.create(model="GPT4O", messages=SAID, extra_headers={header: chat})
    assert ("create_room", "alice", None, "GPT4O", None, chat) in gateway.calls


async def test_a_room_streams_its_reply(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.subscription.batches.put_nowait([event("message.created"), event("message.delta", text="Hi"), ended()])
    headers = {"Parlor-Room": ROOM}
    stream = await gpt.chat.completions.create(model="GPT4O", messages=SAID, stream=True, extra_headers=headers)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hi!"


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        ([event("message.delta", text="H"), event("message.reset")], "message-reset"),
        ([event("message.deleted")], "message-not-found"),
        ([Event("1-1", "room.deleted", b"{}")], "room-not-found"),
        (
            [FAILED],
            "llm-error",
        ),
        ([ended(finish_reason=FinishReason.INTERRUPTED)], "interrupted"),
        (CacheUnavailable(), "cache-unavailable"),
    ],
)
async def test_a_stream_that_cannot_go_on_ends_with_an_error(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, batch: Any, code: str
) -> None:
    gateway.subscription.batches.put_nowait(batch)
    headers = {"Parlor-Room": ROOM}
    stream = await gpt.chat.completions.create(model="GPT4O", messages=SAID, stream=True, extra_headers=headers)
    with pytest.raises(openai.APIError) as refused:
        async for _ in stream:
            pass
    assert refused.value.code == code


async def test_reasoning_comes_beside_the_text(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.answering.batches.put_nowait(
        [event("message.reasoning", text="Hm"), event("message.delta", text="Hi!"), ended()]
    )
    stream = await gpt.chat.completions.create(model="GPT4O", messages=SAID, stream=True)
    deltas = [chunk.choices[0].delta async for chunk in stream]
    assert "".join(delta.content or "" for delta in deltas) == "Hi!"
    assert "".join((delta.model_extra or {}).get("reasoning_content", "") for delta in deltas) == "Hm"
    gateway.answering.message = final(parts=(ReasoningPart("Hm", 5), TextSpan(3)))
    gateway.answering.batches.put_nowait(None)
    whole = await gpt.chat.completions.create(model="GPT4O", messages=SAID)
    assert (whole.choices[0].message.model_extra or {})["reasoning_content"] == "Hm"


async def test_a_reset_before_any_text_is_no_error(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.subscription.batches.put_nowait([event("message.reset"), event("message.delta", text="Hi!"), ended()])
    headers = {"Parlor-Room": ROOM}
    stream = await gpt.chat.completions.create(model="GPT4O", messages=SAID, stream=True, extra_headers=headers)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hi!"


async def test_a_reply_that_failed_is_not_asked_for_again(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.waited = final(finish_reason=FinishReason.ERROR, error=BROKEN)
    asking = gpt.with_options(max_retries=2).chat.completions.create
    with pytest.raises(openai.InternalServerError, match="The model failed") as refused:
        await asking(model="GPT4O", messages=SAID, extra_headers={"Parlor-Room": ROOM})
    assert refused.value.code == "llm-error"
    assert [call[0] for call in gateway.calls].count("send_message") == 1


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"n": 2}, "n"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": "x"}, "stop"),
        (
            {"messages": [IMAGE]},
            "messages[0].content[0].image_url",
        ),
        ({"messages": []}, "messages"),
        ({"temperature": 9}, "temperature"),
        ({"model": "NOBODY"}, "model"),
    ],
)
async def test_what_parlor_cannot_do_is_refused_by_name(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, changes: dict[str, Any], param: str
) -> None:
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as refused:
        await gpt.chat.completions.create(**{"model": "GPT4O", "messages": SAID, **changes})
    assert refused.value.param == param
    assert not any(call[0] in ("answer", "send_message") for call in gateway.calls)


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "user", "content": " "}], "messages[0].content"),
        ([{"role": "user", "content": "\u0000"}], "messages[0].content"),
        ([{"role": "system", "content": "x"}], "messages"),
    ],
)
async def test_a_room_needs_a_user_message_with_text(gpt: openai.AsyncOpenAI, messages: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await gpt.chat.completions.create(model="GPT4O", messages=messages, extra_headers={"Parlor-Room": ROOM})
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "kind", "code"),
    [
        ("GET", "/openai/v1/models", {"Authorization": "Bearer x"}, 401, "authentication_error", "invalid_api_key"),
        ("GET", "/openai/v1/nothing", {}, 404, "invalid_request_error", "not-found"),
        ("PUT", "/openai/v1/models", {}, 405, "invalid_request_error", "method-not-allowed"),
        (
            "POST",
            "/openai/v1/chat/completions",
            {"Content-Type": "text/plain"},
            415,
            "invalid_request_error",
            "unsupported-media-type",
        ),
        (
            "POST",
            "/openai/v1/chat/completions",
            {"Content-Type": "application/json"},
            400,
            "invalid_request_error",
            "invalid-request",
        ),
    ],
)
async def test_every_error_has_openais_form(
    client: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str], status: int, kind: str, code: str
) -> None:
    answer = await client.request(method, path, headers=headers, content=b"{" if method == "POST" else None)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (status, kind, code)
    assert error.keys() == {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    assert {"x-request-id", "openai-processing-ms"} <= answer.headers.keys()


async def test_the_rate_is_told_as_openai_tells_it(gpt: openai.AsyncOpenAI) -> None:
    raw = await gpt.models.with_raw_response.list()
    limit, left = raw.headers["x-ratelimit-limit-requests"], raw.headers["x-ratelimit-remaining-requests"]
    assert 0 <= int(left) < int(limit)
    assert raw.headers["x-ratelimit-reset-requests"].endswith("s")
    assert "ratelimit" not in raw.headers


@pytest.mark.parametrize("error", [RoomNotFound(), ContentTooLarge("Too long")])
async def test_a_refusal_has_the_status_of_its_error(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, error: Exception
) -> None:
    gateway.answering.refusal = error
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as refused:
            await gpt.chat.completions.create(model="GPT4O", messages=SAID, stream=stream)
        assert refused.value.code == error.code  # type: ignore[attr-defined]


async def test_a_client_that_hangs_up_closes_the_answer(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.answering.batches.put_nowait([event("message.delta", text="H"), ended()])
    async with await gpt.chat.completions.create(model="GPT4O", messages=SAID, stream=True) as stream:
        await anext(aiter(stream))
    async with asyncio.timeout(5):
        await gateway.answering.closed.wait()

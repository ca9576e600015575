"""Anthropic's messages, through the unmodified anthropic package."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import pytest
from fastapi import FastAPI

from parlor.errors import CacheUnavailable, ContentTooLarge, Overloaded, RoomNotFound
from parlor.llm.ports import ModelCall, PromptTurn
from parlor.llm.tokens import estimate_prompt
from parlor.model.messages import Event, FinishReason
from parlor.model.parts import ReasoningPart, TextSpan
from parlor.model.wire import message_form
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import ROOM
from tests.unit.api.test_openai_chat import BROKEN, FAILED, ended, event, final

pytestmark = pytest.mark.unit

SAID: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]}]
ASKED: dict[str, Any] = {"model": "GPT4O", "max_tokens": 9, "messages": SAID}
MESSAGES = "/anthropic/v1/messages"
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}


@pytest.fixture
async def sdk(app: FastAPI, settings: Settings) -> AsyncIterator[anthropic.AsyncAnthropic]:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
    async with anthropic.AsyncAnthropic(
        api_key=token(settings), base_url="http://parlor/anthropic", http_client=http, max_retries=0
    ) as made:
        yield made


async def test_without_a_room_the_messages_go_to_the_model(sdk: anthropic.AsyncAnthropic, gateway: FakeGateway) -> None:
    gateway.answering.message = final()
    gateway.answering.batches.put_nowait(None)
    system = [{"type": "text", "text": "Be brief."}]
    more: Any = {"system": system, "extra_body": {"temperature": 0.5, "top_k": 4}}
    answer = await sdk.messages.create(**ASKED, **more)
    assert [block.model_dump(include={"type", "text"}) for block in answer.content] == [{"type": "text", "text": "Hi!"}]
    assert (answer.role, answer.stop_reason, answer.model) == ("assistant", "end_turn", "GPT4O")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 2)
    turns = [PromptTurn("system", "Be brief."), PromptTurn("user", "Hello")]
    assert ("answer", "alice", ModelCall("GPT4O", turns, 0.5, 9)) in gateway.calls
    assert not any(call[0] in ("send_message", "create_room") for call in gateway.calls)


async def test_bearer_is_taken_too(app: FastAPI, settings: Settings) -> None:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
    async with anthropic.AsyncAnthropic(
        auth_token=token(settings), base_url="http://parlor/anthropic", http_client=http, max_retries=0
    ) as made:
        assert (await made.messages.count_tokens(model="GPT4O", messages=SAID)).input_tokens > 0


async def test_tokens_are_counted_with_the_personas_own_prompt(sdk: anthropic.AsyncAnthropic) -> None:
    counted = await sdk.messages.count_tokens(model="GPT4O", messages=SAID, system="Be brief.")
    told = [PromptTurn("system", "secret prompt\n\nBe brief."), PromptTurn("user", "Hello")]
    assert counted.input_tokens == estimate_prompt(told)


async def test_a_stream_is_blocks_of_thinking_and_text(sdk: anthropic.AsyncAnthropic, gateway: FakeGateway) -> None:
    thought = [event("message.reasoning", text="H"), event("message.reasoning", text="m")]
    gateway.answering.batches.put_nowait(thought)
    gateway.answering.batches.put_nowait([])
    gateway.answering.batches.put_nowait([event("message.delta", text="H"), ended()])
    async with sdk.messages.stream(**ASKED) as stream:
        seen = [each.type async for each in stream]
        whole = await stream.get_final_message()
    # The package adds events of its own, which repeat these.
    assert [kind for kind in seen if kind not in ("text", "thinking")] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    thinking, text = whole.content
    assert thinking.type == "thinking"
    assert thinking.thinking == "Hm"
    assert text.type == "text"
    assert text.text == "Hi!"
    assert (whole.stop_reason, whole.usage.input_tokens, whole.usage.output_tokens) == ("end_turn", 7, 2)


@pytest.mark.parametrize(("asked", "kinds"), [({}, ["thinking", "text"]), ({"type": "disabled"}, ["text"])])
async def test_thinking_can_be_left_out(
    sdk: anthropic.AsyncAnthropic, gateway: FakeGateway, asked: Any, kinds: list[str]
) -> None:
    wanted = {"thinking": asked} if asked else {}
    gateway.answering.message = final(parts=(ReasoningPart("Hm", 5), TextSpan(3)))
    gateway.answering.batches.put_nowait(None)
    whole = await sdk.messages.create(**ASKED, **wanted)
    assert [block.type for block in whole.content] == kinds
    gateway.answering.batches.put_nowait([event("message.reasoning", text="Hm"), event("message.delta", text="Hi!")])
    gateway.answering.batches.put_nowait([ended()])
    async with sdk.messages.stream(**ASKED, **wanted) as stream:
        assert [block.type for block in (await stream.get_final_message()).content] == kinds


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (FinishReason.LENGTH, "max_tokens"),
        (FinishReason.REASONING_LIMIT, "max_tokens"),
        (FinishReason.CONTENT_FILTER, "refusal"),
        (FinishReason.STOPPED, "end_turn"),
    ],
)
async def test_why_it_ended_is_told(
    sdk: anthropic.AsyncAnthropic, gateway: FakeGateway, finish: FinishReason, reason: str
) -> None:
    gateway.waited = final(finish_reason=finish)
    gateway.subscription.batches.put_nowait([ended(finish_reason=finish)])
    headers = {"Parlor-Room": ROOM}
    assert (await sdk.messages.create(**ASKED, extra_headers=headers)).stop_reason == reason
    async with sdk.messages.stream(**ASKED, extra_headers=headers) as stream:
        assert (await stream.get_final_message()).stop_reason == reason


async def test_the_last_user_message_is_sent_to_the_room_of_the_header(
    sdk: anthropic.AsyncAnthropic, gateway: FakeGateway
) -> None:
    gateway.waited = final()
    headers = {"Parlor-Room": ROOM, "Idempotency-Key": "k"}
    raw = await sdk.messages.with_raw_response.create(**ASKED, extra_headers=headers)
    assert raw.headers["parlor-room"] == ROOM
    assert raw.headers["request-id"] == raw.headers["x-request-id"]
    (sent,) = [call for call in gateway.calls if call[0] == "send_message"]
    assert (sent[1], sent[2].content, sent[2].ai_persona, sent[2].idempotency.key) == (ROOM, "Hello", "GPT4O", "k")


@pytest.mark.parametrize(
    ("batch", "kind"),
    [
        ([event("message.delta", text="H"), event("message.reset")], "overloaded_error"),
        ([event("message.deleted")], "not_found_error"),
        ([Event("1-1", "room.deleted", b"{}")], "not_found_error"),
        ([FAILED], "api_error"),
        ([ended(finish_reason=FinishReason.INTERRUPTED)], "api_error"),
        (CacheUnavailable(), "overloaded_error"),
    ],
)
async def test_a_stream_that_cannot_go_on_ends_with_an_error(
    sdk: anthropic.AsyncAnthropic, gateway: FakeGateway, batch: Any, kind: str
) -> None:
    gateway.subscription.batches.put_nowait(batch)
    stream = await sdk.messages.create(**ASKED, stream=True, extra_headers={"Parlor-Room": ROOM})
    with pytest.raises(anthropic.APIStatusError) as refused:
        async for _ in stream:
            pass
    body: Any = refused.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)


async def test_a_reply_that_failed_is_not_asked_for_again(sdk: anthropic.AsyncAnthropic, gateway: FakeGateway) -> None:
    gateway.waited = final(finish_reason=FinishReason.ERROR, error=BROKEN)
    asking = sdk.with_options(max_retries=2).messages.create
    with pytest.raises(anthropic.InternalServerError, match="The model failed"):
        await asking(**ASKED, extra_headers={"Parlor-Room": ROOM})
    assert [call[0] for call in gateway.calls].count("send_message") == 1


async def test_a_room_that_is_gone_while_one_waits_is_told_in_the_same_form(
    sdk: anthropic.AsyncAnthropic, gateway: FakeGateway
) -> None:
    gateway.wait_fails = RoomNotFound()
    with pytest.raises(anthropic.NotFoundError) as refused:
        await sdk.messages.create(**ASKED, extra_headers={"Parlor-Room": ROOM})
    assert refused.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "changes",
    [
        {"stop_sequences": ["x"]},
        {"system": [IMAGE]},
        {"messages": [{"role": "user", "content": [IMAGE]}]},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "thinking", "thinking": "", "signature": ""}]}]},
        {"messages": [{"role": "user", "content": "\u0000"}]},
        {"messages": []},
        {"max_tokens": 0},
        {"extra_body": {"temperature": 1.5}},
    ],
)
async def test_what_parlor_cannot_do_is_refused(
    sdk: anthropic.AsyncAnthropic, gateway: FakeGateway, changes: dict[str, Any]
) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        await sdk.messages.create(**{**ASKED, **changes})
    body: Any = refused.value.body
    assert body["error"]["type"] == "invalid_request_error"
    assert not any(call[0] == "send_message" for call in gateway.calls)


async def test_max_tokens_is_required(client: httpx2.AsyncClient) -> None:
    answer = await client.post(MESSAGES, json={"model": "GPT4O", "messages": SAID})
    assert answer.status_code == 400
    assert "max_tokens" in answer.json()["error"]["message"]


async def test_thinking_that_comes_back_is_left_out(sdk: anthropic.AsyncAnthropic, gateway: FakeGateway) -> None:
    gateway.answering.message = final()
    gateway.answering.batches.put_nowait(None)
    blocks = [{"type": "thinking", "thinking": "Hm", "signature": ""}, {"type": "text", "text": "Hi!"}]
    said: Any = [*SAID, {"role": "assistant", "content": blocks}, {"role": "user", "content": "And?"}]
    await sdk.messages.create(**{**ASKED, "messages": said})
    (call,) = [call[2] for call in gateway.calls if call[0] == "answer"]
    assert [turn.content for turn in call.turns] == ["Hello", "Hi!", "And?"]


async def test_a_model_that_there_is_not(sdk: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="claude-x"):
        await sdk.messages.create(**{**ASKED, "model": "claude-x"})
    with pytest.raises(anthropic.NotFoundError, match="claude-x"):
        await sdk.messages.count_tokens(model="claude-x", messages=SAID)


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "kind"),
    [
        ("POST", MESSAGES, {"Authorization": "Bearer x", **JSON}, b"{}", 401, "authentication_error"),
        ("GET", "/anthropic/v1/nothing", {}, None, 404, "not_found_error"),
        ("GET", MESSAGES, {}, None, 405, "invalid_request_error"),
        ("POST", MESSAGES, JSON, b"x" * 8_000_000, 413, "request_too_large"),
        ("POST", MESSAGES, {"Content-Type": "text/plain"}, b"{", 415, "invalid_request_error"),
        ("POST", MESSAGES, JSON, b"{", 400, "invalid_request_error"),
    ],
)
async def test_every_error_has_anthropics_form(
    client: httpx2.AsyncClient,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes | None,
    status: int,
    kind: str,
) -> None:
    answer = await client.request(method, path, headers=headers, content=body)
    told = answer.json()
    assert (answer.status_code, told["type"], told["error"]["type"]) == (status, "error", kind)
    assert told["error"].keys() == {"type", "message"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["request-id"] == told["request_id"]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (RoomNotFound(), 404, "not_found_error"),
        (ContentTooLarge("Too long"), 413, "request_too_large"),
        (Overloaded("Busy"), 503, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_has_the_status_of_its_error(
    sdk: anthropic.AsyncAnthropic, gateway: FakeGateway, error: Exception, status: int, kind: str, stream: bool
) -> None:
    gateway.answering.refusal = error
    with pytest.raises(anthropic.APIStatusError) as refused:
        await sdk.messages.create(**ASKED, stream=stream)
    body: Any = refused.value.body
    assert (refused.value.status_code, body["error"]["type"]) == (status, kind)


async def test_too_many_streams_are_refused(sdk: anthropic.AsyncAnthropic, app: FastAPI) -> None:
    slots = [app.state.edge.streams.take(f"somebody-{number}") for number in range(2)]
    with pytest.raises(anthropic.APIStatusError) as refused:
        await sdk.messages.create(**ASKED, stream=True)
    assert refused.value.status_code in (429, 503)
    for slot in slots:
        slot.release()


async def test_an_answer_that_failed_without_a_room(sdk: anthropic.AsyncAnthropic, gateway: FakeGateway) -> None:
    message = message_form(final(finish_reason=FinishReason.ERROR))
    failed = event("message.failed", message=message, error={"code": "llm-error", "detail": "Nothing came"})
    gateway.answering.batches.put_nowait([failed])
    stream = await sdk.messages.create(**ASKED, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="Nothing came"):
        async for _ in stream:
            pass

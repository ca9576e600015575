"""OpenAI's responses through the unmodified openai package, and held to the schema of Open Responses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import llm_comply  # type: ignore[import-untyped]
import msgspec
import openai
import pytest
from llm_comply.schema import SpecLoader  # type: ignore[import-untyped]

from parlor.errors import CacheUnavailable
from parlor.llm.ports import ModelCall, PromptTurn
from parlor.model.messages import Event, FinishReason, Message, ReplyError, Usage
from parlor.model.offers import AnswerForm, OfferedTool, ToolChoice
from parlor.model.requests import OnBusy
from parlor.model.states import MessageState
from parlor.model.tools import PromptCall, ToolState
from parlor.model.wire import encode, message_form
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import CALL, REPLY, ROOM, reply

pytestmark = pytest.mark.unit

SPEC = SpecLoader(str(Path(llm_comply.__file__).parent / "specs" / "openresponses.json"))
CONVERSATION = f"conv_{ROOM}"
HISTORY: list[Any] = [
    {"type": "message", "role": "developer", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
    {"role": "user", "content": [{"type": "input_text", "text": "Bye"}]},
]


def event(kind: str, **data: Any) -> Event:
    about = {"message_id": REPLY, "attempt": 1, "index": 0, "offset": 0}
    return Event("1-1", kind, encode({**about, **data}), REPLY, 1)


def final(**changes: Any) -> Message:
    about = {"content": "Hi!", "is_streaming": False, "state": MessageState.PENDING, "usage": Usage(7, 2), "attempt": 1}
    return reply(**{**about, "finish_reason": FinishReason.STOP, **changes})


def ended(kind: str = "message.completed", **changes: Any) -> Event:
    return event(kind, message=message_form(final(**changes)))


IMAGE = {
    "role": "user",
    "content": [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": "data:,"}],
}
BROKEN = ReplyError("llm-error", "The model failed")


async def test_a_conversation_is_a_room(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.waited = final()
    metadata = {"parlor_on_busy": "interrupt", "mine": "1"}
    key, asked = {"Idempotency-Key": "k"}, {"input": HISTORY, "conversation": CONVERSATION, "metadata": metadata}
    response = await gpt.responses.create(model="GPT4O", extra_headers=key, **asked)  # type: ignore[call-overload]
    assert (response.output_text, response.status, response.id) == ("Hi!", "completed", f"resp_{REPLY}")
    assert response.conversation is not None
    assert (response.conversation.id, response.metadata) == (CONVERSATION, metadata)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (7, 2, 9)
    (sent,) = [call for call in gateway.calls if call[0] == "send_message"]
    assert (sent[1], sent[2].content, sent[2].on_busy, sent[2].idempotency.key) == (ROOM, "Bye", OnBusy.INTERRUPT, "k")


async def test_a_failure_behind_the_send_is_not_to_be_tried_again(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    """OpenAI's packages repeat a request that was answered with 503, which would be another message."""
    gateway.wait_fails = CacheUnavailable()
    body = {"model": "GPT4O", "input": "Bye", "conversation": CONVERSATION}
    answer = await client.post("/openai/v1/responses", json=body)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")


async def test_one_message_begins_a_room(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.waited = final()
    response = await gpt.responses.create(model="GPT4O", input="Hello")
    assert response.conversation is not None
    assert response.conversation.id == CONVERSATION
    assert ("create_room", "alice", None, "GPT4O", None, None) in gateway.calls


@pytest.mark.parametrize(
    ("asked", "turns"),
    [
        ({"input": "Hello", "store": False}, [PromptTurn("user", "Hello")]),
        (
            {"input": "Hello", "instructions": "Sing.", "store": False},
            [PromptTurn("system", "Sing."), PromptTurn("user", "Hello")],
        ),
        (
            {"input": HISTORY, "store": False},
            [
                PromptTurn("system", "Be brief."),
                PromptTurn("user", "Hello"),
                PromptTurn("assistant", "Hi"),
                PromptTurn("user", "Bye"),
            ],
        ),
    ],
)
async def test_what_is_not_stored_goes_to_the_model_alone_and_says_so(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, asked: dict[str, Any], turns: list[PromptTurn]
) -> None:
    gateway.answering.message = final()
    gateway.answering.batches.put_nowait(None)
    response = await gpt.responses.create(model="GPT4O", temperature=0.5, max_output_tokens=9, **asked)
    assert (response.output_text, response.to_dict()["store"], response.conversation) == ("Hi!", False, None)
    assert ("answer", "alice", ModelCall("GPT4O", turns, 0.5, 9)) in gateway.calls
    assert not any(call[0] in ("send_message", "create_room") for call in gateway.calls)


async def test_a_history_begins_a_room(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.waited = final()
    key = {"Idempotency-Key": "k"}
    response = await gpt.responses.create(model="GPT4O", input=HISTORY, instructions="Sing.", extra_headers=key)
    assert response.conversation is not None
    sent = [call[2] for call in gateway.calls if call[0] == "send_message"]
    assert [(each.sender, each.content, each.reply, each.idempotency.key) for each in sent] == [
        ("SYSTEM", "Sing.", "none", "k#0"),
        ("SYSTEM", "Be brief.", "none", "k#1"),
        ("USER", "Hello", "none", "k#2"),
        ("AI", "Hi", "none", "k#3"),
        ("USER", "Bye", "auto", "k"),
    ]


TOOL = {"type": "function", "name": "pay", "description": "Pays", "parameters": {"type": "object"}, "strict": True}


async def test_tools_are_called_by_whoever_brings_them(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    call = msgspec.structs.replace(CALL, state=ToolState.APPROVED)
    gateway.answering.message = final(content="", parts=(call,))
    gateway.answering.batches.put_nowait(None)
    said: Any = [
        {"role": "user", "content": "Pay"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "pay", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "pay", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "Paid"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "Not paid"}]},
    ]
    choice: Any = {"type": "function", "name": "pay"}
    response = await gpt.responses.create(model="GPT4O", input=said, tools=[TOOL], tool_choice=choice)  # type: ignore[list-item]
    (item,) = response.output
    assert item.type == "function_call"
    assert (item.call_id, item.name, item.arguments) == ("call_0f", "pay", CALL.arguments)
    assert response.to_dict()["tools"] == [TOOL]
    (asked,) = [each[2] for each in gateway.calls if each[0] == "answer"]
    assert asked.turns == [
        PromptTurn("user", "Pay"),
        PromptTurn("assistant", "", calls=(PromptCall("c1", "pay", "{}"), PromptCall("c2", "pay", "{}"))),
        PromptTurn("tool", "Paid", call_id="c1"),
        PromptTurn("tool", "Not paid", call_id="c2"),
    ]
    assert asked.tools == (OfferedTool("pay", "Pays", {"type": "object"}),)
    assert asked.tool_choice == ToolChoice("named", "pay")


async def test_the_form_of_an_answer_is_asked_for(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.answering.message = final(content="{}")
    gateway.answering.batches.put_nowait(None)
    form: Any = {"format": {"type": "json_schema", "name": "tea", "schema": {"type": "object"}, "strict": True}}
    response = await gpt.responses.create(model="GPT4O", input="Hello", text=form)
    assert response.to_dict()["store"] is False
    (asked,) = [each[2] for each in gateway.calls if each[0] == "answer"]
    assert asked.form == AnswerForm({"type": "object"}, "tea", strict=True)


async def test_a_stream_has_every_event_in_order_and_numbered(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    deltas = [event("message.delta", text="H"), event("message.delta", text="i", offset=1)]
    gateway.subscription.batches.put_nowait([event("message.created"), *deltas, ended()])
    stream = await gpt.responses.create(model="GPT4O", input="Hello", conversation=CONVERSATION, stream=True)
    events = [each async for each in stream]
    assert [each.type for each in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 3,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [each.sequence_number for each in events] == list(range(11))
    assert "".join(each.delta for each in events if each.type == "response.output_text.delta") == "Hi!"


async def test_the_helper_of_the_package_collects_a_stream(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.subscription.batches.put_nowait([event("message.delta", text="Hi"), ended()])
    async with gpt.responses.stream(model="GPT4O", input="Hello", conversation=CONVERSATION) as stream:
        async for _ in stream:
            pass
        whole = await stream.get_final_response()
    assert (whole.output_text, whole.status) == ("Hi!", "completed")


@pytest.mark.parametrize(
    ("last", "status", "reason"),
    [
        (ended(finish_reason=FinishReason.LENGTH), "incomplete", "max_output_tokens"),
        (ended(finish_reason=FinishReason.CONTENT_FILTER), "incomplete", "content_filter"),
        (ended("message.failed", finish_reason=FinishReason.ERROR, error=BROKEN), "failed", "llm-error"),
        (ended(finish_reason=FinishReason.INTERRUPTED), "failed", "interrupted"),
        (event("message.reset"), "failed", "message-reset"),
        (event("message.deleted"), "failed", "message-not-found"),
        (Event("1-1", "room.deleted", b"{}"), "failed", "room-not-found"),
    ],
)
async def test_a_reply_that_is_not_whole_ends_as_such(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, last: Event, status: str, reason: str
) -> None:
    gateway.subscription.batches.put_nowait([event("message.delta", text="Hi"), last])
    stream = await gpt.responses.create(model="GPT4O", input="Hello", conversation=CONVERSATION, stream=True)
    events: list[Any] = [each async for each in stream]
    response = events[-1].response
    assert (events[-1].type, response.status) == (f"response.{status}", status)
    told = response.error.code if status == "failed" else response.incomplete_details.reason
    assert told == reason
    assert response.output_text.startswith("" if reason.endswith("not-found") else "Hi")


async def test_a_stream_that_is_cut_ends_with_an_error(gpt: openai.AsyncOpenAI, gateway: FakeGateway) -> None:
    gateway.subscription.batches.put_nowait([event("message.delta", text="Hi")])
    gateway.subscription.batches.put_nowait(CacheUnavailable())
    stream = await gpt.responses.create(model="GPT4O", input="Hello", conversation=CONVERSATION, stream=True)
    events: list[Any] = [each async for each in stream]
    assert (events[-1].type, events[-1].code) == ("error", "cache-unavailable")


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")  # In the suite's own code.
@pytest.mark.parametrize("finish", [FinishReason.STOP, FinishReason.LENGTH, FinishReason.ERROR])
async def test_a_response_has_the_form_of_open_responses(
    client: httpx2.AsyncClient, gateway: FakeGateway, finish: FinishReason
) -> None:
    gateway.waited = final(finish_reason=finish, error=BROKEN if finish is FinishReason.ERROR else None)
    body = {"model": "GPT4O", "input": "Hello", "conversation": CONVERSATION}
    answer = await client.post("/openai/v1/responses", json=body)
    assert SPEC.validate(answer.json(), "ResponseResource") == []


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"previous_response_id": f"resp_{REPLY}"}, "previous_response_id"),
        ({"background": True, "store": False}, "background"),
        ({"background": True, "text": {"format": {"type": "json_object"}}, "conversation": None}, "background"),
        ({"instructions": "Sing."}, "instructions"),
        ({"tools": [{"type": "web_search_preview"}]}, "tools"),
        ({"tools": [{"type": "function", "name": "f"}] * 2, "conversation": None}, "tools[1]"),
        ({"text": {"format": {"type": "json_schema", "name": "f"}}}, "text"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tools": [{"type": "function", "name": "f", "parameters": {}}]}, "tools"),
        ({"text": {"format": {"type": "json_object"}}}, "text"),
        ({"model": "NOBODY"}, "model"),
        ({"input": " "}, "input"),
        ({"input": [IMAGE]}, "input[0].content[1].image_url"),
        ({"input": [IMAGE], "conversation": None}, "input[0].content[1].image_url"),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"metadata": {"parlor_on_busy": "never"}}, "metadata.parlor_on_busy"),
    ],
)
async def test_what_parlor_cannot_do_is_refused_by_name(
    gpt: openai.AsyncOpenAI, gateway: FakeGateway, changes: dict[str, Any], param: str
) -> None:
    asked = {"model": "GPT4O", "input": "Hello", "conversation": CONVERSATION, **changes}
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as refused:
        await gpt.responses.create(**asked)
    assert refused.value.param == param
    assert not any(call[0] in ("answer", "send_message", "create_room") for call in gateway.calls)


@pytest.mark.parametrize("path", ["compact", "input_tokens", "resp_1"])
async def test_a_call_that_is_not_there_is_not_found(client: httpx2.AsyncClient, path: str) -> None:
    """Clients ask for some to see whether a server has them."""
    answer = await client.post(f"/openai/v1/responses/{path}", json={})
    assert answer.status_code == (405 if path == "resp_1" else 404)
    assert answer.json()["error"]["message"]

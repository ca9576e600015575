"""The fast answers and the documented models are the same JSON."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest
from fastapi import Response
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from api import answers, message_schemas, room_schemas, schemas
from api.rates import Limits
from api.usage_answers import limits_form, usage_answer
from api.usage_schemas import ChatUsageResponse
from parlor.llm.ports import Persona
from parlor.model.access import DailyUse, StreamTicket
from parlor.model.ids import AccountId
from parlor.model.messages import FinishReason, Message, MessageList, MessagePage, Usage
from parlor.model.parts import FilePart, ReasoningPart, TextSpan, ToolCallPart
from parlor.model.requests import (
    DeleteOutcome,
    DeleteReceipt,
    DependencyHealth,
    EditReceipt,
    SendReceipt,
    StateReport,
    Transition,
)
from parlor.model.rooms import RoomMemory, RoomPage
from parlor.model.states import MessageState
from parlor.model.tools import ToolResult, ToolState
from parlor.settings.limits import LimitSettings
from parlor.store.files import FileUse
from tests.unit.api.fake_budgets import STANDINGS
from tests.unit.api.samples import CURSOR, MESSAGE, message, reply, room
from tests.unit.fake_clock import NOW_MS, FakeClock

pytestmark = pytest.mark.unit

CALL = ToolCallPart("c", "t", "T", '{"a":[1,"ü"],"b":{}}', "sha256:0", ToolState.DONE, result=ToolResult("ok"))
FULL = reply(
    content="So it is",
    finish_reason=FinishReason.LENGTH,
    usage=Usage(1, 2),
    metadata={"k": ["ü", {"n": 1.5}]},
    is_streaming=False,
    parts=(ReasoningPart("hm", 5), TextSpan(2), CALL, FilePart("f", "a", "text/plain", 1), TextSpan(6)),
)

CASES: list[tuple[type[BaseModel], Response]] = [
    (room_schemas.ChatRoomCreateResponse, answers.room_answer(room())),
    (room_schemas.ChatRoomUpdateResponse, answers.room_answer(room(last_message_at=NOW_MS + 1))),
    (room_schemas.ChatRoomDeleteResponse, answers.room_answer(room())),
    (room_schemas.ChatRoomResponse, answers.room_answer(room())),
    (room_schemas.ChatRoomListResponse, answers.room_page(RoomPage([room(), room()], 2, None, CURSOR))),
    (message_schemas.ChatMessageResponse, answers.message_answer(FULL)),
    (
        message_schemas.ChatMessageListResponse,
        answers.message_page(MessagePage([message(), FULL], False, None, 0, CURSOR)),
    ),
    (
        message_schemas.ChatMessageSendResponse,
        answers.send_answer(SendReceipt(message(), FULL, CURSOR, False), 201, {}),
    ),
    (
        message_schemas.ChatMessageSendResponse,
        answers.send_answer(SendReceipt(message(), None, CURSOR, False), 201, {}),
    ),
    (message_schemas.ChatMessageEditResponse, answers.edit_answer(EditReceipt(message(), FULL, CURSOR))),
    (message_schemas.ChatMessageEditResponse, answers.edit_answer(EditReceipt(message(), None, CURSOR))),
    (message_schemas.ChatMessageVariantsResponse, answers.message_list("variants", MessageList([FULL, reply()], None))),
    (message_schemas.ChatRoomQueueResponse, answers.message_list("messages", MessageList([message()], "5"))),
    (room_schemas.ChatRoomMemoryResponse, answers.memory_answer(RoomMemory("summary", 7, NOW_MS, 2))),
    (room_schemas.ChatRoomMemoryResponse, answers.memory_answer(RoomMemory("", 0, None, 0))),
    (
        ChatUsageResponse,
        usage_answer(
            date(2026, 11, 1),
            date(2026, 11, 30),
            "UTC",
            [DailyUse(5, "2026-11-23", 1, 2, 3)],
            limits_form(AccountId("alice"), Limits(LimitSettings(), FakeClock()), STANDINGS, 3, FileUse(1, 2)),
        ),
    ),
    (schemas.EventTicketResponse, answers.ticket_answer(StreamTicket("17-abc", NOW_MS))),
    (
        message_schemas.ChatMessageDeleteResponse,
        answers.delete_answer(DeleteReceipt(MESSAGE, MessageState.DELETED, DeleteOutcome.CANCELLED)),
    ),
    (room_schemas.ChatStateResponse, answers.state_answer(StateReport("SENT", [Transition(NOW_MS, "A", "B", "room")]))),
    (schemas.ChatPersonaListResponse, answers.persona_list([Persona("a", "b", "c", "d", "e")])),
    (schemas.HealthResponse, answers.health_answer([DependencyHealth("redis", True, "ok")])),
]


@pytest.mark.parametrize(("model", "answer"), CASES)
def test_an_answer_is_what_its_model_documents(model: type[BaseModel], answer: Response) -> None:
    read = model.model_validate_json(bytes(answer.body))  # the models forbid what they do not name
    assert msgspec.json.decode(answer.body) == read.model_dump(mode="json", by_alias=True)
    assert msgspec.json.decode(answer.body)["errorCode"] == 0


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers(0, 4_102_444_800_000))
def test_any_text_and_time_come_out_as_they_went_in(content: str, at: int) -> None:
    sent: Message = message(content=content, timestamp=at)
    read = message_schemas.ChatMessageResponse.model_validate_json(bytes(answers.message_answer(sent).body))
    assert read.content == content
    assert read.timestamp.endswith(f".{at % 1000:03d}Z")
    assert len(read.timestamp) == len("2026-11-23T03:18:05.042Z")

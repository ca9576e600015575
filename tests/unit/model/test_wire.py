"""How rooms and messages look to clients, and how documents are stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import Durability, FinishReason, Message, MessageDoc, ReplyError, SenderType, Usage
from parlor.model.rooms import Room
from parlor.model.states import MessageState, RoomState
from parlor.model.wire import encode, message_form, room_form, timestamp

pytestmark = pytest.mark.unit

ROOM = Room(RoomId("r"), "Title", "GPT4O", 0, None, 0, RoomState.PENDING, 0)
MESSAGE = Message(
    message_id=MessageId("m"),
    room_id=RoomId("r"),
    seq=2,
    sender_type=SenderType.AI,
    content="Grüße\u2028\n🙂",
    timestamp=1_795_403_730_123,
    state=MessageState.SENT,
    durability=Durability.PERSISTED,
    is_streaming=False,
    attempt=1,
    parent_message_id=MessageId("p"),
    finish_reason=FinishReason.STOP,
    usage=Usage(3, 5),
    metadata={"a": [1, None]},
)


def test_times_are_rfc_3339_in_utc_with_milliseconds() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1_795_421_730_123) == "2026-11-23T08:15:30.123Z"
    assert timestamp(1_795_421_730_009) == "2026-11-23T08:15:30.009Z"


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_is_read_back_to_the_millisecond(milliseconds: int) -> None:
    text = timestamp(milliseconds)
    parsed = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert round(parsed.timestamp() * 1000) == milliseconds


def test_a_room_has_the_fields_of_the_contract() -> None:
    form = json.loads(encode(room_form(ROOM)))
    assert form == {
        "room_id": "r",
        "title": "Title",
        "ai_persona": "GPT4O",
        "created_at": "1970-01-01T00:00:00.000Z",
        "last_message_at": None,
        "message_count": 0,
        "state": "PENDING",
        "persisted_seq": 0,
        "external_id": None,
    }
    used = msgspec.structs.replace(ROOM, last_message_at=1)
    assert room_form(used)["last_message_at"] == "1970-01-01T00:00:00.001Z"


def test_a_message_has_the_fields_of_the_contract() -> None:
    form = json.loads(encode(message_form(MESSAGE)))
    contract = {
        "message_id": "m",
        "room_id": "r",
        "seq": 2,
        "sender_type": "AI",
        "content": "Grüße\u2028\n🙂",
        "timestamp": timestamp(MESSAGE.timestamp),
        "state": "SENT",
        "durability": "persisted",
        "is_streaming": False,
        "attempt": 1,
        "parent_message_id": "p",
        "finish_reason": "stop",
        "usage": {"input_tokens": 3, "output_tokens": 5},
        "metadata": {"a": [1, None]},
        "parts": [{"type": "text", "text": "Grüße\u2028\n🙂"}],
    }
    assert form.items() >= contract.items()
    assert form.keys() - contract.keys() == {"ai_persona", "error"}


def test_an_event_is_one_line_whatever_a_message_says() -> None:
    failed = msgspec.structs.replace(
        MESSAGE, content="a\r\nb\n\ndata: c\x0b\x00", error=ReplyError("llm-error", "x\ny")
    )
    line = encode(message_form(failed))
    assert b"\n" not in line
    assert b"\r" not in line


LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""Where ``str.splitlines`` ends a line."""


@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("beside", ["", "x", "\\", '"', "Â", "â\x80", "\u2027", "\u202a", "\u0084", "한"])
def test_every_line_end_is_escaped_wherever_it_stands(end: str, beside: str) -> None:
    text = f"{beside}{end}{beside}{end}"
    line = encode({text: [text], "title": text})
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == {text: [text], "title": text}


@given(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from(LINE_ENDS + '\\"Ââ'))))
def test_a_line_is_read_back_whole_by_any_reader_of_lines(text: str) -> None:
    line = encode(message_form(msgspec.structs.replace(MESSAGE, content=text, metadata={text: text})))
    assert len(line.decode().splitlines()) == len(line.splitlines()) == 1
    assert json.loads(line)["content"] == text
    assert json.loads(line)["metadata"] == {text: text}


documents = st.builds(
    MessageDoc,
    message_id=st.uuids().map(lambda found: MessageId(str(found))),
    sender_type=st.sampled_from(SenderType),
    content=st.text(),
    timestamp=st.integers(0, 2**48),
    version=st.integers(0, 100),
    attempt=st.integers(0, 5),
    ai_persona=st.none() | st.text(),
    finish_reason=st.none() | st.sampled_from(FinishReason),
    usage=st.none() | st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**6)),
    error_detail=st.none() | st.text(),
    metadata=st.dictionaries(
        st.text(), st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists)
    ),
)


@settings(max_examples=40, deadline=None)
@given(documents)
def test_a_document_is_read_back_as_it_was_written(doc: MessageDoc) -> None:
    assert msgspec.json.decode(msgspec.json.encode(doc), type=MessageDoc) == doc
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(doc), type=MessageDoc) == doc


def test_a_document_of_an_older_program_is_read() -> None:
    old = b'{"message_id":"m","sender_type":"USER","content":"x","timestamp":1,"from_the_future":true}'
    assert msgspec.json.decode(old, type=MessageDoc) == MessageDoc(MessageId("m"), SenderType.USER, "x", 1)

"""Commands and outcomes survive an actor call, a whole batch in one blob."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.errors import IllegalTransition, ParlorError
from parlor.model.access import Session
from parlor.model.ids import AccountId, MessageId, Partition, RoomId, ShardId
from parlor.model.messages import Durability, Message, SenderType
from parlor.model.requests import (
    DeleteOutcome,
    DeleteReceipt,
    Idempotency,
    OnBusy,
    ReplyMode,
    SendReceipt,
    SendRequest,
)
from parlor.model.rooms import Room
from parlor.model.states import MessageState, RoomState
from parlor.rooms.commands import (
    Command,
    DeleteDone,
    DeleteMessage,
    DeleteRoom,
    Done,
    Outcome,
    Refused,
    RoomDone,
    Send,
    SendDone,
    UpdateRoom,
    Wake,
    decode_commands,
    decode_outcomes,
    encode_commands,
    encode_outcomes,
)

pytestmark = pytest.mark.unit

texts = st.text(max_size=30)
room_ids = st.uuids().map(lambda found: RoomId(str(found)))
message_ids = st.uuids().map(lambda found: MessageId(str(found)))
sessions = st.none() | st.builds(
    Session,
    account_id=texts.map(AccountId),
    account_db_key=st.integers(1, 2**62),
    partition=st.integers(0, 4095).map(Partition),
    shard_id=st.integers(1, 99).map(ShardId),
)
requests = st.builds(
    SendRequest,
    content=texts,
    ai_persona=st.none() | texts,
    metadata=st.dictionaries(texts, texts | st.integers(-5, 5) | st.none()),
    on_busy=st.sampled_from(OnBusy),
    reply=st.sampled_from(ReplyMode),
    idempotency=st.none() | st.builds(Idempotency, texts, texts),
    urgent=st.booleans(),
)
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(Send, sessions, room_ids, texts, message_ids, st.none() | message_ids, requests),
    st.builds(UpdateRoom, sessions, room_ids, texts, st.none() | texts, st.none() | texts),
    st.builds(DeleteRoom, sessions, room_ids, texts),
    st.builds(DeleteMessage, sessions, room_ids, texts, message_ids),
    st.builds(Wake, sessions, room_ids, texts),
)
MESSAGE = Message(
    MessageId("m"),
    RoomId("r"),
    1,
    SenderType.USER,
    "x",
    1,
    MessageState.PENDING,
    Durability.CACHED,
    is_streaming=False,
    attempt=0,
    parent_message_id=None,
    finish_reason=None,
    usage=None,
    metadata={"k": "v"},
)
OUTCOMES: list[Outcome] = [
    SendDone(SendReceipt(MESSAGE, None, "1-0", replayed=False)),
    SendDone(SendReceipt(MESSAGE, MESSAGE, "1-0", replayed=True)),
    RoomDone(Room(RoomId("r"), "t", "p", 1, 2, 3, RoomState.ACTIVE, 4)),
    DeleteDone(DeleteReceipt(MessageId("m"), MessageState.DELETED, DeleteOutcome.CANCELLED)),
    Done(),
    Refused(IllegalTransition(extra={"from": "SENT", "to": "PENDING"}).to_wire()),
]


@given(st.lists(commands, max_size=5))
def test_commands_are_read_back_as_they_were_sent(batch: list[Command]) -> None:
    again = decode_commands(encode_commands(batch))
    assert again == batch
    assert [type(command) for command in again] == [type(command) for command in batch]


def test_outcomes_are_read_back_as_they_were_sent() -> None:
    again = decode_outcomes(encode_outcomes(OUTCOMES))
    assert again == OUTCOMES
    assert [type(outcome) for outcome in again] == [type(outcome) for outcome in OUTCOMES]


def test_a_refusal_keeps_its_error() -> None:
    (*_, refused) = decode_outcomes(encode_outcomes(OUTCOMES))
    assert isinstance(refused, Refused)
    error = ParlorError.from_wire(refused.error)
    assert type(error) is IllegalTransition
    assert error.extra == {"from": "SENT", "to": "PENDING"}


def test_bytes_that_are_no_commands_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_commands(msgspec.msgpack.encode([{"type": "Explode"}]))
    with pytest.raises(msgspec.DecodeError):
        decode_commands(b"\x92")

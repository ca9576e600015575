"""A room, its messages and their ids."""

from __future__ import annotations

from typing import Any

import msgspec

from parlor.model.ids import IdMint, Partition
from parlor.model.messages import Durability, Message, SenderType
from parlor.model.parts import ToolCallPart
from parlor.model.rooms import Room
from parlor.model.states import MessageState, RoomState
from parlor.model.tools import ToolState
from tests.unit.fake_clock import NOW_MS, CountingEntropy, FakeClock

EDITED_AT = "2026-11-23T03:18:05.042Z"
CURSOR = "1795403885042-7"
MINT = IdMint(FakeClock(), CountingEntropy())
ROOM = MINT.room_id(Partition(17))
MESSAGE = MINT.message_id(Partition(17))
REPLY = MINT.message_id(Partition(17))
FILE_ID = MINT.file_id(Partition(17))


CALL = ToolCallPart(
    "call_0f", "pay", "Pay", '{"sum":1.5,"to":"Eve"}', "sha256:" + "0" * 64, ToolState.WAITING, "required",
    expires_at=NOW_MS,
)  # fmt: skip


def room(**changes: Any) -> Room:
    return msgspec.structs.replace(
        Room(ROOM, "제목 🫖 שלום", "GPT4O", NOW_MS, None, 0, RoomState.PENDING, 0), **changes
    )


def message(**changes: Any) -> Message:
    return msgspec.structs.replace(
        Message(
            message_id=MESSAGE,
            room_id=ROOM,
            seq=1,
            sender_type=SenderType.USER,
            content="hello",
            timestamp=NOW_MS,
            state=MessageState.PENDING,
            durability=Durability.CACHED,
            is_streaming=False,
            attempt=0,
            parent_message_id=None,
            finish_reason=None,
            usage=None,
            metadata={},
        ),
        **changes,
    )


def reply(**changes: Any) -> Message:
    return message(
        **{
            "message_id": REPLY,
            "seq": 2,
            "sender_type": SenderType.AI,
            "content": "",
            "state": MessageState.COMPOSING,
            "is_streaming": True,
            "parent_message_id": MESSAGE,
            **changes,
        }
    )

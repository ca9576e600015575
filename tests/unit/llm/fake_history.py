"""A room's messages as a list, and its summary."""

from __future__ import annotations

from parlor.llm.ports import Persona
from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import Durability, FinishReason, Message, SenderType
from parlor.model.rooms import RoomMemory
from parlor.model.states import MessageState

ROOM = RoomId("018f0000-0000-8000-8000-000000000000")
PERSONA = Persona("P", "p", "", "Be kind.", "m")
USER, AI, SYSTEM = SenderType.USER, SenderType.AI, SenderType.SYSTEM


class FakeHistory:
    """A room's messages as a list. Records how they are read."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        self.reads: list[tuple[int, int]] = []

    async def before(self, room_id: RoomId, seq: int, limit: int) -> list[Message]:
        self.reads.append((seq, limit))
        return [message for message in self.messages if message.seq < seq][-limit:]


class FakeSummaries:
    """A room's summary, as the test sets it."""

    def __init__(self, text: str = "", through_seq: int = 0, version: int = 0) -> None:
        self.known = RoomMemory(text, through_seq, None, version)
        self.reads = 0

    async def memory(self, room_id: RoomId) -> RoomMemory:
        self.reads += 1
        return self.known


def message(
    seq: int,
    sender: SenderType,
    content: str,
    *,
    state: MessageState = MessageState.SENT,
    finish: FinishReason | None = None,
) -> Message:
    return Message(
        message_id=MessageId(f"m{seq}"),
        room_id=ROOM,
        seq=seq,
        sender_type=sender,
        content=content,
        timestamp=0,
        state=state,
        durability=Durability.PERSISTED,
        is_streaming=state is MessageState.COMPOSING,
        attempt=0,
        parent_message_id=None,
        finish_reason=finish,
        usage=None,
        metadata={},
    )


def talk(*turns: tuple[SenderType, str]) -> list[Message]:
    return [message(seq, sender, content) for seq, (sender, content) in enumerate(turns, start=1)]

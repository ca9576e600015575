"""The domain's messages as the checker's."""

from __future__ import annotations

from collections.abc import Iterable

from parlor.model.messages import Message
from parlor.model.parts import Part, StoredPart, ToolCallPart
from parlor.model.states import MessageState
from parlor.store.calls import NotedCalls
from tests.chaos.history import ObservedCall, ObservedMessage
from tests.chaos.room_rules import Noted

_GONE = frozenset({MessageState.DELETING, MessageState.DELETED})


def seen(message: Message) -> ObservedMessage:
    return ObservedMessage(
        seq=message.seq,
        message_id=message.message_id,
        sender=message.sender_type,
        content=message.content,
        deleted=message.state in _GONE,
        open=message.state is MessageState.COMPOSING,
        calls=calls_in(message.parts or ()),
    )


def calls_in(parts: Iterable[Part | StoredPart]) -> tuple[ObservedCall, ...]:
    """The calls of tools among a message's parts."""
    return tuple(call_seen(part) for part in parts if isinstance(part, ToolCallPart))


def call_seen(call: ToolCallPart) -> ObservedCall:
    result = call.result.content if call.result is not None else ""
    return ObservedCall(call.tool_call_id, call.name, call.arguments, call.digest, call.state, result)


def noted_in(calls: NotedCalls | None) -> Noted:
    return Noted(tuple(sorted(calls.waiting)), tuple(sorted(calls.approved))) if calls is not None else Noted()

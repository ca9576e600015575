"""The domain's messages as the checker's."""

from __future__ import annotations

from parlor.model.messages import Message
from parlor.model.states import MessageState
from tests.chaos.history import ObservedMessage

_GONE = frozenset({MessageState.DELETING, MessageState.DELETED})


def seen(message: Message) -> ObservedMessage:
    return ObservedMessage(
        seq=message.seq,
        message_id=message.message_id,
        sender=message.sender_type,
        content=message.content,
        deleted=message.state in _GONE,
        open=message.state is MessageState.COMPOSING,
    )

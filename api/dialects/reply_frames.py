"""What the streams of all dialects that cannot take text back have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from parlor.model.messages import Event, Message
from parlor.model.parts import ToolCallPart
from parlor.model.tools import ToolState
from parlor.model.wire import JsonForm


def calls_of(reply: Message) -> list[ToolCallPart]:
    """The calls of tools that the caller makes; a room's own were made when its reply has ended."""
    parts = reply.parts or ()
    return [part for part in parts if isinstance(part, ToolCallPart) and part.state is ToolState.APPROVED]


def told_calls(message: JsonForm) -> list[JsonForm]:
    """The calls of tools that the caller makes, of a message as an event tells it."""
    parts: list[JsonForm] = message["parts"]
    return [part for part in parts if part["type"] == "tool_call" and part["state"] == ToolState.APPROVED]


class ReplyFrames(ABC):
    """The stream of one reply (see ``api.sse.Frames``), made of the frames of its events until one ends it."""

    ping: bytes = b": ping\n\n"

    def __init__(self) -> None:
        self.ended = False
        """Whether the stream has nothing more to say."""

    def write(self, batch: Sequence[Event]) -> bytes:
        """The frames for some events of the reply's room."""
        return b"".join(self._frames(event) for event in batch if not self.ended)

    def end(self, cursor: str, reason: str) -> bytes:
        """What ends a stream that was cut for a reason of the server's."""
        del cursor
        return b"" if self.ended or not reason else self._cut(reason)

    @abstractmethod
    def _frames(self, event: Event) -> bytes:
        """The frames for one event; none for an event that the dialect does not tell."""

    @abstractmethod
    def _cut(self, reason: str) -> bytes:
        """What says that the stream ended before the reply did."""

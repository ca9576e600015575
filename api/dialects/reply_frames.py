"""What the streams of all dialects that cannot take text back have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

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


class Said(NamedTuple):
    """A piece of a reply."""

    kind: str
    """``text`` or ``reasoning``."""
    part: int
    """Its index in the message."""
    text: str


class ReplyFrames(ABC):
    """The stream of one reply (see ``api.sse.Frames``), made of the frames of its events until one ends it."""

    ping: bytes = b": ping\n\n"

    def __init__(self) -> None:
        self.ended = False
        """Whether the stream has nothing more to say."""
        self._attempt = 0
        self._told = {"text": 0, "reasoning": 0}
        """Characters of each kind in this attempt, as events count them."""
        self._heard = 0
        """Parts of the message that events were about, without a hole."""
        self._has_gap = False
        """Whether the log does not have what came before: then the end tells the rest."""

    def write(self, batch: Sequence[Event]) -> bytes:
        """The frames for some events of the reply's room."""
        return b"".join(self._frames(event) for event in batch if not self.ended)

    def end(self, cursor: str, reason: str) -> bytes:
        """What ends a stream that was cut for a reason of the server's."""
        del cursor
        return b"" if self.ended or not reason else self._cut(reason)

    def _said(self, data: JsonForm, kind: str = "text") -> Said:
        """What an event about a part adds. Reasoning comes whole when an attempt begins with it, or after pieces."""
        if data["attempt"] < self._attempt:
            return Said(kind, data["index"], "")
        if data["attempt"] > self._attempt:
            self._attempt, self._heard, self._has_gap = data["attempt"], 0, False
            self._told = dict.fromkeys(self._told, 0)
        index, part = data["index"], data.get("part")
        is_new = index == self._heard
        offset, text = data.get("offset", 0), data.get("text", "")
        if part is not None and is_new and part["type"] == "reasoning":
            kind, offset, text = "reasoning", 0, part["text"]
        self._has_gap = self._has_gap or index > self._heard or offset > self._told[kind]
        if self._has_gap:
            return Said(kind, index, "")
        self._heard = max(self._heard, index + 1)
        self._told[kind] += len(text)
        return Said(kind, index, text)

    def _rest(self, message: JsonForm) -> Iterator[Said]:
        """What the events have not told of an ended reply, as of a log that was cut."""
        told = dict(self._told)
        for index, part in enumerate(message["parts"]):
            if (kind := part["type"]) in told:
                known = min(told[kind], len(part["text"]))
                told[kind] -= known
                yield Said(kind, index, part["text"][known:])

    @abstractmethod
    def _frames(self, event: Event) -> bytes:
        """The frames for one event; none for an event that the dialect does not tell."""

    @abstractmethod
    def _cut(self, reason: str) -> bytes:
        """What says that the stream ended before the reply did."""

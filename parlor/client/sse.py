"""Server-sent events, from bytes that come in any pieces (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

import re

from parlor.client.models import Event, decode

MEDIA_TYPE = "text/event-stream"
_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventParser:
    """Takes the pieces of one stream, and gives events when they are whole: what a cut leaves unfinished is nothing."""

    def __init__(self, cursor: str | None = None) -> None:
        self.cursor = cursor
        """The id of the last event, also of one without data."""
        self.heartbeats = 0
        self._pieces: list[bytes] = []
        self._id = cursor
        self._type = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[Event]:
        """The events that are whole now. Raises ``BadAnswer`` for data that is not a JSON object."""
        self._pieces.append(piece)
        if b"\n" not in piece and b"\r" not in piece:
            return []
        text = b"".join(self._pieces)
        # A \r at the end may be half of \r\n.
        held = text[-1:] if text.endswith(b"\r") else b""
        *lines, rest = _LINE_END.split(text[: len(text) - len(held)])
        self._pieces = [rest + held]
        return [event for line in lines if (event := self._line(line.decode("utf-8", "replace"))) is not None]

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.heartbeats += value == "ping"
            case "id" if "\0" not in value:
                self._id = value
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
        return None

    def _end(self) -> Event | None:
        self.cursor = self._id
        kind, data = self._type, self._data
        self._type, self._data = "", []
        return Event(id=self.cursor or "", type=kind or "message", data=decode("\n".join(data))) if data else None

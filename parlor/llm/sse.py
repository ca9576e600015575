"""The body of an answer as the JSON documents in it: server-sent events, or one document.

Only what a chat completion needs of server-sent events. Comments and the fields ``id`` and ``retry`` are skipped. Lines
may end in LF, CRLF or CR; several data lines are joined with LF (WHATWG HTML section 9.2.6). Servers differ from the
standard in six ways, which are understood:

- *No empty line between events.* A data line that is a whole JSON document is an event of its own when another data
  line follows.
- *No field name.* A line that begins with ``{`` is data, and so are the lines below it until the document is whole: a
  proxy that fails in the middle writes its error so.
- *A field name that is written in another way*: in capitals, indented, or with a blank before its colon.
- *An event named error*, or llama.cpp's field ``error:``. Its data is ``ErrorData``.
- *An event named ping* or heartbeat, whose data is no document.
- *No empty line at the end.*
"""

from __future__ import annotations

from typing import Protocol

import msgspec

BODY_MAX = 16 * 1024 * 1024
"""Most bytes of one line, one event, or a body that is one document. A chunk has a few hundred bytes, but an answer
that comes in one piece may have megabytes."""


BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELD_MAX = 100
"""Bytes of a line in which the name of a field is looked for, and its value if it names an event."""
_BEFORE_A_NAME = b" \t\xef\xbb\xbf"
"""An indent, or a byte order mark before each event."""
_BEATS = frozenset((b"ping", b"heartbeat", b"keepalive", b"keep-alive", b"keep_alive"))


class TooLongError(ValueError):
    """More than ``BODY_MAX`` bytes without an end."""


class ErrorData(bytes):
    """The data of an event that is named ``error``."""


class Body(Protocol):
    """Takes the bytes of a body, gives the documents in it. How the bytes are split into reads makes no difference."""

    def feed(self, read: bytes) -> list[bytes]:
        """Returns the documents that this read completes. Raises ``TooLongError``."""

    def close(self) -> list[bytes]:
        """Ends the body and returns what was still incomplete."""


class Document:
    """A body that is one JSON document: an answer that is not streamed, or an error."""

    def __init__(self) -> None:
        self._reads: list[bytes] = []
        self._size = 0

    def feed(self, read: bytes) -> list[bytes]:
        self._size += len(read)
        _check_size(self._size)
        self._reads.append(read)
        return []

    def close(self) -> list[bytes]:
        return [b"".join(self._reads)]


class SseParser:
    """A stream of events."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        """What was read of a line that has no end yet."""
        self._line_size = 0
        self._skip_lf = False
        self._data: list[bytes] = []
        """The data lines of the event that has no end yet."""
        self._data_size = 0
        self._is_error = False
        self._is_beat = False
        self._is_bare = False
        """Whether the event began with a line without a field name."""
        self._is_dense = False
        """Whether this stream has no empty lines between its events."""

    def feed(self, read: bytes) -> list[bytes]:
        """Returns the data of every event that this read completes. Raises ``TooLongError``."""
        if self._skip_lf and read:
            self._skip_lf = False
            read = read.removeprefix(b"\n")
        if b"\r" in read:
            # A CR at the end of a read ends the line at once; if the next read begins with its LF, that is skipped.
            self._skip_lf = read.endswith(b"\r")
            read = read.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = read.rfind(b"\n")
        if end < 0:
            self._hold(read)
            return []
        lines, rest = read[:end], read[end + 1 :]
        if self._line:
            lines = b"".join(self._line) + lines
            self._line.clear()
            self._line_size = 0
        if rest:
            self._hold(rest)
        events: list[bytes] = []
        for line in lines.split(b"\n"):
            # The form that every server uses first: this runs for each token.
            if line.startswith(b"data: ") and not self._data and not self._is_dense:
                self._data.append(line[6:])
            elif line:
                self._take(line, events)
            elif self._data:
                self._end_event(events)
            else:
                self._is_error = self._is_beat = False
        return events

    def close(self) -> list[bytes]:
        """Ends the stream and returns an event whose closing empty line is missing.

        The standard drops such an event, but some servers end with ``data: [DONE]`` and no empty line.
        """
        events: list[bytes] = []
        self._take(b"".join(self._line), events)
        if self._data:
            self._end_event(events)
        return events

    def _hold(self, read: bytes) -> None:
        self._line_size += len(read)
        _check_size(self._line_size)
        self._line.append(read)

    def _take(self, line: bytes, events: list[bytes]) -> None:
        if line.startswith(b"data:"):
            self._add(line[6:] if line.startswith(b"data: ") else line[5:], events)
        elif line == b"data":
            self._add(b"", events)
        elif line.startswith(b"{"):
            self._add(line, events)
            self._is_bare = len(self._data) == 1
        elif self._is_bare and self._data:
            self._add(line, events)
        elif line.startswith(b"error:"):
            self._is_error = True
            self._add(line[6:].strip(), events)
        else:
            name, _, value = line[:_FIELD_MAX].partition(b":")
            match name.lstrip(_BEFORE_A_NAME).rstrip().lower():
                case b"data":
                    self._add(line[len(name) + 1 :].removeprefix(b" "), events)
                case b"event":
                    named = value.strip().lower()
                    self._is_error, self._is_beat = named == b"error", named in _BEATS

    def _add(self, data: bytes, events: list[bytes]) -> None:
        if len(self._data) == 1 and _is_document(self._data[0]):
            self._end_event(events)
            self._is_dense = True
        self._data_size += len(data)
        _check_size(self._data_size)
        self._data.append(data)
        if self._is_dense and len(self._data) == 1 and _is_document(data):
            self._end_event(events)

    def _end_event(self, events: list[bytes]) -> None:
        data = b"\n".join(self._data)
        if not self._is_beat or _is_document(data):
            events.append(ErrorData(data) if self._is_error else data)
        self._data.clear()
        self._data_size = 0
        self._is_error = self._is_beat = self._is_bare = False


def is_end(data: bytes) -> bool:
    """Whether data is the marker of the end, ``[DONE]``, which some servers quote."""
    return data[:16].strip(b' "').upper().startswith(b"[DONE]")


def _is_document(data: bytes) -> bool:
    """Whether data is the end marker or a whole JSON object, which no further line can belong to."""
    if not (data.startswith(b"{") and data.endswith(b"}")):
        return is_end(data)
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _check_size(size: int) -> None:
    if size > BODY_MAX:
        raise TooLongError(f"more than {BODY_MAX} bytes without an end")

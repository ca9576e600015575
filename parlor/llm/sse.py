"""Parsing server-sent events: takes bytes, returns the ``data`` of complete events.

It does only what a chat completion needs. Comments and the fields ``event``, ``id`` and ``retry`` are skipped. Lines
may end in LF, CRLF or CR; a byte order mark is dropped; several data lines are joined with LF (WHATWG HTML section
9.2.6). A line has at most ``LINE_MAX`` bytes.
"""

from __future__ import annotations

LINE_MAX = 1024 * 1024
"""A chunk of an answer has a few hundred bytes; data without line ends is not an event stream."""


class LineTooLongError(ValueError):
    """No line end within ``LINE_MAX`` bytes."""


class SseParser:
    """Parses a stream. How its bytes are split into reads makes no difference."""

    def __init__(self) -> None:
        self._tail = b""
        self._skip_lf = False
        self._data: list[bytes] = []
        self._first = True

    def feed(self, read: bytes) -> list[bytes]:
        """Returns the data of every event that this read completes. Raises ``LineTooLongError``."""
        if self._skip_lf and read:
            self._skip_lf = False
            read = read.removeprefix(b"\n")
        if b"\r" in read:
            # A CR at the end of a read ends the line at once; if the next read begins with its LF, that is skipped.
            self._skip_lf = read.endswith(b"\r")
            read = read.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._tail = (self._tail + read).split(b"\n")
        if len(self._tail) > LINE_MAX:
            raise LineTooLongError(f"a line of more than {LINE_MAX} bytes")
        return [event for line in lines if (event := self._line(line)) is not None]

    def close(self) -> list[bytes]:
        """Ends the stream and returns an event whose closing empty line is missing.

        The standard drops such an event, but some servers end with ``data: [DONE]`` and no empty line.
        """
        return [event for line in (self._tail, b"") if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> bytes | None:
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if not self._data:
                return None
            event, self._data = b"\n".join(self._data), []
            return event
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line == b"data":
            self._data.append(b"")
        return None

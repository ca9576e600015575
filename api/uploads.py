"""Reading one file out of a body of `multipart/form-data` (RFC 7578) while it arrives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.problems import invalid
from parlor.errors import UnsupportedMediaType
from parlor.llm.text import one_line

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "file"
NAME_MAX = 255
"""Characters of a name. A longer one keeps its end, which says what the file is."""
_NAMELESS = "file"
_WHERE = ("body", FIELD)


class _Step(Enum):
    HEADER = auto()
    BEGIN = auto()
    DATA = auto()
    END = auto()
    WHOLE = auto()


class _Event(NamedTuple):
    step: _Step
    data: bytes = b""
    name: bytes = b""
    """Of a header, in lower case."""


class FileName(NamedTuple):
    """The part of the file has begun."""

    name: str


async def file_of(request: Request) -> AsyncGenerator[FileName | bytes]:
    """Yields the file's name, then its bytes as they arrive, and ends when the whole body is there and has this file
    and nothing else. Raises ``InvalidRequest`` or ``UnsupportedMediaType``."""
    form = _Form(request.headers.get("content-type", ""), request.headers.get("content-encoding", ""))
    async for chunk in request.stream():
        for found in form.feed(chunk):
            yield found
    form.require_whole()


class _Form:
    """The form, part by part."""

    def __init__(self, content_type: str, content_encoding: str) -> None:
        if content_encoding.strip().lower() not in ("", "identity"):
            raise UnsupportedMediaType("The body is encoded; send it as it is, without `Content-Encoding`")
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind.lower() != b"multipart/form-data" or not boundary:
            raise UnsupportedMediaType("Send the file as the field `file` of `multipart/form-data`")
        self._events: list[_Event] = []
        self._header = bytearray(), bytearray()
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except FormParserError as error:
            raise invalid(("header", "Content-Type"), "The boundary is too long") from error
        self._headers: dict[bytes, bytes] = {}
        self._found = False
        self._whole = False

    def feed(self, chunk: bytes) -> Iterator[FileName | bytes]:
        """What this piece of the body brings."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed() from error
        events, self._events = self._events, []
        for event in events:
            match event.step:
                case _Step.HEADER:
                    self._headers[event.name] = event.data
                case _Step.BEGIN:
                    yield FileName(self._begin())
                case _Step.DATA:
                    yield event.data
                case _Step.END:
                    self._headers = {}
                case _Step.WHOLE:
                    self._whole = True

    def require_whole(self) -> None:
        """Raises ``InvalidRequest`` when the form is cut off, or had no file."""
        if not self._whole:
            raise _malformed()
        if not self._found:
            raise invalid(_WHERE, "The form has no field `file`")

    def _begin(self) -> str:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b"").decode("latin-1"))
        field, name = options.get(b"name", b""), options.get(b"filename")
        if field != FIELD.encode():
            shown = field.decode("utf-8", "replace")[:100]
            raise invalid(("body", shown), "The form has one field, `file`")
        if name is None:
            raise invalid(_WHERE, "The field `file` has no file name, so it is no file")
        if self._found:
            raise invalid(_WHERE, "One file at a time")
        self._found = True
        return plain_name(name.decode("utf-8", "replace"))

    def _callbacks(self) -> MultipartCallbacks:
        field, value = self._header

        def end_header() -> None:
            self._events.append(_Event(_Step.HEADER, bytes(value), bytes(field).lower()))
            field.clear()
            value.clear()

        return {
            "on_header_field": lambda data, start, end: field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: value.extend(data[start:end]),
            "on_header_end": end_header,
            "on_headers_finished": lambda: self._events.append(_Event(_Step.BEGIN)),
            "on_part_data": lambda data, start, end: self._events.append(_Event(_Step.DATA, data[start:end])),
            "on_part_end": lambda: self._events.append(_Event(_Step.END)),
            "on_end": lambda: self._events.append(_Event(_Step.WHOLE)),
        }


def plain_name(name: str) -> str:
    """The last part of a path, on one line, in a length that is kept; `file` when nothing is left."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return one_line(last)[-NAME_MAX:].strip() or _NAMELESS


def _malformed() -> Exception:
    return invalid(("body",), "The body is no whole form of `multipart/form-data`")

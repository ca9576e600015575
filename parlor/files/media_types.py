"""What a file is, from its bytes. What the client says is not believed: a browser that is shown a file believes us."""

from __future__ import annotations

import codecs
import re

BINARY = "application/octet-stream"
TEXT = "text/plain"
HEAD = 512
"""Bytes that decide whether a file is of a type that begins with a signature."""

_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), media_type)
    for pattern, media_type in (
        (rb"\x89PNG\r\n\x1a\n", "image/png"),
        (rb"\xff\xd8\xff", "image/jpeg"),
        (rb"GIF8[79]a", "image/gif"),
        (rb"RIFF....WEBP", "image/webp"),
        (rb"....ftyp(avif|avis)", "image/avif"),
        (rb"....ftyp(heic|heix|heim|heis|mif1)", "image/heic"),
        (rb"%PDF-[0-9]", "application/pdf"),
        (rb"PK(\x03\x04|\x05\x06)", "application/zip"),
        (rb"\x1f\x8b\x08", "application/gzip"),
        (rb"ID3|\xff[\xfb\xf3\xf2]", "audio/mpeg"),
        (rb"RIFF....WAVE", "audio/wav"),
        (rb"OggS", "application/ogg"),
    )
)
_KINDS_OF_TEXT = {
    "md": "text/markdown",
    "markdown": "text/markdown",
    "csv": "text/csv",
    "json": "application/json",
}
"""By the ending of the name. All of them are text: none is shown by a browser as more than that. HTML, SVG and programs
are plain text."""
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Control characters that text does not have: blanks, line and page breaks and ESC are not among them."""


class Sniffer:
    """Looks at a file's bytes while they come."""

    def __init__(self) -> None:
        self._head = b""
        self._signed: str | None = None
        self._decided = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._is_text = True

    def feed(self, data: bytes) -> None:
        if not self._decided:
            self._head += data[: HEAD - len(self._head)]
            self._decide(whole=len(self._head) >= HEAD)
        if self._is_text:
            self._is_text = not _NO_TEXT.search(data) and self._decodes(data)

    @property
    def binary_type(self) -> str | None:
        """What it is, once it is certain that it is no text; None before."""
        if self._decided:
            return self._signed or (None if self._is_text else BINARY)
        return None

    def media_type(self, name: str) -> str:
        """What the whole file is. Of text, the ending of its name says which kind."""
        self._decide(whole=True)
        if self._signed is not None:
            return self._signed
        if self._is_text and self._decodes(b"", final=True):
            return _KINDS_OF_TEXT.get(name.rpartition(".")[2].lower(), TEXT)
        return BINARY

    def _decide(self, *, whole: bool) -> None:
        self._signed = next((kind for pattern, kind in _SIGNATURES if pattern.match(self._head)), None)
        self._decided = whole or self._signed is not None

    def _decodes(self, data: bytes, *, final: bool = False) -> bool:
        try:
            self._decoder.decode(data, final)
        except UnicodeDecodeError:
            return False
        return True

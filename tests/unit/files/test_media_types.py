"""What a file is, from its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.files.media_types import BINARY, Sniffer

pytestmark = pytest.mark.unit

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
UTF16 = "Grüße".encode("utf-16")


def sniffed(data: bytes, name: str = "", pieces: int = 1) -> str:
    sniffer = Sniffer()
    size = max(1, -(-len(data) // pieces))
    for at in range(0, len(data), size):
        sniffer.feed(data[at : at + size])
    return sniffer.media_type(name)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"GIF89a\x01\0\x01\0", "image/gif"),
        (b"GIF87a\x01\0\x01\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
        (b"\0\0\0\x20ftypheic\0\0\0\0", "image/heic"),
        (b"PK\x03\x04\x14\0", "application/zip"),
        (b"\x1f\x8b\x08\0", "application/gzip"),
        (b"MZ\x90\0\x03", BINARY),
        (b"\x7fELF\x02\x01\x01\0", BINARY),
        (UTF16, BINARY),
        (b"caf\xe9", BINARY),
        (b"\xc3", BINARY),
        (b"text with \0", BINARY),
        ("Grüße, 세계 🫖\r\n\t\f\x1b[0m".encode(), "text/plain"),
        (b"\xef\xbb\xbfwith a mark", "text/plain"),
        (b"<!doctype html><script>alert(1)</script>", "text/plain"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "text/plain"),
        (b"x %PDF-1.7", "text/plain"),
    ],
)
@pytest.mark.parametrize("name", ["", "image.png", "page.html", "x.svg"])
@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_the_bytes_say_what_it_is(data: bytes, media_type: str, name: str, pieces: int) -> None:
    assert sniffed(data, name, pieces) == media_type


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("README.md", "text/markdown"),
        ("a.b.MARKDOWN", "text/markdown"),
        ("table.csv", "text/csv"),
        ("data.JSON", "application/json"),
        ("main.py", "text/plain"),
        ("md", "text/markdown"),
        ("", "text/plain"),
    ],
)
def test_the_name_says_which_kind_of_text(name: str, media_type: str) -> None:
    assert sniffed(b"text", name) == media_type
    assert sniffed(PNG, name) == "image/png"


@pytest.mark.parametrize(
    ("pieces", "known"),
    [
        ([b"MZ\x90\0"], None),
        ([b"MZ\x90\0", b"\0" * 600], BINARY),
        ([b"x" * 600], None),
        ([b"x" * 600, b"\xff\xff"], BINARY),
        ([PNG[:4]], None),
        ([PNG[:4], PNG[4:8]], "image/png"),
    ],
)
def test_what_is_no_text_is_known_before_the_end(pieces: list[bytes], known: str | None) -> None:
    sniffer = Sniffer()
    for piece in pieces:
        sniffer.feed(piece)
    assert sniffer.binary_type == known


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.integers(1, 50))
def test_every_text_is_text_however_it_is_cut(text: str, pieces: int) -> None:
    assert sniffed(text.encode(), "", pieces) == sniffed(text.encode())
    if not text.startswith(("%PDF-", "OggS", "ID3", "GIF8", "RIFF", "PK")) and text[4:8] != "ftyp":
        assert sniffed(text.encode(), "", pieces) == "text/plain"

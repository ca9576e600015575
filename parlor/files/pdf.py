"""The text of PDF documents, taken out by a process of its own: a document can be made so that reading it takes for
ever, or all memory.

    python -I pdf.py < document > text
"""

from __future__ import annotations

import asyncio
import io
import resource
import subprocess
import sys

SECONDS_MAX = 30
"""Of the processor, and of waiting."""
MEMORY_MAX = 1024**3
"""Bytes of address space."""
CHARACTERS_MAX = 1_000_000
PAGES_MAX = 2000


class PdfUnreadable(Exception):
    """The document has no text that can be taken out. The message says why, and can be shown."""


async def text_of_pdf(document: bytes) -> str:
    """Raises ``PdfUnreadable``."""
    return await asyncio.to_thread(_run, document)


def _run(document: bytes) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - this file
            [sys.executable, "-I", __file__],
            input=document,
            capture_output=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PdfUnreadable("its text takes too long to be read") from None
    if done.returncode != 0:
        raise PdfUnreadable("its text cannot be read")
    return done.stdout.decode("utf-8", "replace")


def main() -> None:
    """Writes the text of the document on standard input to standard output."""
    from pypdf import PdfReader

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MAX, SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    reader = PdfReader(io.BytesIO(sys.stdin.buffer.read()))
    left = CHARACTERS_MAX
    for page, _ in zip(reader.pages, range(PAGES_MAX), strict=False):
        text = page.extract_text()[:left]
        sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n\n")
        left -= len(text)
        if left <= 0:
            break


if __name__ == "__main__":
    main()

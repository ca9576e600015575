"""Bodies of answers, and what the parser makes of them."""

from __future__ import annotations

import json

from parlor.llm.answer import AnswerParser
from parlor.llm.ports import Completion, Piece, TextDelta


def sse(*chunks: object) -> bytes:
    return b"".join(
        b"data: %b\n\n" % (chunk.encode() if isinstance(chunk, str) else json.dumps(chunk).encode()) for chunk in chunks
    )


def delta(content: object, finish: str | None = None, **more: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}], "new_field": 1}


def read(body: bytes, size: int = 2**30) -> tuple[str, Completion]:
    """The text and the end of a body that comes in reads of this size."""
    answer = AnswerParser()
    pieces = [piece for start in range(0, len(body), size) for piece in answer.feed(body[start : start + size])]
    pieces += answer.close()
    answer.check()
    return text_of(pieces), answer.completion()


def text_of(pieces: list[Piece]) -> str:
    """The text of an answer that comes in these pieces, without its reasoning."""
    return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))


def run(*chunks: object) -> tuple[str, Completion]:
    return read(sse(*chunks))


def said(*contents: bytes) -> bytes:
    """A body with these texts, as they stand in JSON."""
    chunks = b"".join(b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % content for content in contents)
    return chunks + sse(delta(None, "stop"), "[DONE]")


def whole(content: object, finish: str | None = "stop", **more: object) -> bytes:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({"object": "chat.completion", "choices": [choice], **more}, indent=2).encode()

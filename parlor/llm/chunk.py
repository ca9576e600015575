"""One chunk of an answer, and what is understood of it however a server writes it.

``Chunk`` is decoded with the types that OpenAI's protocol gives its fields, which is fast. What does not fit is decoded
by ``decode_odd_chunk``, which looks at each field for itself: a wrong side field (usage, role, index, ...) is left out,
bytes that are not UTF-8 become U+FFFD, and what JSON does not allow in a text (a raw line break, half of a surrogate
pair) is accepted. Only when it cannot be told whether there was text, the chunk is ``NotUnderstoodError``: a text with
a hole in it would look whole.
"""

from __future__ import annotations

import json
import math
from typing import cast

import msgspec

from parlor.model.messages import Usage

TOKENS_MAX = 2**31 - 1
"""A count of tokens above this is a fault of the server."""
_PROMPT = ("prompt_tokens", "input_tokens")
_ANSWER = ("completion_tokens", "output_tokens")


class NotUnderstoodError(ValueError):
    """Not a chunk; the message says why, and has nothing of what it says."""


class Delta(msgspec.Struct):
    """What a chunk adds to an answer, or the whole message of an answer that is not streamed."""

    content: str | list[object] | None = None
    """Text, or Mistral's list of parts."""
    refusal: str | None = None
    """Why the model will not answer. Shown to the reader like ``content``."""
    reasoning_content: object = None
    reasoning: object = None
    reasoning_details: object = None
    """OpenRouter's parts, which may be encrypted."""
    thinking: object = None
    tool_calls: object = None

    def is_empty(self) -> bool:
        """Whether it has none of the fields."""
        return not (self.content or self.refusal or self.tool_calls or self.reasons())

    def text(self) -> str:
        content = self.content
        if isinstance(content, list):
            content = "".join(_part_text(part) for part in content)
        return content or self.refusal or ""

    def thought(self) -> str:
        """What the model thinks. Servers that are changing the field's name send the same text under both."""
        told = self.reasoning_content or self.reasoning or self.thinking
        if told is None and isinstance(self.content, list):
            return "".join(_thought_text(part) for part in self.content)
        return _thought_text(told)

    def reasons(self) -> bool:
        """Whether there is reasoning in it, readable or not. A part that is not text is a thought, or refers to one."""
        if self.reasoning_content or self.reasoning or self.thinking or self.reasoning_details:
            return True
        return isinstance(self.content, list) and not all(_is_text(part) for part in self.content)


class Choice(msgspec.Struct):
    """One of the answers that a chunk is about; Parlor asks for one, with index 0."""

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    """Of servers that complete texts, not chats."""
    error: object = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    """One document of a stream, or the only one of an answer that is not streamed."""

    choices: list[Choice] | None = None
    usage: dict[str, object] | None = None
    error: object = None


decode_chunk = msgspec.json.Decoder(Chunk).decode
"""Raises ``DECODE_ERRORS`` for what ``decode_odd_chunk`` may still understand."""
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_odd_chunk(data: bytes) -> Chunk:
    """Decodes a chunk that is not as the protocol says. Its texts may have halves of surrogate pairs. Raises
    ``NotUnderstoodError``."""
    fields = document(data)
    usage = fields.get("usage")
    return Chunk(
        choices=[_odd_choice(choice) for choice in _list(fields.get("choices"), "choices")],
        usage=cast("dict[str, object]", usage) if isinstance(usage, dict) else None,
        error=fields.get("error"),
    )


def reported(data: bytes, *, named: bool) -> object:
    """Returns the error in a chunk that has neither choices nor OpenAI's field ``error``; None if there is none.
    ``named``: its event is an error by name."""
    fields = document(data)
    return fields if named or "error" in (fields.get("object"), fields.get("type")) else None


def counted(usage: dict[str, object], before: Usage | None) -> Usage | None:
    """Returns the usage in a chunk. What it does not count is as it was ``before``."""
    prompt, answer = _tokens(usage, _PROMPT), _tokens(usage, _ANSWER)
    if not (prompt or answer):
        return before
    known = before or Usage(0, 0)
    return Usage(known.input_tokens if prompt is None else prompt, known.output_tokens if answer is None else answer)


def document(data: bytes) -> dict[str, object]:
    """Decodes a JSON object, as lenient as it can be. Raises ``NotUnderstoodError``."""
    try:
        found: object = json.loads(data.decode("utf-8", "replace"), strict=False, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise NotUnderstoodError(str(error)) from error
    if isinstance(found, list) and len(found) == 1:
        found = found[0]  # Google's errors
    return _object(found, "a chunk")


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < 400 else math.inf


def _odd_choice(found: object) -> Choice:
    fields = _object(found, "a choice")
    reason, text = fields.get("finish_reason"), fields.get("text")
    return Choice(
        index=_odd_index(fields.get("index")),
        delta=_odd_delta(fields.get("delta")),
        message=_odd_delta(fields.get("message")),
        text=text if isinstance(text, str) else None,
        error=fields.get("error"),
        finish_reason=reason if isinstance(reason, str) else None,
    )


def _odd_index(found: object) -> int | None:
    try:
        return int(found) if isinstance(found, int | float | str) else None
    except (ValueError, OverflowError):
        return None


def _odd_delta(found: object) -> Delta | None:
    if not found:
        return None  # also [], as PHP writes an empty object
    fields = _object(found, "a delta")
    content, refusal = fields.get("content"), fields.get("refusal")
    if isinstance(content, dict):
        content = [content]
    if content is False:
        content = None
    if content is not None and not isinstance(content, str | list):
        raise NotUnderstoodError(f"a content of type {type(content).__name__}")
    return Delta(
        content=content,
        refusal=refusal if isinstance(refusal, str) else None,
        reasoning_content=fields.get("reasoning_content"),
        reasoning=fields.get("reasoning"),
        reasoning_details=fields.get("reasoning_details"),
        thinking=fields.get("thinking"),
        tool_calls=fields.get("tool_calls"),
    )


def _is_text(part: object) -> bool:
    return isinstance(part, str) or (isinstance(part, dict) and part.get("type", "text") in ("text", "output_text"))


def _part_text(part: object) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) and _is_text(part) else ""


def _thought_text(told: object) -> str:
    """The text of a thought: a string, or Mistral's part or list of parts."""
    if isinstance(told, str):
        return told
    if isinstance(told, list):
        return "".join(each if isinstance(each, str) else _thought_text(each) for each in told)
    if isinstance(told, dict) and (kind := told.get("type")) in {"thinking", "reasoning"}:
        return _thought_body(told.get(kind) or told.get("text"))
    return ""


def _thought_body(body: object) -> str:
    return "".join(map(_part_text, body)) if isinstance(body, list) else body if isinstance(body, str) else ""


def _tokens(usage: dict[str, object], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, str) and value.isdecimal():
            value = float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= TOKENS_MAX:
            return int(value)
    return None


def _object(found: object, what: str) -> dict[str, object]:
    if not isinstance(found, dict):
        raise NotUnderstoodError(f"{what} of type {type(found).__name__}")
    return found


def _list(found: object, what: str) -> list[object]:
    if not found:
        return []
    if not isinstance(found, list):
        raise NotUnderstoodError(f"{what} of type {type(found).__name__}")
    return found

"""Parsing one answer of the OpenAI protocol: takes the bytes of a stream, gives pieces of text, then the completion.

The parser has no clock and no connection. Compatible servers differ, so it accepts unknown fields, chunks without
choices (usage only), a ``content`` of null, usage in every chunk (the last one counts), no ``[DONE]`` after a finish
reason, and no finish reason before ``[DONE]``. A stream that ends with neither is an ``LlmError``, so that a truncated
answer never looks complete.
"""

from __future__ import annotations

import msgspec

from parlor.errors import LlmError
from parlor.llm.failures import llm_error, provider_message
from parlor.llm.ports import Completion
from parlor.llm.sse import LineTooLongError, SseParser
from parlor.model import FinishReason, Usage


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    """Why the model will not answer. Shown to the reader like ``content``."""
    reasoning_content: object = None
    reasoning: object = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: object = None
    message: object = None
    kind: object = msgspec.field(default=None, name="object")


_CHUNKS = msgspec.json.Decoder(_Chunk)


class AnswerParser:
    """Parses one answer."""

    def __init__(self) -> None:
        self._events = SseParser()
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._has_text = False
        self._error: LlmError | None = None
        self.done = False
        """Whether ``[DONE]`` was read; nothing follows it."""
        self.tokens = 0
        """Tokens so far, including those of hidden reasoning. They show that the model is still at work."""

    @property
    def finished(self) -> bool:
        """Whether the text is complete; only the usage may still follow."""
        return self.done or self._finish is not None

    def feed(self, read: bytes) -> str:
        """Returns the text that this read adds, which may be empty. Raises ``LlmError``, or leaves that to
        ``check``."""
        try:
            return self._texts(self._events.feed(read))
        except LineTooLongError as error:
            raise llm_error("The language model's answer was not understood", debug=str(error)) from error

    def check(self) -> None:
        """Raises the ``LlmError`` that followed text in the same read, so that the reader gets the text first."""
        if self._error is not None:
            raise self._error

    def close(self) -> str:
        """Ends the stream and returns the text that was still in the parser."""
        return self._texts(self._events.close())

    def completion(self) -> Completion:
        """Returns the end of the answer.

        ``stop`` and ``length`` are kept. Any other finish reason becomes ``stop`` if there is text, because no more
        will come. Without text, a content filter or a tool call (Parlor offers no tools) raises ``LlmError``, because
        an empty reply would not tell the reader why. Also raises ``LlmError`` if the stream broke off.
        """
        if not self.finished:
            raise llm_error("The language model's answer broke off", retryable=True)
        if not self._has_text and self._finish == "content_filter":
            raise llm_error("The language model's content filter withheld the answer")
        if not self._has_text and self._finish in {"tool_calls", "function_call"}:
            raise llm_error("The language model asked for tools instead of answering")
        return Completion(FinishReason.LENGTH if self._finish == "length" else FinishReason.STOP, self._usage)

    def _texts(self, events: list[bytes]) -> str:
        text = ""
        for event in events:
            try:
                text += self._event(event)
            except LlmError as error:
                if not text:
                    raise
                self._error = error
                break
        return text

    def _event(self, data: bytes) -> str:
        if self.done:
            return ""
        if data.startswith(b"[DONE]"):
            self.done = True
            return ""
        try:
            chunk = _CHUNKS.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise llm_error("The language model's answer was not understood", debug=str(error)) from error
        if chunk.error is not None or chunk.kind == "error":
            raise _reported(chunk)
        if chunk.usage is not None:
            self._usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        return self._choice(chunk.choices[0]) if chunk.choices else ""

    def _choice(self, choice: _Choice) -> str:
        if choice.finish_reason is not None:
            self._finish = choice.finish_reason
        delta = choice.delta
        if delta is None:
            return ""
        text = delta.content or delta.refusal or ""
        if text:
            self._has_text = True
        if text or delta.reasoning_content or delta.reasoning:
            self.tokens += 1
        return text


def _reported(chunk: _Chunk) -> LlmError:
    """Returns the error for an error object in the stream, in OpenAI's form or vLLM's flat one."""
    message = provider_message(chunk.error if chunk.error is not None else chunk.message)
    return llm_error("The language model reported an error while it answered", debug=message, retryable=True)

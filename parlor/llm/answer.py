"""Parsing one answer of the OpenAI protocol: takes the bytes of its body, gives its pieces, then the completion.

The parser has no clock and no connection. Servers differ, and what they send is understood as far as it can be
(``sse.py``, ``chunk.py``), under two rules:

1. *The text is what was sent, from its beginning.* A piece that cannot be read ends the answer as an error; nothing is
   ever left out in the middle. Only what cannot be a text (half of a surrogate pair, NUL) becomes U+FFFD.
2. *An answer that was cut off never looks whole.* It is whole when a reason that is known to mean so was the last word
   (``endings.py``), at ``[DONE]``, or at the end of a body that is one JSON document. A reason that text follows was
   none: some servers say ``stop`` in each chunk. The end of the body alone is an ``LlmError``.

An answer without a visible character, or with nothing but thoughts, is an ``LlmError`` too; one whose thoughts took all
that it may have ends as ``reasoning_limit``.
"""

from __future__ import annotations

from parlor.errors import AnswerEmpty, AnswerFiltered, AnswerOnlyReasoning, LlmError
from parlor.llm.chunk import (
    DECODE_ERRORS,
    Choice,
    Chunk,
    Delta,
    NotUnderstoodError,
    counted,
    decode_chunk,
    decode_odd_chunk,
    reported,
)
from parlor.llm.endings import Ending, ending
from parlor.llm.failures import llm_error, reported_error
from parlor.llm.ports import Completion, Piece, ReasoningDelta, TextDelta
from parlor.llm.sse import BYTE_ORDER_MARK, Body, Document, ErrorData, SseParser, TooLongError, is_end
from parlor.llm.thoughts import Spoken
from parlor.llm.tool_calls import ToolCalls
from parlor.model.messages import FinishReason, Usage

_REPLACEMENT = "\ufffd"


class AnswerParser:
    """Parses one answer."""

    def __init__(self, *, tools: bool = False) -> None:
        """``tools``: whether the model was offered any. Calls of others are no answer."""
        self._calls = ToolCalls() if tools else None
        self._body: Body | None = None
        """None until the first bytes have shown what it is."""
        self._head = b""
        self._ending: Ending | None = None
        self._is_hasty = False
        """Whether text followed a finish reason: one that comes with text is not believed any more."""
        self._reason = ""
        self._spoken = Spoken()
        self._says_something = False
        self._has_reasoning = False
        self._thought = ""
        """What the event that is being read adds to the model's thoughts."""
        self._half = ""
        """The first half of a surrogate pair, whose second half may come in the next chunk."""
        self._error: LlmError | None = None
        self.usage: Usage | None = None
        """As counted so far."""
        self.done = False
        """Whether ``[DONE]`` was read; nothing follows it."""
        self.tokens = 0
        """Chunks with text or hidden reasoning so far. They show that the model is still at work."""

    @property
    def finished(self) -> bool:
        """Whether the text has ended; only the usage may still follow."""
        if self.done or self._ending not in {Ending.WHOLE, Ending.LENGTH}:
            return self.done or self._ending is not None
        # While a model thinks, some servers say in each chunk that it has stopped.
        return self._says_something or bool(self._calls)

    def feed(self, read: bytes) -> list[Piece]:
        """Returns what this read adds, which may be nothing. Raises ``LlmError``, or leaves that to ``check``."""
        try:
            events = self._begin(read) if self._body is None else self._body.feed(read)
        except TooLongError as error:
            raise _not_understood(error) from error
        return self._pieces(events)

    def check(self) -> None:
        """Raises the ``LlmError`` that followed a piece in the same read, so that the reader gets the piece first."""
        if self._error is not None:
            raise self._error

    def close(self) -> list[Piece]:
        """Ends the body and returns what was still in the parser. Raises ``LlmError``, as ``feed`` does."""
        if self._body is None:
            return []
        events = self._body.close()
        # What cannot be read here is the end of a body that was cut off: ``completion`` tells what that means.
        if isinstance(self._body, Document):
            try:
                text = self._document(events[0])
            except NotUnderstoodError:
                # A stream whose lines are the documents.
                lines = SseParser()
                return self._pieces([*lines.feed(events[0]), *lines.close()], cut=True)
            pieces = self._with_thought([], "")
            return [*pieces, TextDelta(text)] if text else pieces
        return self._pieces(events, cut=True)

    def completion(self) -> Completion:
        """Returns the end of the answer. Raises ``LlmError`` if it broke off, if it is empty, or if the server ended it
        with an error."""
        if not self.done and self._ending is None:
            raise llm_error("The language model's answer broke off", debug=self._reason, retryable=True)
        if self._ending is Ending.FAILED:
            raise reported_error({"message": f"finish reason {self._reason}"})
        if self._calls and self._ending not in (Ending.LENGTH, Ending.FILTERED):
            return Completion(FinishReason.STOP, self.usage, self._calls.calls())
        if self._says_something or self._spoken.ends():
            reasons = {Ending.LENGTH: FinishReason.LENGTH, Ending.FILTERED: FinishReason.CONTENT_FILTER}
            return Completion(reasons.get(self._ending or Ending.WHOLE, FinishReason.STOP), self.usage)
        if self._ending is Ending.FILTERED:
            raise AnswerFiltered
        if self._ending is Ending.TOOLS:
            raise llm_error("The language model asked for tools instead of answering")
        if self._has_reasoning or self._spoken.has_thoughts:
            if self._ending is Ending.LENGTH:
                return Completion(FinishReason.REASONING_LIMIT, self.usage)
            raise AnswerOnlyReasoning
        raise AnswerEmpty(extra={"retryable": True})

    def _begin(self, read: bytes) -> list[bytes]:
        """Looks at the first bytes, because content types are often wrong."""
        self._head = (self._head + read).removeprefix(BYTE_ORDER_MARK).lstrip()
        if BYTE_ORDER_MARK.startswith(self._head) or self._head == b"[":
            return []  # too little to tell
        if self._head.startswith(b"<"):
            raise llm_error("The language model's endpoint did not answer with a stream", debug="a web page")
        self._body = Document() if self._head.startswith((b"{", b"[{")) else SseParser()
        return self._body.feed(self._head)

    def _pieces(self, events: list[bytes], *, cut: bool = False) -> list[Piece]:
        pieces: list[Piece] = []
        text = ""
        for event in events:
            try:
                said = self._event(event)
            except NotUnderstoodError as error:
                if not cut:
                    self._fail(_not_understood(error), pieces, text)
                break
            except LlmError as error:
                self._fail(error, pieces, text)
                break
            if self._thought:
                pieces = self._with_thought(pieces, text)
                text = ""
            text += said
        if text:
            pieces.append(TextDelta(_printable(text)))
        return pieces

    def _with_thought(self, pieces: list[Piece], text: str) -> list[Piece]:
        """Returns the pieces with a text, and then what the model thinks."""
        if text:
            pieces.append(TextDelta(_printable(text)))
        if self._thought:
            pieces.append(ReasoningDelta(_printable(_whole(self._thought))))
            self._thought = ""
        return pieces

    def _fail(self, error: LlmError, pieces: list[Piece], text: str) -> None:
        if not (pieces or text):
            raise error
        self._error = error

    def _event(self, data: bytes) -> str:
        if self.done:
            return ""
        try:
            chunk = decode_chunk(data)
        except DECODE_ERRORS:
            return self._odd_event(data)
        text = self._chunk(chunk, data)
        if self._half:
            text = self._mended(text)
        return text if self._says_something else self._said(text)

    def _odd_event(self, data: bytes) -> str:
        said = data.strip()
        if is_end(said):
            self.done = True
            return self._said(self._mended(""))
        if not said or said == b"null":
            return ""  # keeps the connection open
        if said.startswith(b"data:"):
            return self._event(said[5:])  # a proxy that frames what is framed
        try:
            chunk = decode_odd_chunk(data)
        except NotUnderstoodError:
            if isinstance(data, ErrorData):
                raise reported_error(data.decode("utf-8", "replace")) from None
            lines = data.split(b"\n")
            if len(lines) == 1:
                raise
            return "".join(self._event(line) for line in lines)
        return self._said(self._mended(self._chunk(chunk, data)))

    def _document(self, data: bytes) -> str:
        chunk = decode_odd_chunk(data)
        text = self._mended(self._chunk(chunk, data))
        if not chunk.choices:
            raise llm_error("The language model's endpoint did not answer with a completion")
        # A chunk alone is the first line of a stream that broke off.
        self.done = not any(choice.delta for choice in chunk.choices)
        return self._said(text + self._mended("")).replace("\0", _REPLACEMENT)

    def _said(self, text: str) -> str:
        if not self._says_something:
            self._says_something = self._spoken.take(text)
        return text

    def _chunk(self, chunk: Chunk, data: bytes) -> str:
        if chunk.usage:
            self.usage = counted(chunk.usage, self.usage)
        choices = chunk.choices
        if chunk.error or not choices:
            error = chunk.error or reported(data, named=isinstance(data, ErrorData))
            if error is not None:
                return self._reported(error)
            return ""
        if len(choices) == 1 and not choices[0].index:
            return self._choice(choices[0])
        return "".join(self._choice(choice) for choice in choices if not choice.index)

    def _reported(self, error: object) -> str:
        """Ends the answer if a filter cut it short; any other error is raised."""
        failure = reported_error(error)
        if not (isinstance(failure, AnswerFiltered) and self._says_something):
            raise failure
        self._ending, self.done = Ending.FILTERED, True
        return ""

    def _choice(self, choice: Choice) -> str:
        if choice.error:
            return self._reported(choice.error)
        delta = choice.delta
        if not self._says_something and (delta is None or delta.is_empty()):
            # Perplexity repeats the text so far there, in each chunk.
            delta = choice.message or Delta(content=choice.text)
        text = self._delta(delta) if delta is not None else ""
        if choice.finish_reason:
            self._end(choice.finish_reason, text)
        return text

    def _delta(self, delta: Delta) -> str:
        content = delta.content
        text = content if content and isinstance(content, str) else delta.text()
        reasons = delta.reasons()
        if text or reasons:
            self.tokens += 1
        if reasons:
            self._has_reasoning = True
            self._thought += delta.thought()
        if text and self._ending is not None:
            self._ending, self._is_hasty = None, True
        if delta.tool_calls and self._calls is not None and self._calls.take(delta.tool_calls):
            self.tokens += 1
        return text

    def _end(self, reason: str, text: str) -> None:
        self._reason = reason
        means = ending(reason)
        if means is not None and not (text and self._is_hasty):
            self._ending = means

    def _mended(self, text: str) -> str:
        """Puts surrogate pairs together, also across chunks. A half without its other half becomes U+FFFD."""
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff" and not self.finished:
            text, self._half = text[:-1], text[-1]
        return _whole(text)


def _whole(text: str) -> str:
    """Puts surrogate pairs together; a half that is alone becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _printable(text: str) -> str:
    return text.replace("\0", _REPLACEMENT) if "\0" in text else text


def _not_understood(error: ValueError) -> LlmError:
    return llm_error("The language model's answer was not understood", debug=str(error))

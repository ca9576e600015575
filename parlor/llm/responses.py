"""OpenAI's Responses API: a prompt as its request, and its stream as an answer.

Every prompt is whole (``store: false``): what was said is the room's to know, not the provider's. As for chat
completions (``answer.py``), the text is what was sent, from its beginning, and an answer that was cut off never looks
whole: only one of the events ``response.completed`` and ``response.incomplete`` ends it.
"""

from __future__ import annotations

import base64
from typing import Any

from parlor.errors import AnswerEmpty, AnswerFiltered, AnswerOnlyReasoning, LlmError
from parlor.llm.chunk import NotUnderstoodError, counted, document
from parlor.llm.failures import llm_error, reported_error
from parlor.llm.ports import Completion, Context, Persona, Piece, PromptTurn, ReasoningDelta, TextDelta
from parlor.llm.sse import BYTE_ORDER_MARK, Body, Document, SseParser, TooLongError, is_end
from parlor.llm.text import is_blank
from parlor.llm.tool_calls import ARGUMENTS_MAX, CALLS_MAX
from parlor.model.messages import FinishReason, Usage
from parlor.model.offers import AnswerForm, OfferedTool, ToolChoice
from parlor.model.tools import AskedCall, Tool

PATH = "/responses"
_TEXTS = frozenset({"response.output_text.delta", "response.refusal.delta"})
_THOUGHTS = frozenset({"response.reasoning_text.delta", "response.reasoning_summary_text.delta"})
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})


def request_body(persona: Persona, context: Context, refused: frozenset[str]) -> dict[str, object]:
    body: dict[str, object] = {
        "model": persona.model,
        "input": [item for turn in context.turns for item in _items(turn)],
        "stream": True,
        "store": False,
    }
    if context.tools:
        body["tools"] = [_tool(tool) for tool in context.tools]
    if context.tool_choice is not None:
        body["tool_choice"] = _choice(context.tool_choice)
    if context.form is not None:
        body["text"] = {"format": _format(context.form)}
    if persona.max_tokens is not None and "max_output_tokens" not in refused:
        body["max_output_tokens"] = persona.max_tokens
    if persona.temperature is not None and "temperature" not in refused:
        body["temperature"] = persona.temperature
    return body


class ResponseParser:
    """Parses one answer; see ``AnswerParser``, whose twin it is."""

    def __init__(self, *, tools: bool = False) -> None:
        self._takes_calls = tools
        self._body: Body | None = None
        self._calls: list[AskedCall] = []
        self._says_something = False
        self._thinks = False
        self._status = ""
        self._head = b""
        self._reason = ""
        self._error: LlmError | None = None
        self.usage: Usage | None = None
        self.done = False
        self.tokens = 0

    @property
    def finished(self) -> bool:
        return self.done

    def feed(self, read: bytes) -> list[Piece]:
        """Returns what this read adds. Raises ``LlmError``, or leaves that to ``check``."""
        if self._body is None:
            read = self._head = (self._head + read).removeprefix(BYTE_ORDER_MARK).lstrip()
            if BYTE_ORDER_MARK.startswith(read):
                return []
            if read.startswith(b"<"):
                raise llm_error("The language model's endpoint did not answer with a stream", debug="a web page")
            self._body = Document() if read.startswith((b"{", b"[")) else SseParser()
        try:
            return self._pieces(self._body.feed(read))
        except TooLongError as error:
            raise _not_understood(str(error)) from error

    def check(self) -> None:
        """Raises the ``LlmError`` that followed a piece in the same read."""
        if self._error is not None:
            raise self._error

    def close(self) -> list[Piece]:
        """Ends the body and returns what was still in the parser."""
        if self._body is None:
            return []
        if isinstance(self._body, Document):
            return self._document(self._body.close()[0])
        return self._pieces([event for event in self._body.close() if _is_json(event)])

    def completion(self) -> Completion:
        """Returns the end of the answer. Raises ``LlmError`` if it broke off or is empty."""
        if not self.done:
            raise llm_error("The language model's answer broke off", retryable=True)
        cut = self._status == "incomplete"
        filtered = cut and self._reason == "content_filter"
        if self._calls and not cut:
            if not self._takes_calls:
                raise llm_error("The language model asked for tools instead of answering")
            return Completion(FinishReason.STOP, self.usage, tuple(self._calls))
        if self._says_something:
            reason = FinishReason.LENGTH if cut else FinishReason.STOP
            return Completion(FinishReason.CONTENT_FILTER if filtered else reason, self.usage)
        if filtered:
            raise AnswerFiltered
        if self._thinks:
            if cut:
                return Completion(FinishReason.REASONING_LIMIT, self.usage)
            raise AnswerOnlyReasoning
        raise AnswerEmpty(extra={"retryable": True})

    def _pieces(self, events: list[bytes]) -> list[Piece]:
        pieces: list[Piece] = []
        for data in events:
            if self.done or is_end(data):
                break
            try:
                pieces += self._take(_decoded(data))
            except LlmError as error:
                if not pieces:
                    raise
                self._error = error
                break
        return pieces

    def _take(self, event: dict[str, Any]) -> list[Piece]:
        kind = event.get("type")
        if kind in _TEXTS:
            return self._said(event.get("delta"))
        if kind in _THOUGHTS:
            return self._thought(event.get("delta"))
        if kind == "response.function_call_arguments.delta":
            self.tokens += 1
        elif kind == "response.output_item.done":
            self._item(event.get("item"))
        elif kind in _ENDS:
            return self._end(event.get("response"))
        elif kind == "error" or (kind is None and event.get("error")):
            raise reported_error(event.get("error") or event)
        return []

    def _item(self, item: object) -> None:
        if isinstance(item, dict) and item.get("type") == "function_call" and len(self._calls) < CALLS_MAX:
            name, arguments = item.get("name"), item.get("arguments")
            if isinstance(name, str) and name:
                told = arguments if isinstance(arguments, str) and arguments else "{}"
                self._calls.append(AskedCall(name, told[: ARGUMENTS_MAX + 1]))

    def _end(self, response: object) -> list[Piece]:
        if not isinstance(response, dict):
            raise _not_understood("an end without a response")
        self._status = str(response.get("status"))
        if self._status not in ("completed", "incomplete"):
            raise reported_error(response.get("error") or {"message": f"status {self._status}"})
        details = response.get("incomplete_details")
        self._reason = str(details.get("reason")) if isinstance(details, dict) else ""
        usage = response.get("usage")
        if isinstance(usage, dict):
            self.usage = counted(usage, None)
        # Servers that tell an answer only at its end.
        missing = [] if self._says_something or self._calls else self._output(response.get("output"))
        self.done = True
        return missing

    def _output(self, output: object) -> list[Piece]:
        pieces: list[Piece] = []
        for item in output if isinstance(output, list) else []:
            self._item(item)
            kind, content = (item.get("type"), item.get("content")) if isinstance(item, dict) else (None, None)
            for part in content if kind == "message" and isinstance(content, list) else []:
                pieces += self._said(part.get("text") or part.get("refusal")) if isinstance(part, dict) else []
        return pieces

    def _document(self, data: bytes) -> list[Piece]:
        answer = _decoded(data)
        if answer.get("object") != "response":
            if answer.get("error"):
                raise reported_error(answer["error"])
            raise llm_error("The language model's endpoint did not answer with a response")
        return self._end(answer)

    def _said(self, text: object) -> list[Piece]:
        if not isinstance(text, str) or not text:
            return []
        self.tokens += 1
        self._says_something = self._says_something or not is_blank(text)
        return [TextDelta(_printable(text))]

    def _thought(self, text: object) -> list[Piece]:
        if not isinstance(text, str) or not text:
            return []
        self.tokens += 1
        self._thinks = True
        return [ReasoningDelta(_printable(text))]


def _items(turn: PromptTurn) -> list[dict[str, object]]:
    """The items of the input that a turn is; a call of a tool is one beside the text."""
    if turn.role == "tool":
        return [{"type": "function_call_output", "call_id": turn.call_id, "output": turn.content}]
    calls: list[dict[str, object]] = [
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
        for call in turn.calls
    ]
    if calls and not turn.content:
        return calls
    return [{"role": turn.role, "content": _content(turn)}, *calls]


def _content(turn: PromptTurn) -> str | list[dict[str, object]]:
    if not turn.images:
        return turn.content
    parts: list[dict[str, object]] = [{"type": "input_text", "text": turn.content}]
    for image in turn.images:
        url = f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"
        parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
    return parts


def _tool(tool: Tool | OfferedTool) -> dict[str, object]:
    described = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", **described, "strict": False}


def _choice(choice: ToolChoice) -> str | dict[str, object]:
    return {"type": "function", "name": choice.name} if choice.kind == "named" else choice.kind


def _format(form: AnswerForm) -> dict[str, object]:
    if form.schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "name": form.name, "schema": form.schema, "strict": form.strict}


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        return document(data)
    except NotUnderstoodError as error:
        raise _not_understood(str(error)) from error


def _is_json(data: bytes) -> bool:
    """Whether an event that the end of the body ended is whole; what that means, ``completion`` tells."""
    try:
        document(data)
    except NotUnderstoodError:
        return False
    return True


def _printable(text: str) -> str:
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", "\ufffd")


def _not_understood(debug: str) -> LlmError:
    return llm_error("The language model's answer was not understood", debug=debug)

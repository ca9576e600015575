"""The demo model's answers in OpenAI's Responses API: the same orders and directives, other frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from demo_model.request import Order, Part, StreamOptions, Turn, Url
from demo_model.run import Run, json_body
from demo_model.tools import Function, Tool

PATH = "/v1/responses"
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


class _Input(msgspec.Struct):
    """An item of the input: a message, a call, or its result."""

    type: str = "message"
    role: str = "user"
    content: str | list[dict[str, Any]] | None = None
    name: str = ""
    arguments: str = ""
    output: str | list[Any] = ""


class _Tool(msgspec.Struct):
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Text(msgspec.Struct):
    format: dict[str, Any] | None = None


class ResponsesOrder(msgspec.Struct):
    """A request, as far as the demo model reads it."""

    input: str | list[_Input]
    model: str = ""
    instructions: str | None = None
    stream: bool | None = False
    max_output_tokens: int | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: _Text | None = None

    def order(self) -> Order:
        """Returns it as a request for a completion."""
        items = [_Input(content=self.input)] if isinstance(self.input, str) else self.input
        said = [Turn("system", self.instructions)] if self.instructions else []
        tools = [Tool(Function(each.name, each.description or "", each.parameters or {})) for each in self.tools or ()]
        choice = self.tool_choice
        if isinstance(choice, dict):
            choice = {"type": "function", "function": {"name": choice.get("name")}}
        return Order(
            messages=[*said, *map(_turn, items)],
            model=self.model,
            stream=self.stream,
            stream_options=StreamOptions(include_usage=True),
            max_tokens=self.max_output_tokens,
            tools=tools or None,
            tool_choice=choice,
            response_format=_format(self.text.format if self.text is not None else None),
        )


class ResponseRun(Run):
    """Sends an answer as a response."""

    def _opening(self) -> bytes:
        return self._event("response.created", response=self._response("in_progress", {}))

    def _delta(self, field: str, text: str) -> bytes:
        kind = "output_text" if field == "content" else "reasoning_summary_text"
        return self._event(f"response.{kind}.delta", item_id="item_demo", output_index=0, content_index=0, delta=text)

    def _called(self) -> list[bytes]:
        made = [{"type": "function_call", "status": "completed", **_call(call)} for call in self._calls]
        return [self._event("response.output_item.done", output_index=at, item=item) for at, item in enumerate(made)]

    def _ending(self) -> list[bytes]:
        status = "incomplete" if self._finish in _REASONS else "completed"
        return [*self._called(), self._event(f"response.{status}", response=self._response(status, self._body()))]

    def _failure(self) -> bytes:
        return self._event("error", code="server_error", message="The demo model was told to fail", param=None)

    def _whole(self) -> dict[str, object]:
        return self._response("incomplete" if self._finish in _REASONS else "completed", self._body())

    def _body(self) -> dict[str, object]:
        text = {"type": "output_text", "text": "".join(self._tokens), "annotations": []}
        output: list[dict[str, object]] = []
        if self._thoughts:
            output.append({"type": "reasoning", "summary": [{"type": "summary_text", "text": "".join(self._thoughts)}]})
        if self._tokens:
            output.append({"type": "message", "role": "assistant", "status": "completed", "content": [text]})
        output += [{"type": "function_call", "status": "completed", **_call(call)} for call in self._calls]
        usage: dict[str, object] = {
            "input_tokens": self._usage["prompt_tokens"],
            "output_tokens": self._usage["completion_tokens"],
            "total_tokens": self._usage["total_tokens"],
        }
        return {"output": output, "usage": None if self._behaviour.usage == "none" else usage}

    def _response(self, status: str, body: dict[str, object]) -> dict[str, object]:
        reason = _REASONS.get(self._finish) if status == "incomplete" else None
        return {
            "id": f"resp_{self._head['id']}",
            "object": "response",
            "created_at": self._head["created"],
            "model": self._head["model"],
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "output": [],
            "usage": None,
            **body,
        }

    def _event(self, kind: str, **data: object) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), json_body({"type": kind, **data}))


def _call(call: Mapping[str, object]) -> dict[str, object]:
    function = msgspec.convert(call["function"], dict[str, str])
    return {"id": f"fc_{call['id']}", "call_id": call["id"], **function}


def _turn(item: _Input) -> Turn:
    match item.type:
        case "function_call":
            return Turn("assistant", None, tool_calls=[{"function": {"name": item.name, "arguments": item.arguments}}])
        case "function_call_output":
            return Turn("tool", item.output if isinstance(item.output, str) else "")
    role = item.role if item.role in ("user", "assistant", "system", "developer") else "user"
    content = item.content if isinstance(item.content, str | None) else [_part(part) for part in item.content]
    return msgspec.convert({"role": role, "content": msgspec.to_builtins(content)}, Turn)


def _part(part: dict[str, Any]) -> Part:
    if part.get("type") == "input_image":
        return Part("image_url", image_url=Url(str(part.get("image_url", ""))))
    return Part("text", str(part.get("text", "")))


def _format(given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given is None or given.get("type") != "json_schema":
        return given
    return {"type": "json_schema", "json_schema": {"schema": given.get("schema")}}

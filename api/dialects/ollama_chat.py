"""Ollama's chat: a reply as one object, and its events as lines of JSON.

A line cannot take text back: when a reply begins anew after some of it was sent, its stream ends with an error.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from api.dialects.ollama_errors import error_form
from api.dialects.reply_frames import ReplyFrames, Said, calls_of, told_calls
from parlor.model.messages import Event, FinishReason, Message, Usage
from parlor.model.parts import ReasoningPart
from parlor.model.wire import JsonForm, encode, timestamp

_DONE = {
    FinishReason.STOP: "stop",
    FinishReason.STOPPED: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REASONING_LIMIT: "length",
    FinishReason.TOOL_LIMIT: "length",
}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def chat_answer(reply: Message, model: str, *, thinking: bool) -> tuple[JsonForm, int]:
    """The whole reply, or the error that it ended with; and the status."""
    done = _done_of(reply.finish_reason)
    if done is None:
        detail = reply.error.detail if reply.error is not None else ""
        return dict(_failure(detail, reply.finish_reason)), int(HTTPStatus.INTERNAL_SERVER_ERROR)
    said: JsonForm = {"role": "assistant", "content": reply.content}
    if calls := calls_of(reply):
        said["tool_calls"] = [_call(call.name, msgspec.Raw(call.arguments.encode())) for call in calls]
    thoughts = "".join(part.text for part in reply.parts or () if isinstance(part, ReasoningPart))
    if thoughts and thinking:
        said["thinking"] = thoughts
    head = {"model": model, "created_at": timestamp(reply.timestamp)}
    return {**head, "message": said, **_ending(done, reply.usage)}, int(HTTPStatus.OK)


class ChatLines(ReplyFrames):
    """The lines of one reply. ``ended`` when the stream has nothing more to say."""

    def __init__(self, message_id: str, model: str, created_ms: int, *, thinking: bool) -> None:
        super().__init__()
        self._message_id = message_id
        self._head = {"model": model, "created_at": timestamp(created_ms)}
        self._thinking = thinking
        self._begun = False
        self.opening = self.ping = self._line({"content": ""})
        """Clients read each line as JSON, so there is no other way to say nothing."""

    def _cut(self, reason: str) -> bytes:
        return self._fail(error_form(f"The stream ended before the reply did: {reason}"))

    def _frames(self, event: Event) -> bytes:
        if event.type == "room.deleted":
            return self._fail(error_form("The room was deleted"))
        if event.message_id != self._message_id:
            return b""
        match event.type:
            case "message.delta" | "message.part":
                return self._tell(self._said(_decode(event.data)))
            case "message.reasoning":
                return self._tell(self._said(_decode(event.data), "reasoning"))
            case "message.completed" | "message.stopped" | "message.failed":
                return self._close(_decode(event.data))
            case "message.deleted":
                return self._fail(error_form("The reply was deleted"))
            case "message.reset" if self._begun:
                return self._fail(error_form("The reply began anew; ask for it again"))
        return b""

    def _tell(self, said: Said) -> bytes:
        if not said.text or (said.kind == "reasoning" and not self._thinking):
            return b""
        self._begun = True
        return self._line({"content": said.text} if said.kind == "text" else {"content": "", "thinking": said.text})

    def _close(self, data: JsonForm) -> bytes:
        message = data["message"]
        rest = b"".join(map(self._tell, self._rest(message)))
        reason = FinishReason(message["finish_reason"]) if message["finish_reason"] else None
        done = _done_of(reason)
        if done is None:
            error = message.get("error") or data.get("error") or {}
            return rest + self._fail(_failure(error.get("detail", ""), reason))
        usage = msgspec.convert(message["usage"], Usage) if message["usage"] else None
        if calls := told_calls(message):
            rest += self._line(
                {"content": "", "tool_calls": [_call(call["name"], call["arguments"]) for call in calls]}
            )
        self.ended = True
        return rest + self._line({"content": ""}, _ending(done, usage))

    def _fail(self, error: dict[str, str]) -> bytes:
        self.ended = True
        return encode(error) + b"\n"

    def _line(self, said: JsonForm, ending: JsonForm | None = None) -> bytes:
        return encode({**self._head, "message": {"role": "assistant", **said}, **(ending or {"done": False})}) + b"\n"


def _call(name: str, arguments: object) -> JsonForm:
    return {"function": {"name": name, "arguments": arguments}}


def _done_of(reason: FinishReason | None) -> str | None:
    """None for a reply that did not end as an answer does."""
    return _DONE.get(reason) if reason is not None else None


def _failure(detail: str, reason: FinishReason | None) -> dict[str, str]:
    """Why a reply is no answer."""
    fallback = "The language model failed" if reason is FinishReason.ERROR else "The reply was cut off before its end"
    return error_form(detail or fallback)


def _ending(done: str, usage: Usage | None) -> JsonForm:
    counted = usage or Usage(0, 0)
    return {
        "done": True,
        "done_reason": done,
        "prompt_eval_count": counted.input_tokens,
        "eval_count": counted.output_tokens,
    }

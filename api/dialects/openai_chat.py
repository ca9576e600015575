"""OpenAI's chat completions: a reply as one object, and its events as chunks.

A chunk cannot take text back: when a reply begins anew after some of it was sent, its stream ends with an error.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from api.dialects.openai_errors import ErrorForm, error_form
from api.dialects.reply_frames import ReplyFrames, Said, calls_of, told_calls
from parlor.model.messages import Event, FinishReason, Message, ReplyError, Usage
from parlor.model.parts import ReasoningPart
from parlor.model.wire import JsonForm, encode

_FINISH = {
    FinishReason.STOP: "stop",
    FinishReason.STOPPED: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REASONING_LIMIT: "length",
    FinishReason.TOOL_LIMIT: "length",
}
_DONE = b"data: [DONE]\n\n"
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def usage_form(usage: Usage | None) -> JsonForm | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def finish_of(reason: FinishReason | None) -> str | None:
    """None for a reply that did not end as an answer does."""
    return _FINISH.get(reason) if reason is not None else None


def completion_form(reply: Message, model: str) -> JsonForm:
    """The whole reply."""
    message: JsonForm = {"role": "assistant", "content": reply.content, "refusal": None, "annotations": []}
    calls = calls_of(reply)
    if calls:
        message["content"] = reply.content or None
        message["tool_calls"] = [_call(part.tool_call_id, part.name, part.arguments) for part in calls]
    thoughts = [part.text for part in reply.parts or () if isinstance(part, ReasoningPart)]
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    finish = "tool_calls" if calls else finish_of(reply.finish_reason)
    return {
        "id": f"chatcmpl-{reply.message_id}",
        "object": "chat.completion",
        "created": reply.timestamp // 1000,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": usage_form(reply.usage),
        "service_tier": "default",
    }


def failure_form(error: ReplyError | None, reason: FinishReason | None) -> ErrorForm:
    """Why a reply is no answer."""
    if error is None:
        return error_form("The reply was cut off before its end", 500, str(reason or "interrupted"))
    return error_form(error.detail or "The language model failed", HTTPStatus.INTERNAL_SERVER_ERROR, error.code)


class ChatFrames(ReplyFrames):
    """The chunks of one reply. ``ended`` when the stream has nothing more to say."""

    opening = b": open\n\n"

    def __init__(self, message_id: str, model: str, created_ms: int, *, include_usage: bool) -> None:
        super().__init__()
        self._message_id = message_id
        self._head: JsonForm = {
            "id": f"chatcmpl-{message_id}",
            "object": "chat.completion.chunk",
            "created": created_ms // 1000,
            "model": model,
        }
        self._include_usage = include_usage
        self._begun = False

    def _cut(self, reason: str) -> bytes:
        return self._fail(error_form(f"The stream ended before the reply did: {reason}", 503, reason))

    def _frames(self, event: Event) -> bytes:
        if event.type == "room.deleted":
            return self._fail(error_form("The room was deleted", HTTPStatus.NOT_FOUND, "room-not-found"))
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
                return self._fail(error_form("The reply was deleted", HTTPStatus.NOT_FOUND, "message-not-found"))
            case "message.reset" if self._begun:
                return self._fail(error_form("The reply began anew; ask for it again", 503, "message-reset"))
        return b""

    def _tell(self, said: Said) -> bytes:
        # Reasoning as DeepSeek's and vLLM's servers send it, which OpenAI's clients pass on.
        name = "content" if said.kind == "text" else "reasoning_content"
        return self._begin() + self._chunk({name: said.text}) if said.text else b""

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _close(self, data: JsonForm) -> bytes:
        message = data["message"]
        rest = b"".join(map(self._tell, self._rest(message)))
        finish = finish_of(FinishReason(message["finish_reason"])) if message["finish_reason"] else None
        if finish is None:
            error = message.get("error") or data.get("error") or {}
            told = ReplyError(error["code"], error.get("detail", "")) if error else None
            return rest + self._fail(failure_form(told, message["finish_reason"]))
        calls = told_calls(message)
        last = self._begin() + rest + b"".join(map(self._called, range(len(calls)), calls))
        last += self._chunk({}, "tool_calls" if calls else finish)
        if self._include_usage:
            usage = message["usage"] and usage_form(msgspec.convert(message["usage"], Usage))
            last += _frame({**self._head, "choices": [], "usage": usage})
        self.ended = True
        return last + _DONE

    def _called(self, index: int, call: JsonForm) -> bytes:
        begun = {"index": index, **_call(call["tool_call_id"], call["name"], "")}
        arguments = {"index": index, "function": {"arguments": encode(call["arguments"]).decode()}}
        return self._chunk({"tool_calls": [begun]}) + self._chunk({"tool_calls": [arguments]})

    def _fail(self, error: ErrorForm) -> bytes:
        self.ended = True
        return _frame(error) + _DONE

    def _chunk(self, delta: JsonForm, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._include_usage else {}
        return _frame({**self._head, "choices": [choice], **usage})


def _call(call_id: str, name: str, arguments: str) -> JsonForm:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _frame(form: JsonForm) -> bytes:
    return b"data: %b\n\n" % encode(form)

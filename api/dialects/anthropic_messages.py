"""Anthropic's messages: a reply as one object, and its events.

An event cannot take text back: when a reply begins anew after some of it was sent, its stream ends with an error.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from api.dialects.anthropic_errors import error_form
from api.dialects.reply_frames import ReplyFrames, Said, calls_of, told_calls
from parlor.model.messages import Event, FinishReason, Message, Usage
from parlor.model.parts import ReasoningPart, TextSpan
from parlor.model.wire import JsonForm, encode

_STOP = {
    FinishReason.STOP: "end_turn",
    FinishReason.STOPPED: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.REASONING_LIMIT: "max_tokens",
    FinishReason.TOOL_LIMIT: "max_tokens",
}
_EMPTY = {
    "text": {"type": "text", "text": "", "citations": None},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
_NOT_COUNTED = dict.fromkeys(
    ("cache_creation", "inference_geo", "output_tokens_details", "server_tool_use", "service_tier")
)
"""Fields that Anthropic's clients may rely on, and that say nothing here."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def message_answer(reply: Message, model: str, *, thinking: bool) -> tuple[JsonForm, int]:
    """The whole reply, or the error that it ended with; and the status."""
    if (stop := _stop_of(reply.finish_reason)) is None:
        detail = reply.error.detail if reply.error is not None else ""
        return _failure(detail, reply.finish_reason), int(HTTPStatus.INTERNAL_SERVER_ERROR)
    form = _head(reply.message_id, model)
    usage = reply.usage or Usage(0, 0)
    stop = "tool_use" if calls_of(reply) else stop
    form |= {"content": _blocks(reply, thinking=thinking), "stop_reason": stop, "usage": _usage(usage)}
    return form, int(HTTPStatus.OK)


class MessageFrames(ReplyFrames):
    """The events of one message. ``ended`` when the stream has nothing more to say."""

    ping = b'event: ping\ndata: {"type":"ping"}\n\n'

    def __init__(self, message_id: str, model: str, *, thinking: bool) -> None:
        super().__init__()
        self._message_id = message_id
        self._thinking = thinking
        self._index = -1
        self._open: str | None = None
        """The kind of the block that is open."""
        self.opening = _event("message_start", {"message": _head(message_id, model)})

    def _cut(self, reason: str) -> bytes:
        return self._fail(f"The stream ended before the reply did: {reason}", HTTPStatus.SERVICE_UNAVAILABLE)

    def _frames(self, event: Event) -> bytes:
        if event.type == "room.deleted":
            return self._fail("The room was deleted", HTTPStatus.NOT_FOUND)
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
                return self._fail("The reply was deleted", HTTPStatus.NOT_FOUND)
            case "message.reset" if self._index >= 0:
                return self._fail("The reply began anew; ask for it again", HTTPStatus.SERVICE_UNAVAILABLE)
        return b""

    def _tell(self, said: Said) -> bytes:
        kind, text = "text" if said.kind == "text" else "thinking", said.text
        if not text or (kind == "thinking" and not self._thinking):
            return b""
        begun = b""
        if self._open != kind:
            begun = self._shut()
            self._open, self._index = kind, self._index + 1
            begun += _event("content_block_start", {"index": self._index, "content_block": _EMPTY[kind]})
        delta = {"type": f"{kind}_delta", kind: text}
        return begun + _event("content_block_delta", {"index": self._index, "delta": delta})

    def _shut(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event("content_block_stop", {"index": self._index})

    def _close(self, data: JsonForm) -> bytes:
        message = data["message"]
        rest = b"".join(map(self._tell, self._rest(message)))
        calls = told_calls(message)
        reason = FinishReason(message["finish_reason"]) if message["finish_reason"] else None
        stop = _stop_of(reason)
        if stop is None:
            error = message.get("error") or data.get("error") or {}
            self.ended = True
            return rest + _frame("error", _failure(error.get("detail", ""), reason))
        usage = msgspec.convert(message["usage"], Usage) if message["usage"] else Usage(0, 0)
        rest += b"".join(map(self._called, calls))
        stop = "tool_use" if calls else stop
        ending = {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": _usage(usage)}
        self.ended = True
        return rest + self._shut() + _event("message_delta", ending) + _event("message_stop", {})

    def _called(self, call: JsonForm) -> bytes:
        shut = self._shut()
        self._index += 1
        block = _use(call["tool_call_id"], call["name"], {})
        delta = {"type": "input_json_delta", "partial_json": encode(call["arguments"]).decode()}
        return b"".join(
            (
                shut,
                _event("content_block_start", {"index": self._index, "content_block": block}),
                _event("content_block_delta", {"index": self._index, "delta": delta}),
                _event("content_block_stop", {"index": self._index}),
            )
        )

    def _fail(self, message: str, status: HTTPStatus) -> bytes:
        self.ended = True
        return _frame("error", error_form(message, status))


def _stop_of(reason: FinishReason | None) -> str | None:
    """None for a reply that did not end as an answer does."""
    return _STOP.get(reason) if reason is not None else None


def _failure(detail: str, reason: FinishReason | None) -> JsonForm:
    """Why a reply is no answer."""
    fallback = "The language model failed" if reason is FinishReason.ERROR else "The reply was cut off before its end"
    return error_form(detail or fallback, HTTPStatus.INTERNAL_SERVER_ERROR)


def _blocks(reply: Message, *, thinking: bool) -> list[JsonForm]:
    blocks: list[JsonForm] = []
    at = 0
    for part in reply.parts or (TextSpan(len(reply.content)),):
        match part:
            case TextSpan():
                text, at = reply.content[at : at + part.length], at + part.length
                if text:
                    blocks.append({"type": "text", "text": text, "citations": None})
            case ReasoningPart() if thinking:
                blocks.append({"type": "thinking", "thinking": part.text, "signature": ""})
    calls = calls_of(reply)
    return [*blocks, *(_use(call.tool_call_id, call.name, msgspec.Raw(call.arguments.encode())) for call in calls)]


def _head(message_id: str, model: str) -> JsonForm:
    """The message before anything was said. Its usage is told at the end: Parlor's providers count there."""
    return {
        "id": f"msg_{message_id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": _usage(Usage(0, 0)),
    }


def _usage(usage: Usage) -> JsonForm:
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": usage.output_tokens,
        **_NOT_COUNTED,
    }


def _use(call_id: str, name: str, arguments: object) -> JsonForm:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments, "caller": {"type": "direct"}}


def _event(kind: str, form: JsonForm) -> bytes:
    return _frame(kind, {"type": kind, **form})


def _frame(kind: str, form: JsonForm) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encode(form))

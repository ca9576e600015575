"""OpenAI's responses: a reply as one object, and its events with their ``sequence_number``.

An event cannot take text back: when a reply begins anew after some of it was sent, its stream ends as failed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from api.dialects.reply_frames import ReplyFrames
from parlor.model.messages import Event, FinishReason, Usage
from parlor.model.wire import JsonForm, encode

_DONE = b"data: [DONE]\n\n"
_INCOMPLETE = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.STOPPED: "stopped",
}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Asked(msgspec.Struct, frozen=True):
    """What of a request comes back in its response."""

    model: str
    message_id: str
    created_ms: int
    stored: bool
    conversation: str | None = None
    instructions: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    metadata: JsonForm = {}


class Ending(msgspec.Struct, frozen=True):
    """How a reply ended."""

    status: str = "in_progress"
    text: str = ""
    usage: Usage | None = None
    reason: str | None = None
    """Why it is not complete."""
    error: tuple[str, str] | None = None
    """Code and message."""


def ending_of(data: JsonForm) -> Ending:
    """From the last event of a reply, or the message's form as ``{"message": ...}``."""
    message = data["message"]
    reason = message["finish_reason"]
    usage = message["usage"] and msgspec.convert(message["usage"], Usage)
    text = str(message["content"])
    if reason == FinishReason.STOP:
        return Ending("completed", text, usage)
    if reason in _INCOMPLETE:
        return Ending("incomplete", text, usage, _INCOMPLETE[FinishReason(reason)])
    error = data.get("error") or message.get("error") or {"code": str(reason), "detail": ""}
    return Ending("failed", text, usage, error=(error["code"], error["detail"] or "The reply is not complete"))


def response_form(asked: Asked, ending: Ending) -> JsonForm:
    """The response; also as it begins, before there is any output."""
    ended = ending.status != "in_progress"
    return {
        "id": f"resp_{asked.message_id}",
        "object": "response",
        "created_at": asked.created_ms // 1000,
        "completed_at": asked.created_ms // 1000 if ending.status == "completed" else None,
        "status": ending.status,
        "incomplete_details": {"reason": ending.reason} if ending.reason else None,
        "error": {"code": ending.error[0], "message": ending.error[1]} if ending.error else None,
        "model": asked.model,
        "conversation": {"id": asked.conversation} if asked.conversation else None,
        "previous_response_id": None,
        "instructions": asked.instructions,
        "output": [_item(asked, ending)] if ended and (ending.text or ending.status == "completed") else [],
        "usage": _usage(ending.usage) if ending.usage else None,
        "store": asked.stored,
        "background": False,
        "metadata": asked.metadata,
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "max_output_tokens": asked.max_output_tokens,
        "max_tool_calls": None,
        "parallel_tool_calls": True,
        "tools": [],
        "tool_choice": "auto",
        "text": {"format": {"type": "text"}},
        "truncation": "disabled",
        "reasoning": {"effort": None, "summary": None},
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "top_logprobs": 0,
        "service_tier": "default",
        "safety_identifier": None,
        "prompt_cache_key": None,
    }


class ResponseFrames(ReplyFrames):
    """The events of one response. ``ended`` when the stream has nothing more to say."""

    opening = b": open\n\n"

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self._asked = asked
        self._sequence = 0
        self._text = ""
        self._created = False
        self._begun = False

    def _cut(self, reason: str) -> bytes:
        self.ended = True
        told = {"code": reason, "message": f"The stream ended before the reply did: {reason}", "param": None}
        return self._event("error", told) + _DONE

    def _frames(self, event: Event) -> bytes:
        if event.type == "room.deleted":
            return self._close(Ending("failed", self._text, error=("room-not-found", "The room was deleted")))
        if event.message_id != self._asked.message_id:
            return b""
        match event.type:
            case "message.delta":
                return self._delta(str(_decode(event.data)["text"]))
            case "message.completed" | "message.stopped" | "message.failed":
                return self._close(ending_of(_decode(event.data)))
            case "message.deleted":
                return self._close(Ending("failed", self._text, error=("message-not-found", "The reply was deleted")))
            case "message.reset" if self._begun:
                return self._close(Ending("failed", self._text, error=("message-reset", "The reply began anew")))
        return self._create()

    def _create(self) -> bytes:
        if self._created:
            return b""
        self._created = True
        begun = {"response": response_form(self._asked, Ending())}
        return self._event("response.created", begun) + self._event("response.in_progress", begun)

    def _begin(self) -> bytes:
        """The item and its one part, before the first of its text."""
        created = self._create()
        if self._begun:
            return created
        self._begun = True
        item = {**_item(self._asked, Ending()), "content": []}
        return (
            created
            + self._event("response.output_item.added", {"output_index": 0, "item": item})
            + self._event("response.content_part.added", {**self._where(), "part": _part("")})
        )

    def _delta(self, text: str) -> bytes:
        if not text:
            return b""
        begun = self._begin()
        self._text += text
        return begun + self._event("response.output_text.delta", {**self._where(), "delta": text, "logprobs": []})

    def _close(self, ending: Ending) -> bytes:
        rest = self._delta(ending.text[len(self._text) :])
        last = self._begin() if ending.status == "completed" else self._create()
        if self._begun:
            where, text = self._where(), self._text
            last += self._event("response.output_text.done", {**where, "text": text, "logprobs": []})
            last += self._event("response.content_part.done", {**where, "part": _part(text)})
            item = _item(self._asked, ending)
            last += self._event("response.output_item.done", {"output_index": 0, "item": item})
        self.ended = True
        whole = {"response": response_form(self._asked, ending)}
        return rest + last + self._event(f"response.{ending.status}", whole) + _DONE

    def _where(self) -> JsonForm:
        return {"item_id": f"msg_{self._asked.message_id}", "output_index": 0, "content_index": 0}

    def _event(self, kind: str, form: JsonForm) -> bytes:
        number, self._sequence = self._sequence, self._sequence + 1
        data = encode({"type": kind, "sequence_number": number, **form})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _part(text: str) -> JsonForm:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _item(asked: Asked, ending: Ending) -> JsonForm:
    status = "in_progress" if ending.status == "in_progress" else "completed"
    return {
        "id": f"msg_{asked.message_id}",
        "type": "message",
        "role": "assistant",
        "status": status if ending.status in ("in_progress", "completed") else "incomplete",
        "content": [_part(ending.text)],
    }


def _usage(usage: Usage) -> JsonForm:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }

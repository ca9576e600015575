"""OpenAI's responses: a reply as one object."""

from __future__ import annotations

import msgspec

from api.dialects.openai_items import CONVERSATION, RESPONSE, Piece, output_items, pieces_of, told
from parlor.model.messages import FinishReason, Message, Usage
from parlor.model.wire import JsonForm

ASKED = "parlor_response"
"""In the metadata of a message: what of its request comes back in the response, and is nowhere else."""
_INCOMPLETE = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.REASONING_LIMIT: "max_output_tokens",
    FinishReason.TOOL_LIMIT: "max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter",
}


class Asked(msgspec.Struct, frozen=True):
    """What of a request comes back in its response."""

    model: str
    message_id: str
    created_ms: int
    room_id: str | None = None
    """None: nothing is stored."""
    instructions: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    metadata: JsonForm = {}
    previous: str | None = None
    """The id of the response before."""
    background: bool = False
    tools: list[JsonForm] = []
    tool_choice: str | JsonForm = "auto"
    text_format: JsonForm = msgspec.field(default_factory=lambda: {"type": "text"})


class Ending(msgspec.Struct, frozen=True):
    """How far a reply is, or how it ended."""

    status: str = "in_progress"
    pieces: list[Piece] = []
    usage: Usage | None = None
    reason: str | None = None
    """Why it is not complete."""
    error: tuple[str, str] | None = None
    """Code and message."""

    @property
    def item_status(self) -> str:
        """The status of the last item."""
        if self.status == "queued":
            return "in_progress"
        return self.status if self.status in ("in_progress", "completed") else "incomplete"


def ending_of(message: JsonForm, error: JsonForm | None = None) -> Ending:
    """How the reply stands, from its form in JSON."""
    pieces = pieces_of(message)
    if message["is_streaming"]:
        return Ending("in_progress" if message["attempt"] else "queued", pieces)
    usage = message["usage"] and msgspec.convert(message["usage"], Usage)
    reason = FinishReason(message["finish_reason"]) if message["finish_reason"] else None
    if reason is FinishReason.STOP:
        return Ending("completed", pieces or [Piece("text", 0)], usage)
    if reason is FinishReason.STOPPED:
        return Ending("cancelled", pieces, usage)
    if reason in _INCOMPLETE:
        return Ending("incomplete", pieces, usage, _INCOMPLETE[reason])
    about = error or message.get("error") or {"code": str(reason or "interrupted"), "detail": ""}
    return Ending("failed", pieces, usage, error=(about["code"], about["detail"] or "The reply is not complete"))


def response_of(asked: Asked, reply: Message) -> JsonForm:
    """The response as the reply is now."""
    return response_form(asked, ending_of(told(reply)))


def asked_again(message: Message, reply: Message) -> Asked:
    """What was asked, from the message and the reply to it."""
    metadata = {name: value for name, value in message.metadata.items() if name != ASKED}
    kept = message.metadata.get(ASKED)
    return Asked(
        reply.ai_persona or "",
        reply.message_id,
        reply.timestamp,
        reply.room_id,
        metadata=metadata,
        **(kept if isinstance(kept, dict) and kept.keys() <= {"previous", "background"} else {}),
    )


def metadata_of(asked: JsonForm, *, previous: str | None, background: bool) -> JsonForm:
    """The metadata of a message that is sent for a response."""
    kept: JsonForm = {"previous": previous} if previous is not None else {}
    if background:
        kept["background"] = True
    return {**asked, **({ASKED: kept} if kept else {})}


def response_form(asked: Asked, ending: Ending) -> JsonForm:
    """The response; also as it begins, before there is any output."""
    return {
        "id": f"{RESPONSE}{asked.message_id}",
        "object": "response",
        "created_at": asked.created_ms // 1000,
        "completed_at": asked.created_ms // 1000 if ending.status == "completed" else None,
        "status": ending.status,
        "incomplete_details": {"reason": ending.reason} if ending.reason else None,
        "error": {"code": ending.error[0], "message": ending.error[1]} if ending.error else None,
        "model": asked.model,
        "conversation": {"id": f"{CONVERSATION}{asked.room_id}"} if asked.room_id is not None else None,
        "previous_response_id": asked.previous,
        "instructions": asked.instructions,
        "output": output_items(asked.message_id, ending.pieces, ending.item_status),
        "usage": _usage(ending.usage) if ending.usage else None,
        "store": asked.room_id is not None,
        "background": asked.background,
        "metadata": asked.metadata,
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "max_output_tokens": asked.max_output_tokens,
        "max_tool_calls": None,
        "parallel_tool_calls": True,
        "tools": asked.tools,
        "tool_choice": asked.tool_choice,
        "text": {"format": asked.text_format},
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


def _usage(usage: Usage) -> JsonForm:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }

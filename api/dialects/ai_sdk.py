"""The AI SDK's chats: what its ``DefaultChatTransport`` sends, and a reply's events as its UI message stream.

A chunk cannot take text back: when a reply begins anew after some of it was sent, its stream ends with an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from api.dialects.openai_requests import Lenient
from api.dialects.reply_frames import ReplyFrames, Said
from api.fields import ExternalId, PersonaName
from parlor.model.messages import Event, FinishReason
from parlor.model.wire import JsonForm, encode

STREAM_HEADERS = {"x-vercel-ai-ui-message-stream": "v1"}
_FINISH = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTENT_FILTER: "content-filter",
    FinishReason.REASONING_LIMIT: "length",
    FinishReason.TOOL_LIMIT: "length",
}
_DONE = b"data: [DONE]\n\n"
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class UiPart(Lenient):
    type: str
    text: Any = None


class UiMessage(Lenient):
    id: str = ""
    role: str
    parts: tuple[UiPart, ...] = ()


class AiSdkChatRequest(Lenient):
    """Other members are ignored."""

    id: ExternalId
    """The external id of the room."""
    messages: list[UiMessage]
    """Only the last one of the role `user` counts."""
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    messageId: str | None = None  # noqa: N815 - the AI SDK's name
    """With `regenerate-message`: the reply, if it has an id of Parlor's."""
    ai_persona: PersonaName | None = None
    """The persona that answers, and that a new room gets; without it the room's."""


def last_said(messages: Sequence[UiMessage]) -> UiMessage | None:
    """The last user message."""
    return next((message for message in reversed(messages) if message.role == "user"), None)


def text_of(message: UiMessage) -> str:
    return "".join(part.text for part in message.parts if part.type == "text" and isinstance(part.text, str))


def file_part(message: UiMessage) -> int | None:
    """Where the message has a file."""
    return next((at for at, part in enumerate(message.parts) if part.type == "file"), None)


class UiMessageFrames(ReplyFrames):
    """The chunks of one reply. ``ended`` when the stream has nothing more to say."""

    def __init__(self, message_id: str) -> None:
        super().__init__()
        self._message_id = message_id
        self._open: tuple[str, int] | None = None
        """Kind and index of the part that is being written."""
        self._parts = 0
        self.opening = _frame({"type": "start", "messageId": message_id}) + _frame({"type": "start-step"})

    def _cut(self, reason: str) -> bytes:
        return self._fail(reason, "The stream ended before the reply did")

    def _frames(self, event: Event) -> bytes:
        if event.type == "room.deleted":
            return self._fail("room-not-found", "The room was deleted")
        if event.message_id != self._message_id:
            return b""
        match event.type:
            case "message.delta" | "message.part":
                return self._tell(self._said(_decode(event.data)))
            case "message.reasoning":
                return self._tell(self._said(_decode(event.data), "reasoning"))
            case "message.completed" | "message.stopped" | "message.failed":
                return self._finish(_decode(event.data))
            case "message.deleted":
                return self._fail("message-not-found", "The reply was deleted")
            case "message.reset" if self._parts:
                return self._fail("message-reset", "The reply began anew; load it again")
        return b""

    def _tell(self, said: Said) -> bytes:
        if not said.text:
            return b""
        begun = b""
        if self._open != (said.kind, said.part):
            begun = self._end_part()
            self._open = said.kind, said.part
            self._parts += 1
            begun += self._part(said.kind, "start")
        return begun + self._part(said.kind, "delta", delta=said.text)

    def _end_part(self) -> bytes:
        if self._open is None:
            return b""
        (kind, _), self._open = self._open, None
        return self._part(kind, "end")

    def _part(self, kind: str, step: str, **more: str) -> bytes:
        return _frame({"type": f"{kind}-{step}", "id": f"{kind}-{self._parts}", **more})

    def _finish(self, data: JsonForm) -> bytes:
        """What the events have not told, and the end."""
        message = data["message"]
        rest = b"".join(map(self._tell, self._rest(message)))
        reason = FinishReason(message["finish_reason"]) if message["finish_reason"] else None
        if reason is FinishReason.STOPPED:
            self.ended = True
            return rest + self._end_part() + _frame({"type": "abort"}) + _DONE
        if reason not in _FINISH:
            error = message.get("error") or data.get("error") or {}
            detail = error.get("detail") or "The reply was cut off before its end"
            return rest + self._fail(error.get("code") or str(reason or "interrupted"), detail)
        self.ended = True
        last = _frame({"type": "finish-step"}) + _frame({"type": "finish", "finishReason": _FINISH[reason]})
        return rest + self._end_part() + last + _DONE

    def _fail(self, code: str, detail: str) -> bytes:
        self.ended = True
        return self._end_part() + _frame({"type": "error", "errorText": f"{code}: {detail}"}) + _DONE


def _frame(form: JsonForm) -> bytes:
    return b"data: %b\n\n" % encode(form)

"""OpenAI's stream of a response: a reply's events with their ``sequence_number``.

The numbers follow from the events alone, so a stream that is opened again goes on exactly behind the number that its
reader names, as long as the log has the reply. Each attempt has numbers of its own: an event cannot take text back, so
when a reply begins anew after some of it was told, its stream ends as failed, and one that resumes behind the earlier
attempt does too. Where the log does not reach back to the beginning any more, the last event is told alone.
"""

from __future__ import annotations

from typing import Any

import msgspec

from api.dialects.openai_items import Piece, output_items, summary_content, text_content
from api.dialects.openai_responses import Asked, Ending, ending_of, response_form
from api.dialects.reply_frames import ReplyFrames
from parlor.model.messages import Event
from parlor.model.wire import JsonForm, encode

ATTEMPT_SPAN = 2**20
"""Numbers that each attempt has; a reply cannot be so long that it needs them."""
_OPENING = 2
"""Numbers before the first attempt's: ``response.created`` and ``response.in_progress``."""
_DONE = b"data: [DONE]\n\n"
_TERMINAL = {"completed": "response.completed", "failed": "response.failed"}
"""By status; all others are ``response.incomplete``."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class ResponseFrames(ReplyFrames):
    """The events of one response, behind the number ``after`` if that is given. ``ended`` when the stream has nothing
    more to say."""

    opening = b": open\n\n"

    def __init__(self, asked: Asked, after: int | None = None) -> None:
        super().__init__()
        self._asked = asked
        self._resumes = after is not None
        self._after = -1 if after is None else after
        self._next = 0
        self._pieces: list[Piece] = []
        """What was told, but for the text of the one that is open."""
        self._open: list[str] | None = None
        """The text of the last piece, while it is being told."""
        self._parts = 0
        """Parts of the message that were told of, whether they are items or not."""

    def _cut(self, reason: str) -> bytes:
        # Its number is the last one's: who resumes behind it gets what comes next.
        number = max(self._next - 1, self._after, 0)
        told = {"code": reason, "message": f"The stream ended before the reply did: {reason}", "param": None}
        self.ended = True
        return _frame("error", {"sequence_number": number, **told}) + _DONE

    def _frames(self, event: Event) -> bytes:
        if event.type == "room.deleted":
            return self._fail("room-not-found", "The room was deleted")
        if event.message_id != self._asked.message_id:
            return b""
        match event.type:
            case "message.delta" | "message.reasoning":
                return self._piece("text" if event.type == "message.delta" else "reasoning", _decode(event.data))
            case "message.part":
                return self._part(_decode(event.data))
            case "message.completed" | "message.stopped" | "message.failed":
                data = _decode(event.data)
                return self._close(data["message"], data.get("error"))
            case "message.deleted":
                return self._fail("message-not-found", "The reply was deleted")
            case "message.reset" if self._pieces:
                return self._fail("message-reset", "The reply began anew", keeps=True)
        return self._create()

    def _create(self) -> bytes:
        if self._next:
            return b""
        begun = {"response": response_form(self._asked, Ending())}
        return self._event("response.created", begun) + self._event("response.in_progress", begun)

    def _enter(self, attempt: int) -> bytes:
        """Before what an attempt says."""
        created = self._create()
        if attempt != self._attempt:
            if 0 < _attempt_of(self._after) < attempt:
                return created + self._fail("message-reset", "The reply began anew")
            self._attempt = attempt
            self._next = max(self._next, _OPENING + (attempt - 1) * ATTEMPT_SPAN)
        return created

    def _piece(self, kind: str, data: JsonForm) -> bytes:
        index = data["index"]
        # A part is missing, or the beginning of this one.
        self._has_gap = self._has_gap or data["offset"] != self._told[kind] or index > self._parts
        entered = b"" if self._has_gap else self._enter(data["attempt"])
        if self.ended or self._has_gap:
            return entered
        self._told[kind] += len(data["text"])
        self._parts = max(self._parts, index + 1)
        return entered + self._tell(Piece("text" if kind == "text" else "reasoning", index, data["text"]))

    def _part(self, data: JsonForm) -> bytes:
        """A call of the room's own, or reasoning as a whole, which may have been told piece by piece."""
        part, index = data["part"], data["index"]
        self._has_gap = self._has_gap or index > self._parts
        entered = b"" if self._has_gap else self._enter(data["attempt"])
        if self.ended or self._has_gap:
            return entered
        is_new, self._parts = index == self._parts, max(self._parts, index + 1)
        if not is_new or part["type"] != "reasoning":
            return entered
        self._told["reasoning"] += len(part["text"])
        return entered + self._tell(Piece("reasoning", index, part["text"]))

    def _tell(self, piece: Piece) -> bytes:
        """More of the piece that is open, or the beginning of the next one."""
        if not piece.text:
            return b""
        begun = b""
        if self._open is None or self._pieces[-1].index != piece.index:
            begun = self._finish("completed") + self._begin(piece)
        if self._open is not None:
            self._open.append(piece.text)
        match piece.kind:
            case "text":
                return begun + self._about("response.output_text.delta", delta=piece.text, logprobs=[])
            case "reasoning":
                return begun + self._about("response.reasoning_summary_text.delta", delta=piece.text)
            case "call":
                return begun + self._about("response.function_call_arguments.delta", delta=piece.text)

    def _begin(self, piece: Piece) -> bytes:
        empty = msgspec.structs.replace(piece, text="")
        self._pieces.append(empty)
        self._open = []
        item = self._item(empty, "in_progress")
        match piece.kind:
            case "text":
                return self._added({**item, "content": []}) + self._about(
                    "response.content_part.added", part=text_content("")
                )
            case "reasoning":
                return self._added({**item, "summary": []}) + self._about(
                    "response.reasoning_summary_part.added", part=summary_content("")
                )
            case "call":
                return self._added(item)

    def _finish(self, status: str) -> bytes:
        """The end of the piece that is open."""
        if self._open is None:
            return b""
        text, self._open = "".join(self._open), None
        piece = self._pieces[-1] = msgspec.structs.replace(self._pieces[-1], text=text)
        match piece.kind:
            case "text":
                told = self._about("response.output_text.done", text=text, logprobs=[])
                told += self._about("response.content_part.done", part=text_content(text))
            case "reasoning":
                told = self._about("response.reasoning_summary_text.done", text=text)
                told += self._about("response.reasoning_summary_part.done", part=summary_content(text))
            case "call":
                told = self._about("response.function_call_arguments.done", name=piece.name, arguments=text)
        at = len(self._pieces) - 1
        item = self._item(piece, status)
        return told + self._event("response.output_item.done", {"output_index": at, "item": item})

    def _close(self, message: JsonForm, error: JsonForm | None) -> bytes:
        ending, attempt = ending_of(message, error), max(1, message["attempt"])
        is_resumed_late = self._resumes and (self._has_gap or not self._next)
        if is_resumed_late and not 0 < _attempt_of(self._after) < attempt:
            self._next = max(self._next, self._after + 1)
            return self._end(ending)
        told = self._enter(attempt)
        if self.ended:
            return told
        for piece in ending.pieces:
            if self._open is not None and self._pieces[-1].index == piece.index:
                rest = piece.text[sum(map(len, self._open)) :]
                told += self._tell(msgspec.structs.replace(piece, text=rest))
            elif all(each.index != piece.index for each in self._pieces):
                told += self._tell(piece) if piece.text else self._finish("completed") + self._begin(piece)
        return told + self._finish(ending.item_status) + self._end(ending)

    def _fail(self, code: str, detail: str, *, keeps: bool = False) -> bytes:
        """``keeps``: what was told stays told; what was deleted is not told again."""
        last = self._finish("incomplete") if keeps else b""
        self._next = max(self._next, self._after + 1)
        return last + self._end(Ending("failed", self._pieces if keeps else [], error=(code, detail)))

    def _end(self, ending: Ending) -> bytes:
        self.ended = True
        whole = {"response": response_form(self._asked, ending)}
        return self._event(_TERMINAL.get(ending.status, "response.incomplete"), whole) + _DONE

    def _added(self, item: JsonForm) -> bytes:
        at = len(self._pieces) - 1
        return self._event("response.output_item.added", {"output_index": at, "item": item})

    def _about(self, kind: str, **more: object) -> bytes:
        """An event about the item that is open, or was."""
        piece = self._pieces[-1]
        form: JsonForm = {"item_id": self._item(piece, "")["id"], "output_index": len(self._pieces) - 1}
        if piece.kind == "text":
            form["content_index"] = 0
        elif piece.kind == "reasoning":
            form["summary_index"] = 0
        return self._event(kind, {**form, **more})

    def _item(self, piece: Piece, status: str) -> JsonForm:
        """The last item, saying what ``piece`` does."""
        return output_items(self._asked.message_id, [*self._pieces[:-1], piece], status)[-1]

    def _event(self, kind: str, form: JsonForm) -> bytes:
        number, self._next = self._next, self._next + 1
        return _frame(kind, {"sequence_number": number, **form}) if number > self._after else b""


def _attempt_of(number: int) -> int:
    """The attempt that a number belongs to; 0 for those before the first."""
    return (number - _OPENING) // ATTEMPT_SPAN + 1 if number >= _OPENING else 0


def _frame(kind: str, form: JsonForm) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encode({"type": kind, **form}))

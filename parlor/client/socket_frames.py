"""The frames of ``/v1/socket`` (subprotocol ``parlor.v1``), written and read. Nothing here waits or connects."""

from __future__ import annotations

from typing import Any

import msgspec

from parlor.client import calls
from parlor.client.calls import NewMessage
from parlor.client.errors import BadAnswer, refusal
from parlor.client.models import Event, JsonObject, Sent

PATH = "/v1/socket"
SUBPROTOCOL = "parlor.v1"
WINDOW = 32
"""Frames under way on one connection. The server serves as many at a time, and reads no more meanwhile."""
ACCOUNT = ""
"""What is followed, when it is not a room."""


class Answer(msgspec.Struct, frozen=True):
    """What the server answers to a frame."""

    ref: int | None
    status: int
    body: bytes

    def read(self) -> calls.Answer:
        """Returns what the same call is answered with over HTTP. Raises ``Refused``."""
        if not 200 <= self.status < 300:
            raise refusal(self.status, {}, self.body)
        return calls.Answer(self.status, {}, self.body)


class Heard(msgspec.Struct, frozen=True):
    """An event of what is followed."""

    subject: str
    event: Event


class _Frame(msgspec.Struct, frozen=True):
    ref: int | None = None
    status: int | None = None
    body: msgspec.Raw = msgspec.Raw(b"null")
    room_id: str | None = None
    account: bool = False
    id: str | None = None
    event: str | None = None
    data: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Frame).decode


def read(text: str) -> Answer | Heard:
    """Raises ``BadAnswer``."""
    try:
        frame = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadAnswer(f"not a frame: {error}") from error
    if frame.event is None:
        if frame.status is None:
            raise BadAnswer("a frame is neither an answer nor an event")
        return Answer(frame.ref, frame.status, bytes(frame.body))
    if frame.id is None or frame.data is None or (frame.room_id is None) != frame.account:
        raise BadAnswer(f"an event without its id, its data or what it is of: {frame.event}")
    return Heard(subject(frame.room_id), Event(id=frame.id, type=frame.event, data=frame.data))


def write(op: str, ref: int, fields: JsonObject) -> str:
    return msgspec.json.encode({"op": op, "ref": ref, **fields}).decode()


def subject(room_id: str | None) -> str:
    """The name under which a room is followed, however its id is written."""
    return ACCOUNT if room_id is None else room_id.lower()


def about(subject: str) -> JsonObject:
    return {"account": True} if subject == ACCOUNT else {"room_id": subject}


def send_fields(message: NewMessage) -> JsonObject:
    """What a frame has that sends the message; with its key, it is the same one however often it is sent."""
    key = message.idempotency_key or calls.key()
    return {"room_id": message.room_id, **calls.message_body(message), "idempotency_key": key}


def sent(answer: Answer) -> Sent:
    """Raises ``Refused`` and ``BadAnswer``."""
    return calls.read_sent(answer.read(), replayed=answer.status == 200)

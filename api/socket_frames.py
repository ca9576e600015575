"""The frames of ``GET /v1/socket``, as they come from a client and as they go to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from pydantic import ValidationError

from api.message_schemas import ChatMessageSendRequest
from api.problems import invalid, invalid_fields
from api.send_body import SendBody, is_sayable
from parlor.errors import InvalidRequest
from parlor.model.messages import Event, JsonObject
from parlor.model.requests import OnBusy, ReplyMode

Ref: TypeAlias = str | int | None
"""The client's own name for a frame; its answer has the same."""


class _Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    ref: Ref = None


class Authenticate(_Frame, frozen=True, tag="authenticate", kw_only=True):
    """The first frame of a client that sent neither a token nor a cookie with its handshake."""

    token: str


class SendFrame(_Frame, frozen=True, tag="send", kw_only=True):
    """A send, with the fields of ``SendBody``; one with ``parts`` is read by ``_read_send``."""

    room_id: str
    content: str
    ai_persona: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    metadata: JsonObject | None = None
    on_busy: OnBusy = OnBusy.ENQUEUE
    reply: ReplyMode = ReplyMode.AUTO
    idempotency_key: str | None = None


class Subscribe(_Frame, frozen=True, tag="subscribe", kw_only=True):
    """Asks for the events of a room, or of the account, after a cursor or from now on."""

    room_id: str | None = None
    account: Literal[True] | None = None
    after: str | None = None


class Unsubscribe(_Frame, frozen=True, tag="unsubscribe", kw_only=True):
    """Ends a subscription; harmless when there is none."""

    room_id: str | None = None
    account: Literal[True] | None = None


class Stop(_Frame, frozen=True, tag="stop", kw_only=True):
    """Ends a reply that is being written or waits for its turn."""

    room_id: str
    message_id: str
    attempt: int | None = None


class Ping(_Frame, frozen=True, tag="ping", kw_only=True):
    """Asks for an answer."""


class Send(msgspec.Struct, frozen=True):
    """A send as it is asked for."""

    ref: Ref
    room_id: str
    body: SendBody | ChatMessageSendRequest
    idempotency_key: str | None


Frame: TypeAlias = Authenticate | Send | Subscribe | Unsubscribe | Stop | Ping
_Readable: TypeAlias = Authenticate | SendFrame | Subscribe | Unsubscribe | Stop | Ping
OPS = ("authenticate", "send", "subscribe", "unsubscribe", "stop", "ping")
"""What a frame may ask for."""
_decode = msgspec.json.Decoder(_Readable).decode


class Malformed(Exception):
    """A frame that is not understood: what is wrong with it, and its ref if it has one."""

    def __init__(self, ref: Ref, error: InvalidRequest) -> None:
        super().__init__(error.detail)
        self.ref = ref
        self.error = error


def read(text: str) -> Frame:
    """Raises ``Malformed``."""
    try:
        found: _Readable = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return _explain(text, error)
    if not isinstance(found, SendFrame):
        return found
    body = SendBody(found.content, found.ai_persona, found.metadata, found.on_busy, found.reply)
    return Send(found.ref, found.room_id, body, found.idempotency_key) if is_sayable(body) else _explain(text, None)


def _explain(text: str, error: Exception | None) -> Frame:
    """A send that only the model of pydantic reads. Raises ``Malformed`` for everything else."""
    try:
        fields = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise Malformed(None, invalid((), "The frame is not JSON")) from None
    if not isinstance(fields, dict):
        raise Malformed(None, invalid((), "The frame is not a JSON object"))
    ref = fields.pop("ref", None)
    if not isinstance(ref, Ref) or isinstance(ref, bool):
        raise Malformed(None, invalid(("ref",), "The ref is neither a string nor an integer"))
    op = fields.pop("op", None)
    if op not in OPS:
        raise Malformed(ref, invalid(("op",), f"The op is none of {', '.join(OPS)}"))
    if op == "send":
        return _read_send(ref, fields)
    raise Malformed(ref, invalid((), str(error)))


def _read_send(ref: Ref, fields: dict[str, Any]) -> Send:
    room_id, key = fields.pop("room_id", None), fields.pop("idempotency_key", None)
    if not isinstance(room_id, str):
        raise Malformed(ref, invalid(("room_id",), "A send needs a room_id, which is a string"))
    if not isinstance(key, str | None):
        raise Malformed(ref, invalid(("idempotency_key",), "The idempotency_key is not a string"))
    try:
        return Send(ref, room_id, ChatMessageSendRequest.model_validate(fields), key)
    except ValidationError as wrong:
        raise Malformed(ref, invalid_fields(wrong.errors(), "body")) from None


class _Answer(msgspec.Struct, frozen=True):
    ref: Ref
    status: int
    body: msgspec.Raw


class _RoomEvent(msgspec.Struct, frozen=True):
    room_id: str
    id: str
    event: str
    data: msgspec.Raw


class _AccountEvent(msgspec.Struct, frozen=True):
    account: bool
    id: str
    event: str
    data: msgspec.Raw


_encode = msgspec.json.Encoder().encode


def answer(ref: Ref, status: int, body: bytes) -> str:
    """The answer to a frame; ``body`` is JSON."""
    return _encode(_Answer(ref, status, msgspec.Raw(body))).decode()


def event(room_id: str | None, found: Event) -> str:
    """An event of a room, or of the account."""
    data = msgspec.Raw(found.data)
    told = (
        _AccountEvent(True, found.cursor, found.type, data)
        if room_id is None
        else _RoomEvent(room_id, found.cursor, found.type, data)
    )
    return _encode(told).decode()

"""Every call of the API as a value: what is sent, and how its answer is read. Nothing here waits or connects."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from parlor.client.models import (
    ApprovalPage,
    Deleted,
    Edited,
    File,
    FilePage,
    JsonObject,
    Message,
    MessagePage,
    Persona,
    PersonaList,
    QueuePage,
    Room,
    RoomPage,
    SearchPage,
    Sent,
    ToolCall,
    ToolCallList,
    VariantPage,
    convert,
    decode,
)

_T = TypeVar("_T")
_Params = dict[str, str | int]
OnBusy: TypeAlias = Literal["enqueue", "reject", "interrupt", "rollback", "merge"]


@dataclass(frozen=True)
class NewMessage:
    """A message that is to be sent."""

    room_id: str
    content: str | None = None
    _: KW_ONLY
    files: Sequence[File] = ()
    ai_persona: str | None = None
    metadata: JsonObject | None = None
    on_busy: OnBusy | None = None
    reply: Literal["auto", "none"] | None = None
    idempotency_key: str | None = None
    """Sent again with it, it is the same message. None: a new key for each time that it is given to be sent."""


@dataclass(frozen=True)
class Answer:
    """An answer with a status of 2xx."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Call(Generic[_T]):
    """One request."""

    method: str
    path: str
    read: Callable[[Answer], _T]
    params: _Params = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: JsonObject | None = None
    upload: tuple[str, bytes] | None = None
    """A file's name and bytes, as a form."""
    repeatable: bool = True
    """Whether doing it twice is the same as once: by what it does, or by its key."""
    gone_is_done: bool = False
    """Whether a repeat that finds nothing any more means that an earlier try has done it."""
    seconds: float = 0.0
    """How long the server may take on top of the usual time."""


def key() -> str:
    """A new ``Idempotency-Key``."""
    return secrets.token_hex(16)


def _as(kind: type[_T]) -> Callable[[Answer], _T]:
    return lambda answer: convert(decode(answer.body), kind)


def _nothing(answer: Answer) -> None:
    del answer


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _keyed(given: str | None) -> dict[str, str]:
    escaped = (given or key()).replace("\\", "\\\\").replace('"', '\\"')
    return {"Idempotency-Key": f'"{escaped}"'}


def _id(text: str) -> str:
    """An id as one segment of a path, whatever it has."""
    return quote(text, safe="")


def _room(room_id: str) -> str:
    return f"/v1/rooms/{_id(room_id)}"


def message_path(room_id: str, message_id: str) -> str:
    return f"{_room(room_id)}/messages/{_id(message_id)}"


def room_events_path(room_id: str) -> str:
    return f"{_room(room_id)}/events"


def list_personas() -> Call[list[Persona]]:
    return Call("GET", "/v1/personas", lambda answer: _as(PersonaList)(answer).personas)


def create_room(
    title: str | None, ai_persona: str | None, external_id: str | None, idempotency_key: str | None
) -> Call[Room]:
    body = _given(title=title, ai_persona=ai_persona, external_id=external_id)
    return Call("POST", "/v1/rooms", _as(Room), headers=_keyed(idempotency_key), body=body)


def list_rooms(limit: int, cursor: str | None, external_id: str | None = None) -> Call[RoomPage]:
    params = _given(limit=limit, cursor=cursor, external_id=external_id)
    return Call("GET", "/v1/rooms", _as(RoomPage), params=params)


def get_room(room_id: str) -> Call[Room]:
    return Call("GET", _room(room_id), _as(Room))


def update_room(room_id: str, title: str | None, ai_persona: str | None) -> Call[Room]:
    return Call("PATCH", _room(room_id), _as(Room), body=_given(title=title, ai_persona=ai_persona))


def delete_room(room_id: str) -> Call[Room]:
    return Call("DELETE", _room(room_id), _as(Room))


def send(message: NewMessage, wait: int | None, *, persisted: bool) -> Call[Sent]:
    prefer = [*([f"wait={wait}"] if wait else []), *(["durability=persisted"] if persisted else [])]
    headers = {**_keyed(message.idempotency_key), **({"Prefer": ", ".join(prefer)} if prefer else {})}
    path = f"{_room(message.room_id)}/messages"
    return Call("POST", path, _sent, headers=headers, body=message_body(message), seconds=float(wait or 0))


def message_body(message: NewMessage) -> JsonObject:
    parts = [
        {"type": "image" if file.media_type.startswith("image/") else "file", "file_id": file.file_id}
        for file in message.files
    ]
    return _given(
        content=message.content,
        parts=parts or None,
        ai_persona=message.ai_persona,
        metadata=message.metadata,
        on_busy=message.on_busy,
        reply=message.reply,
    )


def _sent(answer: Answer) -> Sent:
    return read_sent(answer, replayed=answer.headers.get("idempotent-replayed", "") == "true")


def read_sent(answer: Answer, *, replayed: bool) -> Sent:
    """Raises ``BadAnswer``."""
    return convert({**decode(answer.body), "replayed": replayed}, Sent)


def list_messages(room_id: str, limit: int, before: int | None, after: int | None) -> Call[MessagePage]:
    params = _given(limit=limit, before=before, after=after)
    return Call("GET", f"{_room(room_id)}/messages", _as(MessagePage), params=params)


def get_message(room_id: str, message_id: str) -> Call[Message]:
    return Call("GET", message_path(room_id, message_id), _as(Message))


def delete_message(room_id: str, message_id: str) -> Call[Deleted]:
    return Call("DELETE", message_path(room_id, message_id), _as(Deleted))


def edit_message(room_id: str, message_id: str, content: str, idempotency_key: str | None) -> Call[Edited]:
    path = message_path(room_id, message_id)
    return Call("PATCH", path, _as(Edited), headers=_keyed(idempotency_key), body={"content": content})


def stop(room_id: str, message_id: str, attempt: int | None) -> Call[Message]:
    path = f"{message_path(room_id, message_id)}/stop"
    # Without an attempt, a repeat could stop the next one.
    return Call("POST", path, _as(Message), body=_given(attempt=attempt), repeatable=attempt is not None)


def regenerate(room_id: str, message_id: str, ai_persona: str | None, idempotency_key: str | None) -> Call[Message]:
    path = f"{message_path(room_id, message_id)}/regenerate"
    return Call("POST", path, _as(Message), headers=_keyed(idempotency_key), body=_given(ai_persona=ai_persona))


def continue_reply(room_id: str, message_id: str, idempotency_key: str | None) -> Call[Message]:
    path = f"{message_path(room_id, message_id)}/continue"
    return Call("POST", path, _as(Message), headers=_keyed(idempotency_key), body={})


def list_variants(room_id: str, message_id: str, limit: int, cursor: str | None) -> Call[VariantPage]:
    path = f"{message_path(room_id, message_id)}/variants"
    return Call("GET", path, _as(VariantPage), params=_given(limit=limit, cursor=cursor))


def list_queue(room_id: str, limit: int, cursor: str | None) -> Call[QueuePage]:
    return Call("GET", f"{_room(room_id)}/queue", _as(QueuePage), params=_given(limit=limit, cursor=cursor))


def list_approvals(limit: int, cursor: str | None) -> Call[ApprovalPage]:
    return Call("GET", "/v1/approvals", _as(ApprovalPage), params=_given(limit=limit, cursor=cursor))


def list_tool_calls(room_id: str, message_id: str) -> Call[list[ToolCall]]:
    path = f"{message_path(room_id, message_id)}/tool-calls"
    return Call("GET", path, lambda answer: _as(ToolCallList)(answer).tool_calls)


def decide(
    room_id: str, message_id: str, call: ToolCall, decision: str, arguments: JsonObject | None, reason: str | None
) -> Call[ToolCall]:
    # The same decision again is answered as before.
    body = _given(decision=decision, digest=call.digest, arguments=arguments, reason=reason)
    return Call("POST", f"{_call(room_id, message_id, call)}/decision", _as(ToolCall), body=body)


def post_result(room_id: str, message_id: str, call: ToolCall, content: str, *, is_error: bool) -> Call[ToolCall]:
    body = {"content": content, "digest": call.digest, "is_error": is_error}
    return Call("POST", f"{_call(room_id, message_id, call)}/result", _as(ToolCall), body=body)


def _call(room_id: str, message_id: str, call: ToolCall) -> str:
    return f"{message_path(room_id, message_id)}/tool-calls/{_id(call.tool_call_id)}"


def search(text: str, room_id: str | None, limit: int, cursor: str | None) -> Call[SearchPage]:
    return Call(
        "GET", "/v1/search", _as(SearchPage), params=_given(q=text, room_id=room_id, limit=limit, cursor=cursor)
    )


def export(room_id: str, form: str) -> Call[str]:
    return Call("GET", f"{_room(room_id)}/export", lambda answer: answer.body.decode(), params={"format": form})


def upload(name: str, content: bytes) -> Call[File]:
    # Equal bytes under the same name are the file that is there already.
    return Call("POST", "/v1/files", _as(File), upload=(name, content))


def list_files(limit: int, cursor: str | None) -> Call[FilePage]:
    return Call("GET", "/v1/files", _as(FilePage), params=_given(limit=limit, cursor=cursor))


def delete_file(file_id: str) -> Call[None]:
    return Call("DELETE", file_path(file_id), _nothing, gone_is_done=True)


def file_path(file_id: str) -> str:
    return f"/v1/files/{_id(file_id)}"

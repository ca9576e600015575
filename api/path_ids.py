"""Request paths: how they are read, and the ids in them. A malformed id names nothing, so it is answered with 404."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.types import Scope

from parlor.errors import MessageNotFound, RoomNotFound
from parlor.model.ids import MessageId, RoomId, partition_of

_SLASH = re.compile("(%2f)", re.IGNORECASE)


def path_of(scope: Scope) -> str:
    """The path that routes are found by: decoded, but for ``%2F``, which is no separator (RFC 3986 section 2.2).

    A web server's own decoding takes it for one, so that ``/v1/rooms%2F{id}`` would be the room, past the rules of a
    proxy that knows better.
    """
    raw: bytes = scope.get("raw_path") or b""
    if _SLASH.search(raw.decode("latin-1")) is None:
        path: str = scope["path"]
        return path
    parts = _SLASH.split(raw.partition(b"?")[0].decode("latin-1"))
    return "".join(part if _SLASH.fullmatch(part) else unquote(part) for part in parts)


def canonical_path(path: str) -> str:
    """The one spelling of an API path: ids may be written in either case, and nothing else has capitals."""
    return path.lower()


def room_id_of(text: str) -> RoomId:
    """Either case is read (RFC 9562 section 4). Raises ``RoomNotFound``."""
    room_id = text.lower()
    if partition_of(room_id) is None:
        raise RoomNotFound
    return RoomId(room_id)


def message_id_of(text: str) -> MessageId:
    """Either case is read. Raises ``MessageNotFound``."""
    message_id = text.lower()
    if partition_of(message_id) is None:
        raise MessageNotFound
    return MessageId(message_id)

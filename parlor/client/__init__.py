"""A client of Parlor's HTTP interface, for programs: ``Client``, and ``AsyncClient`` for asyncio.

    with Client("http://127.0.0.1:8000", token) as parlor:
        room = parlor.create_room("Tea")
        for delta in parlor.ask(room.room_id, "Which tea keeps me awake?"):
            print(delta.text, end="", flush=True)

It stands alone: it uses nothing else of Parlor, and can be installed without it (``clients/python``).
"""

from parlor.client.async_client import AsyncClient
from parlor.client.async_reply import AsyncReply
from parlor.client.async_socket import AsyncSocket
from parlor.client.calls import NewMessage
from parlor.client.errors import (
    BadAnswer,
    ClientError,
    Conflict,
    Forbidden,
    Invalid,
    NoAnswer,
    NotFound,
    Problem,
    RateLimited,
    Refused,
    ReplyDeleted,
    StreamExpired,
    Unauthenticated,
    Unavailable,
)
from parlor.client.fold import Delta
from parlor.client.models import (
    Approval,
    Deleted,
    Edited,
    Event,
    File,
    FilePart,
    ImagePart,
    Message,
    MessagePage,
    OtherPart,
    Part,
    Parts,
    Persona,
    ReasoningPart,
    Room,
    RoomPage,
    SearchResult,
    Sent,
    TextPart,
    ToolCall,
    ToolResult,
    Usage,
)
from parlor.client.retries import Retries
from parlor.client.sync_client import Client
from parlor.client.sync_reply import Reply
from parlor.client.sync_socket import Socket

__all__ = [
    "Approval",
    "AsyncClient",
    "AsyncReply",
    "AsyncSocket",
    "BadAnswer",
    "Client",
    "ClientError",
    "Conflict",
    "Deleted",
    "Delta",
    "Edited",
    "Event",
    "File",
    "FilePart",
    "Forbidden",
    "ImagePart",
    "Invalid",
    "Message",
    "MessagePage",
    "NewMessage",
    "NoAnswer",
    "NotFound",
    "OtherPart",
    "Part",
    "Parts",
    "Persona",
    "Problem",
    "RateLimited",
    "ReasoningPart",
    "Refused",
    "Reply",
    "ReplyDeleted",
    "Retries",
    "Room",
    "RoomPage",
    "SearchResult",
    "Sent",
    "Socket",
    "StreamExpired",
    "TextPart",
    "ToolCall",
    "ToolResult",
    "Unauthenticated",
    "Unavailable",
    "Usage",
]

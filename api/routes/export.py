"""Export of a whole room as a streamed file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.types import Receive, Scope, Send

from api import markdown
from api.auth import AuthenticatedRoute, caller_of
from api.edge import edge_of
from api.openapi import refusals
from api.path_ids import room_id_of
from api.sse import wait_for_disconnect
from parlor.errors import RoomNotFound
from parlor.model.messages import Message
from parlor.model.wire import encode, message_form

router = APIRouter(prefix="/v1/rooms/{room_id}/export", tags=["rooms"], route_class=AuthenticatedRoute)

_CHUNK = 64 * 1024
_MEDIA = {"jsonl": ("application/jsonl", "jsonl"), "markdown": ("text/markdown; charset=utf-8", "md")}
_CONTENT = {kind: {"schema": {"type": "string"}} for kind in ("application/jsonl", "text/markdown")}


@router.get(
    "",
    response_class=Response,
    responses={**refusals(RoomNotFound), 200: {"description": "The room", "content": _CONTENT}},
    summary="Export",
)
async def export_room(
    request: Request,
    room_id: str,
    format: Annotated[Literal["jsonl", "markdown"], Query()] = "jsonl",  # noqa: A002 -- API
) -> Response:
    """Every message in order, as lines of JSON or as Markdown. When the export fails, the connection is cut.

    In Markdown, a line that begins with `#` is a heading of Parlor's: first the room's title, then one for each turn
    with its seq, sender and time. What was said stands below it in a block quote, each line behind `>`. A message with
    HTML, or with definitions of links, is shown as it was typed.
    """
    gateway, session = edge_of(request).gateway, caller_of(request).session
    room = await gateway.get_room(session, room_id_of(room_id))
    messages = gateway.export(session, room.room_id)
    media_type, suffix = _MEDIA[format]
    head = b"" if format == "jsonl" else markdown.heading(room)
    headers = {
        "Content-Disposition": f'attachment; filename="room-{room.room_id}.{suffix}"',
        "Cache-Control": "no-store",
    }
    return _Download(head, messages, _line if format == "jsonl" else markdown.turn, media_type, headers)


class _Download(Response):
    """Streams messages in chunks of about 64 KiB, until the client disconnects."""

    def __init__(
        self,
        head: bytes,
        messages: AsyncIterator[Message],
        write: Callable[[Message], bytes],
        media_type: str,
        headers: dict[str, str],
    ) -> None:
        super().__init__(b"", 200, headers, media_type)
        del self.headers["content-length"]
        self._head = head
        self._messages = messages
        self._write = write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        running = asyncio.create_task(self._run(send))
        gone = asyncio.create_task(wait_for_disconnect(receive))
        try:
            await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            for task in (running, gone):
                task.cancel()
            await asyncio.gather(running, gone, return_exceptions=True)

    async def _run(self, send: Send) -> None:
        try:
            # Read before the first byte is sent, so that an error can still be answered with a problem.
            first = await anext(self._messages, None)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            chunk = bytearray(self._head)
            if first is not None:
                chunk += self._write(first)
                async for message in self._messages:
                    chunk += self._write(message)
                    if len(chunk) >= _CHUNK:
                        await send({"type": "http.response.body", "body": bytes(chunk), "more_body": True})
                        chunk.clear()
            await send({"type": "http.response.body", "body": bytes(chunk), "more_body": False})
        finally:
            if isinstance(self._messages, AsyncGenerator):
                await self._messages.aclose()


def _line(message: Message) -> bytes:
    return encode(message_form(message)) + b"\n"

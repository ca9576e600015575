"""Items of OpenAI's that a client brings along, as messages of a room."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from fastapi import Request

from api.auth import caller_of
from api.dialect_offers import FILES_MAX, image_of_file, image_of_url, kept
from api.dialect_rooms import checked_text
from api.dialects.openai_requests import TextContent, text_of
from api.dialects.openai_response_requests import InputImage, InputItem
from api.edge import edge_of
from api.idempotency import digest
from api.limits import check_content
from api.problems import invalid
from parlor.model.files import PromptImage
from parlor.model.ids import RoomId
from parlor.model.messages import Message, SenderType
from parlor.model.requests import Idempotency, ReplyMode, SendRequest

Where = tuple[str | int, ...]
SENDERS = {
    "user": SenderType.USER,
    "assistant": SenderType.AI,
    "system": SenderType.SYSTEM,
    "developer": SenderType.SYSTEM,
}


class Brought(msgspec.Struct, frozen=True):
    """A message that no reply is asked for."""

    sender: SenderType
    content: str
    images: Sequence[PromptImage] = ()


def check_items(where: Where, items: Sequence[InputItem], kinds: Collection[str]) -> None:
    """Raises ``InvalidRequest`` for items of other kinds, or with content that is not taken."""
    for index, item in enumerate(items):
        if item.type not in kinds:
            raise invalid((*where, index, "type"), f"Items of type `{item.type[:40]}` are not taken")
        taken = (TextContent, InputImage) if item.role == "user" else (TextContent,)
        for at, part in enumerate(item.content if isinstance(item.content, list) else ()):
            if not isinstance(part, taken):
                raise invalid((*where, index, "content", at), f"Content of type `{part.type[:40]}` is not taken here")


async def find_images(request: Request, where: Where, items: Sequence[InputItem]) -> None:
    """Reads the images that the items name by their files. Raises ``InvalidRequest``, and ``FileNotFound``."""
    files, session, left = edge_of(request).gateway.files, caller_of(request).session, FILES_MAX
    for index, item in enumerate(items):
        for at, part in enumerate(item.content if isinstance(item.content, list) else ()):
            if isinstance(part, InputImage) and part.file_id is not None:
                at_file = (*where, index, "content", at, "file_id")
                image = await image_of_file(files, session, at_file, part.file_id, left)
                left -= len(image.data)
                part.find(image)


def images_of(where: Where, item: InputItem) -> list[PromptImage]:
    """The images of the item at ``where``; those that are files have been read. Raises ``InvalidRequest``."""
    parts = item.content if isinstance(item.content, list) else []
    return [
        part.found or image_of_url((*where, "content", at, "image_url"), part.image_url or "")
        for at, part in enumerate(parts)
        if isinstance(part, InputImage)
    ]


def brought(request: Request, where: Where, item: InputItem) -> Brought:
    """The item at ``where`` as a message. Raises ``InvalidRequest`` and ``ContentTooLarge``."""
    content = checked_text((*where, "content"), text_of(item.content))
    check_content(content, edge_of(request).settings)
    return Brought(SENDERS[item.role], content, images_of(where, item))


async def append(
    request: Request, room_id: RoomId, messages: Sequence[Brought], idempotency: Idempotency | None
) -> list[Message]:
    """Adds the messages to the room, in order; with a key each of them once. Raises what a send raises."""
    edge, caller = edge_of(request), caller_of(request)
    await edge.limits.admit_send(caller.session.account_id, request.scope)
    added = []
    for number, each in enumerate(messages):
        key = None
        if idempotency is not None:
            asked = digest(idempotency.fingerprint, each.sender, each.content)
            key = Idempotency(f"{idempotency.key}#{number}", asked)
        command = SendRequest(
            content=each.content,
            reply=ReplyMode.NONE,
            sender=each.sender,
            idempotency=key,
            parts=await kept(edge.gateway.files, caller.session, each.content, each.images),
        )
        added.append((await edge.gateway.send_message(caller.session, room_id, command)).message)
    return added

"""Tools and images that requests in other programs' dialects bring along."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeAlias

from api.problems import invalid
from parlor.files.files import FileShelf
from parlor.files.media_types import Sniffer
from parlor.llm.ports import ModelCall
from parlor.model.access import Session
from parlor.model.files import File, PromptImage
from parlor.model.offers import OfferedTool
from parlor.model.parts import ImagePart, StoredParts, TextSpan

TOOLS_MAX = 128
"""As OpenAI has it."""
WITH_IMAGES = ("/openai/v1/chat/completions", "/openai/v1/responses", "/anthropic/v1/messages", "/api/chat")
"""Paths whose bodies may have images."""
FILES_MAX = 20 * 1024 * 1024
"""Bytes of the images that a request names by their files: they are in memory while it is answered."""
_SHOWN_BY_MODELS = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

Where: TypeAlias = Sequence[str | int]


def offered(where: Where, tools: Sequence[OfferedTool]) -> tuple[OfferedTool, ...]:
    """Raises ``InvalidRequest`` for tools that a model cannot tell apart, or too many."""
    names = [tool.name for tool in tools]
    if len(names) > TOOLS_MAX:
        raise invalid(where, f"At most {TOOLS_MAX} tools are taken")
    again = next((at for at, name in enumerate(names) if name in names[:at]), None)
    if again is not None:
        raise invalid((*where, again), f"The tool `{names[again]}` is there twice")
    return tuple(tools)


def image_of_url(where: Where, url: str) -> PromptImage:
    """The image that a data URL is. Raises ``InvalidRequest``; nothing is fetched."""
    head, _, data = url.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64"):
        raise invalid(where, "Images are taken as data URLs (`data:image/png;base64,...`); other URLs are not fetched")
    return image_of(where, data)


def image_of(where: Where, data: str) -> PromptImage:
    """The image that a text in base64 is; what type it is, its bytes say. Raises ``InvalidRequest``."""
    try:
        found = base64.b64decode(data, validate=True)
    except binascii.Error:
        raise invalid(where, "The image is not base64") from None
    sniffer = Sniffer()
    sniffer.feed(found)
    media_type = sniffer.media_type("")
    if media_type not in _SHOWN_BY_MODELS:
        raise invalid(where, f"An image has to be PNG, JPEG, GIF or WebP; this is {media_type}")
    return PromptImage(media_type, found)


async def image_of_file(files: FileShelf, session: Session, where: Where, file_id: str, most: int) -> PromptImage:
    """The image that a file of the account is. Raises ``FileNotFound``, and ``InvalidRequest`` for another kind of file
    or one of more than ``most`` bytes."""
    file = await files.file(session, file_id.lower())
    if file.media_type not in _SHOWN_BY_MODELS:
        raise invalid(where, f"An image has to be PNG, JPEG, GIF or WebP; this is {file.media_type}")
    if file.size > most:
        raise invalid(where, f"The images of a request may have {FILES_MAX} bytes")
    data = b"".join([chunk async for chunk in files.read(file, 0, file.size)])
    return PromptImage(file.media_type, data, file)


def require_alone(call: ModelCall) -> None:
    """Raises ``InvalidRequest`` for a call that brings along what a room has of its own."""
    for name, is_there in (("tools", call.tools), ("response_format", call.form)):
        if is_there:
            raise invalid(("body", name), f"`{name}` is not taken in a room: its persona decides that")


async def kept(files: FileShelf, session: Session, content: str, images: Sequence[PromptImage]) -> StoredParts | None:
    """The parts of a message with these images; those that are no files of the account yet become some. None for a text
    alone."""
    parts: list[TextSpan | ImagePart] = [TextSpan(len(content))]
    for image in images:
        file = image.file or await _uploaded(files, session, image)
        parts.append(ImagePart(file.file_id, file.name, file.media_type, file.size))
    return tuple(parts) if images else None


async def _uploaded(files: FileShelf, session: Session, image: PromptImage) -> File:
    async with files.receive(session) as upload:
        await upload.write(image.data)
        return await upload.keep(f"image.{image.media_type.rpartition('/')[2]}")

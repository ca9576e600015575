"""The files of a message as a language model is shown them: images as they are, documents as text, what cannot be shown
by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from parlor.errors import FileNotFound
from parlor.files.pdf import PdfUnreadable, text_of_pdf
from parlor.files.ports import FileStore
from parlor.llm.tokens import cut, estimate_tokens
from parlor.model.files import Attached, File, PromptImage, ShownFile
from parlor.model.ids import FileId, Partition, ShardId, home_of
from parlor.model.messages import Message
from parlor.model.parts import FilePart, ImagePart
from parlor.settings.uploads import FileSettings
from parlor.store.files import FileRows

TEXT_MAX = 2 * 1024 * 1024
"""Bytes that are read of a text: more than any prompt has."""
_REMEMBERED = 32
"""Texts of PDF documents that a process keeps, because taking one out is slow and a room asks for it at each turn."""
_TEXTS = ("text/", "application/json")


class FileContents:
    """Reads what prompts have of files. Raises ``StoreUnavailable``."""

    def __init__(
        self,
        rows: FileRows,
        store: FileStore,
        shard_of: Callable[[Partition], Awaitable[ShardId]],
        settings: FileSettings,
    ) -> None:
        self._rows = rows
        self._store = store
        self._shard_of = shard_of
        self._settings = settings
        self._texts: OrderedDict[FileId, str] = OrderedDict()

    async def load(self, message: Message, tokens: int) -> Attached:
        """Returns what the message's files add to a prompt; their texts together have at most ``tokens``."""
        parts = [part for part in message.parts or () if isinstance(part, ImagePart | FilePart)]
        if not parts:
            return Attached()
        shard = await self._shard_of(home_of(message.room_id))
        texts: list[str] = []
        images: list[PromptImage] = []
        files: list[ShownFile] = []
        for part in parts:
            file = await self._rows.find(shard, FileId(part.file_id))
            found = _gone(part) if file is None else await self._shown(file, part, tokens)
            tokens = max(0, tokens - estimate_tokens(found.text))
            texts.append(found.text)
            images += found.images
            files += found.files
        return Attached("\n\n".join(texts), tuple(images), tuple(files))

    async def _shown(self, file: File, part: ImagePart | FilePart, tokens: int) -> Attached:
        try:
            if file.media_type.startswith("image/"):
                return await self._image(file)
            if file.media_type.startswith(_TEXTS):
                text = (await self._bytes(file, TEXT_MAX)).decode("utf-8-sig", "replace")
            elif file.media_type == "application/pdf":
                text = await self._pdf(file)
            else:
                return _unreadable(file, "only its name can be shown")
        except FileNotFound:
            return _gone(part)
        except PdfUnreadable as error:
            return _unreadable(file, str(error))
        if not text.strip():
            return _unreadable(file, "there is no text in it")
        return _text(file, text, tokens)

    async def _image(self, file: File) -> Attached:
        if file.size > self._settings.image_max:
            return _unreadable(file, "it is too large to be shown")
        data = await self._bytes(file, file.size)
        shown = ShownFile(file.file_id, file.name, "whole")
        return Attached(f"[Image: {file.name}]", (PromptImage(file.media_type, data),), (shown,))

    async def _pdf(self, file: File) -> str:
        if file.blob_id not in self._texts:
            self._texts[file.blob_id] = await text_of_pdf(await self._bytes(file, file.size))
        self._texts.move_to_end(file.blob_id)
        if len(self._texts) > _REMEMBERED:
            self._texts.popitem(last=False)
        return self._texts[file.blob_id]

    async def _bytes(self, file: File, most: int) -> bytes:
        data = bytearray()
        async for chunk in self._store.read(file.blob_id, 0, min(file.size, most)):
            data += chunk
        return bytes(data)


def _text(file: File, text: str, tokens: int) -> Attached:
    head = cut(text, tokens)
    whole = len(head) == len(text) and file.size <= TEXT_MAX
    extent = "" if whole else f", its first {len(head)} characters of {len(text)}"
    shown = ShownFile(file.file_id, file.name, "whole" if whole else "cut", len(head), len(text))
    return Attached(f"[File: {file.name}{extent}]\n{head}\n[End of {file.name}]", files=(shown,))


def _unreadable(file: File, why: str) -> Attached:
    kind = "Image" if file.media_type.startswith("image/") else "File"
    shown = ShownFile(file.file_id, file.name, "unreadable")
    return Attached(f"[{kind}: {file.name} ({file.media_type}, {file.size} bytes): {why}]", files=(shown,))


def _gone(part: ImagePart | FilePart) -> Attached:
    kind = "Image" if isinstance(part, ImagePart) else "File"
    text = f"[{kind}: {part.name}: it was deleted, and its content is not there any more]"
    return Attached(text, files=(ShownFile(part.file_id, part.name, "gone"),))

"""The client for asyncio. ``sync_client.py`` is made from this module; what is decided is decided in the others.

Made from ``async_client.py`` by ``python -m tests.sync_client``: change that."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from ssl import SSLContext
from types import TracebackType
from typing import Literal, Self

import httpx2

from parlor.client import calls
from parlor.client.calls import NewMessage, OnBusy
from parlor.client.connection import Connection, Token
from parlor.client.errors import ReplyDeleted
from parlor.client.models import (
    Approval,
    Deleted,
    Edited,
    Event,
    File,
    JsonObject,
    Message,
    MessagePage,
    Persona,
    Room,
    RoomPage,
    SearchResult,
    Sent,
    ToolCall,
)
from parlor.client.retries import Retries
from parlor.client.sync_reply import Reply
from parlor.client.sync_socket import Socket
from parlor.client.sync_transport import Transport


class Client:
    """One account's access to one server. Calls are repeated while that may help, and do what they do once however
    often they are repeated; then they raise a ``ClientError``."""

    def __init__(
        self,
        base_url: str,
        token: Token,
        *,
        retries: Retries | None = None,
        timeout: float = 60.0,
        sleep: Callable[[float], None] | None = None,
        http: httpx2.Client | None = None,
    ) -> None:
        """``timeout``: seconds for one try. ``sleep``: what makes the pauses between two, instead of a clock. ``http``:
        a client of your own, for its proxies and certificates; it is not closed with this one."""
        self._connection = Connection(base_url, token, retries, timeout)
        self._sleep = sleep
        self._transport = Transport(self._connection, http, sleep or time.sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def personas(self) -> list[Persona]:
        return self._transport.call(calls.list_personas())

    def create_room(
        self,
        title: str | None = None,
        *,
        ai_persona: str | None = None,
        external_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Room:
        """A new room, or the one that has the ``external_id`` already."""
        return self._transport.call(calls.create_room(title, ai_persona, external_id, idempotency_key))

    def list_rooms(self, limit: int = 20, cursor: str | None = None) -> RoomPage:
        """One page, newest activity first."""
        return self._transport.call(calls.list_rooms(limit, cursor))

    def rooms(self) -> Iterator[Room]:
        """All rooms, newest activity first."""
        cursor: str | None = None
        while True:
            page = self.list_rooms(100, cursor)
            yield from page.rooms
            if (cursor := page.next_cursor) is None:
                return

    def find_room(self, external_id: str) -> Room | None:
        page = self._transport.call(calls.list_rooms(1, None, external_id))
        return page.rooms[0] if page.rooms else None

    def get_room(self, room_id: str) -> Room:
        return self._transport.call(calls.get_room(room_id))

    def update_room(self, room_id: str, *, title: str | None = None, ai_persona: str | None = None) -> Room:
        return self._transport.call(calls.update_room(room_id, title, ai_persona))

    def delete_room(self, room_id: str) -> Room:
        return self._transport.call(calls.delete_room(room_id))

    def send(
        self,
        room_id: str,
        content: str | None = None,
        *,
        files: Sequence[File] = (),
        ai_persona: str | None = None,
        metadata: JsonObject | None = None,
        on_busy: OnBusy | None = None,
        reply: Literal["auto", "none"] | None = None,
        wait: int | None = None,
        persisted: bool = False,
        idempotency_key: str | None = None,
    ) -> Sent:
        """Sends a message; it is stored once, however often it has to be sent. ``wait``: seconds to wait for the end of
        the reply. ``persisted``: wait for the commit in the database."""
        message = NewMessage(
            room_id,
            content,
            files=files,
            ai_persona=ai_persona,
            metadata=metadata,
            on_busy=on_busy,
            reply=reply,
            idempotency_key=idempotency_key,
        )
        return self._transport.call(calls.send(message, wait, persisted=persisted))

    def ask(
        self,
        room_id: str,
        content: str | None = None,
        *,
        files: Sequence[File] = (),
        ai_persona: str | None = None,
        metadata: JsonObject | None = None,
        on_busy: OnBusy | None = None,
        idempotency_key: str | None = None,
    ) -> Reply:
        """Sends a message and returns its reply, to be iterated."""
        sent = self.send(
            room_id,
            content,
            files=files,
            ai_persona=ai_persona,
            metadata=metadata,
            on_busy=on_busy,
            idempotency_key=idempotency_key,
        )
        if sent.reply is None:
            raise ReplyDeleted("no reply is reserved")
        return self.reply(room_id, sent.reply.message_id, cursor=sent.cursor, attempt=sent.reply.attempt)

    def reply(self, room_id: str, message_id: str, *, cursor: str | None = None, attempt: int = 0) -> Reply:
        """A reply that was asked for: from the cursor, or from its start."""
        return Reply(self._transport, room_id, message_id, cursor, attempt)

    def list_messages(
        self, room_id: str, limit: int = 50, *, before: int | None = None, after: int | None = None
    ) -> MessagePage:
        """One page by ascending seq: the newest, or the one before or after a seq."""
        return self._transport.call(calls.list_messages(room_id, limit, before, after))

    def history(self, room_id: str, *, after: int = 0) -> Iterator[Message]:
        """All messages, oldest first."""
        while True:
            page = self.list_messages(room_id, 200, after=after)
            for message in page.messages:
                yield message
                after = message.seq
            if not page.has_more or not page.messages:
                return

    def get_message(self, room_id: str, message_id: str) -> Message:
        return self._transport.call(calls.get_message(room_id, message_id))

    def delete_message(self, room_id: str, message_id: str) -> Deleted:
        return self._transport.call(calls.delete_message(room_id, message_id))

    def edit(self, room_id: str, message_id: str, content: str, *, idempotency_key: str | None = None) -> Edited:
        """New content for the last user message, or for one that waits; its reply begins anew."""
        return self._transport.call(calls.edit_message(room_id, message_id, content, idempotency_key))

    def stop(self, room_id: str, message_id: str, attempt: int | None = None) -> Message:
        """Ends a reply; its text stays. With its ``attempt`` the call is safe to repeat, and is repeated."""
        return self._transport.call(calls.stop(room_id, message_id, attempt))

    def regenerate(
        self, room_id: str, message_id: str, *, ai_persona: str | None = None, idempotency_key: str | None = None
    ) -> Reply:
        """Begins the next attempt of the room's last reply."""
        message = self._transport.call(calls.regenerate(room_id, message_id, ai_persona, idempotency_key))
        return self.reply(room_id, message.message_id, attempt=message.attempt)

    def continue_reply(self, room_id: str, message_id: str, *, idempotency_key: str | None = None) -> Reply:
        """Lets the room's last reply go on behind the text that it has; that text comes first."""
        message = self._transport.call(calls.continue_reply(room_id, message_id, idempotency_key))
        return self.reply(room_id, message.message_id, attempt=message.attempt)

    def variants(self, room_id: str, message_id: str) -> Iterator[Message]:
        """All versions of a message, oldest first; the last one is the current one."""
        cursor: str | None = None
        while True:
            page = self._transport.call(calls.list_variants(room_id, message_id, 100, cursor))
            yield from page.variants
            if (cursor := page.next_cursor) is None:
                return

    def queue(self, room_id: str) -> Iterator[Message]:
        """The user messages that wait for their turn."""
        cursor: str | None = None
        while True:
            page = self._transport.call(calls.list_queue(room_id, 100, cursor))
            yield from page.messages
            if (cursor := page.next_cursor) is None:
                return

    def approvals(self) -> Iterator[Approval]:
        """The calls of tools that wait for a decision, in all rooms; those of older replies first."""
        cursor: str | None = None
        while True:
            page = self._transport.call(calls.list_approvals(100, cursor))
            yield from page.approvals
            if (cursor := page.next_cursor) is None:
                return

    def tool_calls(self, room_id: str, message_id: str) -> list[ToolCall]:
        return self._transport.call(calls.list_tool_calls(room_id, message_id))

    def approve(
        self, room_id: str, message_id: str, call: ToolCall, *, arguments: JsonObject | None = None
    ) -> ToolCall:
        """Has the call made, as it is shown in ``call``; with other ``arguments`` if it is ``editable``. Raises
        ``Conflict`` when something else was decided, or when it is not the call that is there."""
        return self._transport.call(calls.decide(room_id, message_id, call, "approve", arguments, None))

    def deny(self, room_id: str, message_id: str, call: ToolCall, *, reason: str | None = None) -> ToolCall:
        """The model is told that the call was not made, and why. Raises as ``approve``."""
        return self._transport.call(calls.decide(room_id, message_id, call, "deny", None, reason))

    def post_result(
        self, room_id: str, message_id: str, call: ToolCall, content: str, *, is_error: bool = False
    ) -> ToolCall:
        """What came of a call that you executed. Raises as ``approve``."""
        return self._transport.call(calls.post_result(room_id, message_id, call, content, is_error=is_error))

    def search(self, text: str, *, room_id: str | None = None) -> Iterator[SearchResult]:
        """Messages that have every word of the text, newest first."""
        cursor: str | None = None
        while True:
            page = self._transport.call(calls.search(text, room_id, 20, cursor))
            yield from page.results
            if (cursor := page.next_cursor) is None:
                return

    def export(self, room_id: str, form: Literal["markdown", "jsonl"] = "markdown") -> str:
        """The whole room as one text."""
        return self._transport.call(calls.export(room_id, form))

    def upload(self, name: str, content: bytes) -> File:
        """Equal bytes under the same name are the file that is there already."""
        return self._transport.call(calls.upload(name, content))

    def files(self) -> Iterator[File]:
        """The account's files, newest first."""
        cursor: str | None = None
        while True:
            page = self._transport.call(calls.list_files(100, cursor))
            yield from page.files
            if (cursor := page.next_cursor) is None:
                return

    def download(self, file_id: str) -> bytes:
        """The bytes of a file. After a cut it goes on where it was."""
        return self._transport.download(calls.file_path(file_id))

    def delete_file(self, file_id: str) -> None:
        self._transport.call(calls.delete_file(file_id))

    def room_events(self, room_id: str, after: str | None = None) -> Generator[Event]:
        """The events of a room after a cursor, or from now on, without end; through cuts, none is missing and none
        comes twice. Raises ``StreamExpired`` when the server does not have them any more."""
        return self._transport.events(calls.room_events_path(room_id), after)

    def account_events(self, after: str | None = None) -> Generator[Event]:
        """The events of the account, as ``room_events``."""
        return self._transport.events("/v1/events", after)

    def connect(self, *, ssl: SSLContext | None = None) -> Socket:
        """One connection for many sends, and for the events of many rooms; a context manager. ``ssl``: certificates
        other than this machine's."""
        return Socket(self._connection, ssl, self._sleep)

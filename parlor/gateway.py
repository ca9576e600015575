"""What a front door (the HTTP edge, a test, a script) can ask of Parlor: the seven requests and the streams.

``actors.gateway.ActorGateway`` is the implementation: it routes to the actors and reads from the stores.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from parlor.ids import MessageId, RoomId
from parlor.llm.ports import Persona
from parlor.model import (
    DailyUse,
    DeleteReceipt,
    DependencyHealth,
    EditReceipt,
    Event,
    Message,
    MessagePage,
    Room,
    RoomMemory,
    RoomPage,
    SendReceipt,
    SendRequest,
    Session,
    StateReport,
)


class Subscription(Protocol):
    """A place in an event log. Iterate for batches of events; an empty batch means that a heartbeat is due."""

    @property
    def cursor(self) -> str:
        """Where the reader begins: ``stream.reconnect`` names it when a stream ends before its first event."""

    def __aiter__(self) -> AsyncIterator[list[Event]]: ...


class Gateway(Protocol):
    """Every method checks that the room is the session's own: another's room is ``RoomNotFound`` (I16)."""

    async def session(self, account_id: str) -> Session:
        """The account's session; the account is made when first seen. Raises ``StoreUnavailable``."""

    async def create_room(self, session: Session, title: str | None, ai_persona: str | None) -> Room: ...

    async def list_rooms(self, session: Session, limit: int, cursor: str | None) -> RoomPage: ...

    async def get_room(self, session: Session, room_id: RoomId) -> Room: ...

    async def rename_room(self, session: Session, room_id: RoomId, title: str) -> Room: ...

    async def delete_room(self, session: Session, room_id: RoomId) -> Room:
        """The room in state DELETING (or DELETED); harmless when repeated."""

    async def room_state(self, session: Session, room_id: RoomId) -> StateReport: ...

    async def send_message(self, session: Session, room_id: RoomId, request: SendRequest) -> SendReceipt: ...

    async def list_messages(
        self, session: Session, room_id: RoomId, limit: int, before: int | None, after: int | None
    ) -> MessagePage: ...

    async def get_message(self, session: Session, room_id: RoomId, message_id: MessageId) -> Message: ...

    async def delete_message(self, session: Session, room_id: RoomId, message_id: MessageId) -> DeleteReceipt: ...

    async def stop_reply(
        self, session: Session, room_id: RoomId, message_id: MessageId, attempt: int | None
    ) -> Message:
        """Ends a reply that is being written, or that waits for its turn, as ``stopped``; its text stays. The reply as
        it is then: one that has ended is left alone, so is one that is at another attempt than ``attempt``. Raises
        ``InvalidRequest`` for a message that is not a reply."""

    async def regenerate(self, session: Session, room_id: RoomId, message_id: MessageId) -> Message:
        """A new attempt of the last reply; the one before is kept as a variant. Raises ``RoomBusy`` while it is being
        written, ``IllegalTransition`` when it is not the last reply, or deleted."""

    async def variants(self, session: Session, room_id: RoomId, message_id: MessageId) -> list[Message]:
        """What the message said before, ascending, and what it says now: attempts of a reply, or edits."""

    async def edit_message(self, session: Session, room_id: RoomId, message_id: MessageId, content: str) -> EditReceipt:
        """New content for the last message of a person, or one that waits for its turn. A reply to it that was begun is
        stopped, kept as a variant, and begun anew. Raises ``IllegalTransition`` for any other message."""

    async def queued_messages(self, session: Session, room_id: RoomId) -> list[Message]:
        """A person's messages whose replies wait for their turn, ascending: they can be edited and deleted."""

    async def room_memory(self, session: Session, room_id: RoomId) -> RoomMemory: ...

    async def reset_memory(self, session: Session, room_id: RoomId) -> RoomMemory:
        """Forgets the summary; the next one is made from the messages."""

    async def usage(self, session: Session, first: str, last: str) -> list[DailyUse]:
        """Days (``YYYY-MM-DD``, UTC) from ``first`` to ``last``, both included, ascending; days without use are left
        out. What is committed."""

    async def message_state(self, session: Session, room_id: RoomId, message_id: MessageId) -> StateReport: ...

    async def wait_for_reply(self, session: Session, room_id: RoomId, message_id: MessageId, seconds: float) -> Message:
        """The reply when it has ended, or as it is after ``seconds``."""

    async def wait_for_commit(
        self, session: Session, room_id: RoomId, message_id: MessageId, seconds: float
    ) -> Message:
        """The message when its shard has it; ``StoreUnavailable`` after ``seconds`` (it is kept and will follow)."""

    def room_events(
        self, session: Session, room_id: RoomId, after: str | None
    ) -> AbstractAsyncContextManager[Subscription]:
        """From the cursor, or from now. Entering raises ``RoomNotFound``, ``StreamExpired`` or ``InvalidRequest``."""

    def reply_events(
        self, session: Session, room_id: RoomId, message_id: MessageId, after: str | None
    ) -> AbstractAsyncContextManager[Subscription]:
        """From the reply's start or the cursor to its last event; one `message.completed` when the log is gone."""

    def turn_events(
        self, session: Session, room_id: RoomId, receipt: SendReceipt
    ) -> AbstractAsyncContextManager[Subscription]:
        """The events of one send's messages from ``receipt.cursor`` to the reply's last one."""

    def account_events(self, session: Session, after: str | None) -> AbstractAsyncContextManager[Subscription]: ...

    def export(self, session: Session, room_id: RoomId) -> AsyncIterator[Message]:
        """Every message of the room in order, read in pages."""

    async def personas(self) -> list[Persona]:
        """Who can answer, in the order of ``personas.toml``."""

    async def readiness(self) -> list[DependencyHealth]: ...

    async def close(self) -> None: ...

"""The interface that the HTTP edge, tests and scripts use to reach Parlor: its requests and its streams.

``actors.gateway.ActorGateway`` implements it: it routes commands to the actors and reads from the stores.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import date, tzinfo
from typing import Protocol, Self

from parlor.administration.ports import Administration
from parlor.files.files import FileShelf
from parlor.llm.ports import ModelCall, Persona
from parlor.model.access import Credential, DailyUse, SealedSession, Session, StreamTicket, TicketHolder
from parlor.model.budgets import Ask, Budget, Payer, Reservation
from parlor.model.ids import AccountId, InstallationId, MessageId, RoomId
from parlor.model.messages import Event, Message, MessageList, MessagePage, Usage
from parlor.model.parts import ToolCallPart
from parlor.model.requests import (
    AttemptReceipt,
    DeleteReceipt,
    DependencyHealth,
    EditReceipt,
    Idempotency,
    RoomReceipt,
    SendReceipt,
    SendRequest,
    StateReport,
    WaitingPage,
)
from parlor.model.rooms import Room, RoomMemory, RoomPage
from parlor.model.search import SearchPage
from parlor.model.tools import Decision, PostedResult
from parlor.settings.account_limits import AccountLimits
from parlor.store.access import Access
from parlor.store.audit_log import AuditLog


class Subscription(Protocol):
    """A reader of an event log. Iterate for batches of events, each small enough to be written at once; an empty batch
    means that a heartbeat is due. What is deleted before a batch is asked for is not in it (I20)."""

    @property
    def cursor(self) -> str:
        """Where the reader begins; sent in ``stream.reconnect`` when a stream ends before its first event."""

    def __aiter__(self) -> AsyncIterator[list[Event]]: ...


class Answer(Subscription, Protocol):
    """The events of an answer outside of any room: ``message.delta``, then ``message.completed`` or ``message.failed``.
    Entering begins it, and raises ``UnknownPersona`` and ``ContentTooLarge``."""

    @property
    def message(self) -> Message:
        """The answer as it is now."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


class Budgets(Protocol):
    """Reservations for calls of the language model that belong to no turn (I23). ``parlor.llm.prices.ask_of`` says what
    a call may use; the answer may have ``Reservation.answer_tokens``."""

    async def reserve(self, payer: Payer, ask: Ask) -> Reservation:
        """Raises ``QuotaExceeded``. Whoever has reserved something renews it every ten seconds, and settles it."""

    async def renew(self, reservation: Reservation, usage: Usage) -> None:
        """A sign of life, with what was used so far."""

    async def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Counts what was used, once, and gives back the rest."""


class Gateway(Protocol):
    """Every method with a room checks that it belongs to the session's account, and raises ``RoomNotFound`` if not
    (I16)."""

    @property
    def access(self) -> Access:
        """What there is to know of credentials."""

    @property
    def administration(self) -> Administration:
        """What operators may do."""

    @property
    def files(self) -> FileShelf:
        """The files of accounts."""

    @property
    def audit(self) -> AuditLog:
        """Who did what to whom."""

    @property
    def limits(self) -> AccountLimits:
        """What each account may use."""

    async def session(self, account_id: str) -> Session:
        """Returns the account's session; creates the account at its first request. Raises ``StoreUnavailable``."""

    async def create_room(
        self,
        session: Session,
        title: str | None,
        ai_persona: str | None,
        idempotency: Idempotency | None = None,
        external_id: str | None = None,
        metadata: str | None = None,
    ) -> RoomReceipt:
        """Creates a room, or finds the one that was created with the idempotency key, or that has the external id.
        Raises ``RoomNotFound`` when the key's was deleted; the external id of a deleted room is free."""

    async def find_rooms(self, session: Session, external_id: str) -> RoomPage:
        """Returns the account's room with this external id, as a page of one or none."""

    async def list_rooms(self, session: Session, limit: int, cursor: str | None) -> RoomPage: ...

    async def get_room(self, session: Session, room_id: RoomId) -> Room: ...

    async def update_room(
        self,
        session: Session,
        room_id: RoomId,
        title: str | None,
        ai_persona: str | None,
        metadata: str | None = None,
    ) -> Room:
        """Gives a room another title or other metadata (an object in JSON), or has another persona answer from the next
        turn on; None leaves it. Raises ``UnknownPersona``."""

    async def delete_room(self, session: Session, room_id: RoomId) -> Room:
        """Deletes a room and returns it in state DELETING or DELETED; harmless when repeated."""

    async def room_state(self, session: Session, room_id: RoomId) -> StateReport: ...

    async def send_message(self, session: Session, room_id: RoomId, request: SendRequest) -> SendReceipt: ...

    async def list_messages(
        self, session: Session, room_id: RoomId, limit: int, before: int | None, after: int | None
    ) -> MessagePage:
        """Returns a page of messages; of those that are stored while Redis is away."""

    async def current_messages(self, session: Session, room_id: RoomId, limit: int) -> list[Message]:
        """Returns the newest messages as they are now. Raises ``CacheUnavailable`` where ``list_messages`` makes do
        with what is stored."""

    async def running_reply(self, session: Session, room_id: RoomId) -> Message | None:
        """Returns the reply that is being written, or the first of those that wait; None when all have ended. Raises
        ``CacheUnavailable``."""

    async def get_message(self, session: Session, room_id: RoomId, message_id: MessageId) -> Message: ...

    async def find_message(self, session: Session, message_id: MessageId) -> Message:
        """Returns a message of the account's, whichever room it is in. Raises ``MessageNotFound``, also when its room
        is deleted."""

    async def delete_message(self, session: Session, room_id: RoomId, message_id: MessageId) -> DeleteReceipt: ...

    async def stop_reply(
        self, session: Session, room_id: RoomId, message_id: MessageId, attempt: int | None
    ) -> Message:
        """Ends a reply that is being written or waits for its turn as ``stopped``, keeps its text, and returns it. A
        reply that has ended, or is at another attempt than ``attempt``, is returned unchanged. Raises
        ``InvalidRequest`` for a message that is not a reply."""

    async def regenerate(
        self,
        session: Session,
        room_id: RoomId,
        message_id: MessageId,
        ai_persona: str | None = None,
        idempotency: Idempotency | None = None,
    ) -> AttemptReceipt:
        """Begins a new attempt at the last reply, by this persona (None: the one before); the previous attempt is kept
        as a variant. Raises ``RoomBusy`` while the reply is being written, ``IllegalTransition`` if it is not the last
        one or was deleted, and ``IdempotencyMismatch``."""

    async def continue_reply(
        self, session: Session, room_id: RoomId, message_id: MessageId, idempotency: Idempotency | None = None
    ) -> AttemptReceipt:
        """Begins a new attempt at the last reply with the text that it has; it ended before it was whole. The previous
        attempt is kept as a variant. Raises as ``regenerate``, also for a reply that ended whole, and ``LimitReached``
        for one that may not become longer."""

    async def decide_call(
        self, session: Session, room_id: RoomId, message_id: MessageId, tool_call_id: str, decision: Decision
    ) -> ToolCallPart:
        """Approves or denies a call of a tool that waits, and returns it. Raises ``AlreadyDecided``,
        ``DigestMismatch``, ``MessageNotFound`` when there is no such call, and ``InvalidRequest`` for arguments that it
        does not take."""

    async def post_result(
        self, session: Session, room_id: RoomId, message_id: MessageId, tool_call_id: str, posted: PostedResult
    ) -> ToolCallPart:
        """Takes the result of a call that its caller has executed, and returns it. Raises as ``decide_call``."""

    async def waiting_calls(self, session: Session, limit: int, cursor: str | None) -> WaitingPage:
        """Returns a page of the calls that wait for the account's decisions, those of older replies first. Raises
        ``InvalidCursor``."""

    async def variants(
        self, session: Session, room_id: RoomId, message_id: MessageId, limit: int, cursor: str | None
    ) -> MessageList:
        """Returns a page of the message's earlier versions, oldest first: attempts at a reply, or edits. The current
        one ends the last page. Raises ``InvalidCursor``."""

    async def edit_message(
        self,
        session: Session,
        room_id: RoomId,
        message_id: MessageId,
        content: str,
        idempotency: Idempotency | None = None,
    ) -> EditReceipt:
        """Changes the last message of a person, or one that waits for its turn. If the reply to it has begun, it is
        stopped, kept as a variant, and begun again. Raises ``IllegalTransition`` for any other message."""

    async def queued_messages(self, session: Session, room_id: RoomId, limit: int, cursor: str | None) -> MessageList:
        """Returns a page of a person's messages whose replies wait for their turn, by ascending seq. They can be edited
        and deleted. Raises ``InvalidCursor``."""

    async def room_memory(self, session: Session, room_id: RoomId) -> RoomMemory: ...

    async def reset_memory(self, session: Session, room_id: RoomId) -> RoomMemory:
        """Drops the room's summary; the next one is made from the messages."""

    async def usage(self, session: Session, first: date, last: date, zone: tzinfo) -> list[DailyUse]:
        """Returns the committed use of each day of the zone from ``first`` to ``last`` inclusive, ascending. Days
        without use are left out."""

    async def search(
        self, session: Session, query: str, room_id: RoomId | None, limit: int, cursor: str | None
    ) -> SearchPage:
        """Returns messages of the account (of one room) that have every word of the query as a part, newest first.
        Raises ``InvalidRequest`` for a query without a word, and ``InvalidCursor``."""

    @property
    def budgets(self) -> Budgets:
        """Reservations for calls of the language model that belong to no turn."""

    async def budget(self, session: Session) -> list[Budget]:
        """Returns where the account's budgets of tokens and cost stand."""

    async def message_state(self, session: Session, room_id: RoomId, message_id: MessageId) -> StateReport: ...

    async def wait_for_reply(self, session: Session, room_id: RoomId, message_id: MessageId, seconds: float) -> Message:
        """Returns the reply when it has ended, or as it is after ``seconds``."""

    async def wait_for_commit(
        self, session: Session, room_id: RoomId, message_id: MessageId, seconds: float
    ) -> Message:
        """Returns the message when its shard has it. Raises ``StoreUnavailable`` after ``seconds``; the message is
        still kept and will be stored."""

    def room_events(
        self, session: Session, room_id: RoomId, after: str | None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Subscribes to a room's events after the cursor, or from now on. Entering raises ``RoomNotFound``,
        ``StreamExpired`` or ``InvalidRequest``."""

    def reply_events(
        self, session: Session, room_id: RoomId, message_id: MessageId, after: str | None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Subscribes to a reply's events, from its start or the cursor to its last event. If the log no longer has
        them, the subscription is one `message.completed`."""

    def turn_events(
        self, session: Session, room_id: RoomId, receipt: SendReceipt
    ) -> AbstractAsyncContextManager[Subscription]:
        """Subscribes to the events of one turn, from ``receipt.cursor`` to the reply's last event."""

    def account_events(self, session: Session, after: str | None) -> AbstractAsyncContextManager[Subscription]: ...

    def answer(self, session: Session, call: ModelCall) -> Answer:
        """Asks a persona's model outside of any room: nothing is stored, what it uses is counted."""

    async def issue_ticket(self, session: Session, path: str, credential: Credential) -> StreamTicket:
        """Returns a ticket that opens the event stream at ``path`` for the session's account, as the credential
        would."""

    async def use_ticket(self, ticket: str, path: str) -> TicketHolder | None:
        """Returns who opens the event stream at ``path`` with this ticket; None when it is not good for that."""

    async def take_sign_in_code(self, code: str, expected: AccountId | None) -> SealedSession | None:
        """Uses a sign-in code up; None when it is good for nothing. One that is for another account than the expected
        one stays. Raises ``CacheUnavailable``."""

    async def installation(self) -> InstallationId:
        """Raises ``StoreUnavailable`` while nobody can tell it."""

    def export(self, session: Session, room_id: RoomId) -> AsyncIterator[Message]:
        """Yields every message of the room in order; reads them in pages."""

    async def personas(self) -> list[Persona]:
        """Returns the personas, in the order of ``personas.toml``."""

    async def readiness(self) -> list[DependencyHealth]: ...

    async def close(self) -> None: ...

"""A gateway that records what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import date, tzinfo
from typing import Any

from parlor.gateway import Subscription
from parlor.llm.ports import ModelCall, Persona
from parlor.model.access import Credential, DailyUse, Session, Standing, StreamTicket, TicketHolder
from parlor.model.budgets import Budget
from parlor.model.ids import AccountId, MessageId, Partition, RoomId, ShardId
from parlor.model.messages import Durability, FinishReason, Message, MessageList, MessagePage, Usage
from parlor.model.parts import ToolCallPart
from parlor.model.requests import (
    AttemptReceipt,
    DeleteOutcome,
    DeleteReceipt,
    DependencyHealth,
    EditReceipt,
    Idempotency,
    RoomReceipt,
    SendReceipt,
    SendRequest,
    StateReport,
    Transition,
    WaitingCall,
    WaitingPage,
)
from parlor.model.rooms import Room, RoomMemory, RoomPage
from parlor.model.search import SearchPage
from parlor.model.states import MessageState, RoomState
from parlor.model.tools import Decision, PostedResult
from tests.unit.api.fake_access import FakeAccess
from tests.unit.api.fake_administration import FakeAdministration, FakeAuditLog
from tests.unit.api.fake_answer import FakeAnswer
from tests.unit.api.fake_budgets import STANDINGS, FakeBudgets
from tests.unit.api.fake_files import FakeFileRows, fake_files
from tests.unit.api.fake_sign_in import FakeSignIn
from tests.unit.api.fake_subscription import FakeSubscription
from tests.unit.api.samples import CALL, CURSOR, EDITED_AT, REPLY, ROOM, message, reply, room
from tests.unit.fake_clock import NOW_MS, CountingEntropy, FakeClock
from tests.unit.memory_files import MemoryFileStore


class FakeGateway(FakeSignIn):
    """Records the calls, and always gives the same answers; the next call raises ``fails``."""

    def __init__(self) -> None:
        super().__init__()
        self.access = FakeAccess()
        self.administration = FakeAdministration(self.access)
        self.audit = FakeAuditLog()
        self.file_rows, self.file_store = FakeFileRows(), MemoryFileStore(FakeClock())
        self.files = fake_files(self.file_rows, self.file_store, FakeClock(), CountingEntropy())
        self.budgets, self.limits = FakeBudgets(), self.administration.limits
        self.calls: list[tuple[Any, ...]] = []
        self.fails: Exception | None = None
        self.message = message()
        self.commit_fails: Exception | None = None
        self.wait_fails: Exception | None = None
        self.subscription = FakeSubscription(CURSOR)
        self.receipt = SendReceipt(message(), reply(), CURSOR, replayed=False)
        self.edited = EditReceipt(message(content="better", metadata={"edited_at": EDITED_AT}), reply(), CURSOR)
        self.memory = RoomMemory("They talked about tea.", 12, NOW_MS, 3)
        self.uses: list[DailyUse] = []
        self.found = SearchPage([], None)
        self.standings: list[Budget] = STANDINGS
        self.waited = reply(
            content="all of it", is_streaming=False, state=MessageState.PENDING, finish_reason=FinishReason.STOP
        )
        self.answering = FakeAnswer(CURSOR, reply(finish_reason=FinishReason.STOP))
        self.exported: list[Message] = [message(), reply(content="hi")]
        self.export_breaks: Exception | None = None
        self.current: list[Message] = []
        self.running: Message | None = None
        self.replays = False
        self.holder: TicketHolder | None = None
        self.healths = [DependencyHealth(name, ok=True, detail="ok") for name in ("redis", "shard 1")]
        self.hold: asyncio.Event | None = None
        self.held: asyncio.Queue[RoomId] = asyncio.Queue()
        self.closed = False

    def last_call(self) -> tuple[Any, ...]:
        return self.calls[-1]

    def _called(self, *call: Any) -> None:
        self.calls.append(call)
        if self.fails is not None:
            raise self.fails

    async def session(self, account_id: str) -> Session:
        self._called("session", account_id)
        not_before = self.access.not_before.get(account_id, 0)
        standing = self.access.standings.get(account_id, Standing.ACTIVE)
        return Session(AccountId(account_id), 5, Partition(17), ShardId(1), not_before, standing)

    async def create_room(
        self,
        session: Session,
        title: str | None,
        ai_persona: str | None,
        idempotency: Idempotency | None = None,
        external_id: str | None = None,
        metadata: str | None = None,
    ) -> RoomReceipt:
        noted = () if metadata is None else (metadata,)
        self._called("create_room", session.account_id, title, ai_persona, idempotency, external_id, *noted)
        made = room(title=title or "New room", external_id=external_id, metadata=metadata or "")
        return RoomReceipt(made, self.replays)

    def answer(self, session: Session, call: ModelCall) -> FakeAnswer:
        self._called("answer", session.account_id, call)
        return self.answering

    async def find_rooms(self, session: Session, external_id: str) -> RoomPage:
        self._called("find_rooms", session.account_id, external_id)
        return RoomPage([room(external_id=external_id)], 1, None, CURSOR)

    async def list_rooms(self, session: Session, limit: int, cursor: str | None) -> RoomPage:
        self._called("list_rooms", limit, cursor)
        return RoomPage([room(), room(last_message_at=NOW_MS)], 2, "opaque", CURSOR)

    async def get_room(self, session: Session, room_id: RoomId) -> Room:
        self._called("get_room", room_id)
        if self.hold is not None:
            self.held.put_nowait(room_id)
            await self.hold.wait()
        return room()

    async def update_room(
        self,
        session: Session,
        room_id: RoomId,
        title: str | None,
        ai_persona: str | None,
        metadata: str | None = None,
    ) -> Room:
        self._called("update_room", room_id, title, ai_persona, *(() if metadata is None else (metadata,)))
        given = {"title": title, "ai_persona": ai_persona, "metadata": metadata}
        return room(**{name: value for name, value in given.items() if value})

    async def delete_room(self, session: Session, room_id: RoomId) -> Room:
        self._called("delete_room", room_id)
        return room(state=RoomState.DELETING)

    async def room_state(self, session: Session, room_id: RoomId) -> StateReport:
        self._called("room_state", room_id)
        return StateReport("PENDING", [Transition(NOW_MS, "CREATING", "PENDING", "room")])

    async def send_message(self, session: Session, room_id: RoomId, request: SendRequest) -> SendReceipt:
        self._called("send_message", room_id, request)
        return self.receipt

    async def list_messages(
        self, session: Session, room_id: RoomId, limit: int, before: int | None, after: int | None
    ) -> MessagePage:
        self._called("list_messages", room_id, limit, before, after)
        done = reply(content="hi", is_streaming=False, usage=Usage(3, 4), metadata={"a": [1, 2.5, None, "ü"]})
        return MessagePage([message(), done], True, 1, 1, CURSOR)

    async def current_messages(self, session: Session, room_id: RoomId, limit: int) -> list[Message]:
        self._called("current_messages", room_id, limit)
        return self.current

    async def running_reply(self, session: Session, room_id: RoomId) -> Message | None:
        self._called("running_reply", room_id)
        return self.running

    async def get_message(self, session: Session, room_id: RoomId, message_id: MessageId) -> Message:
        self._called("get_message", room_id, message_id)
        return self.message

    async def find_message(self, session: Session, message_id: MessageId) -> Message:
        self._called("find_message", message_id)
        return self.message

    async def delete_message(self, session: Session, room_id: RoomId, message_id: MessageId) -> DeleteReceipt:
        self._called("delete_message", room_id, message_id)
        return DeleteReceipt(message_id, MessageState.DELETING, DeleteOutcome.DELETING)

    async def edit_message(
        self,
        session: Session,
        room_id: RoomId,
        message_id: MessageId,
        content: str,
        idempotency: Idempotency | None = None,
    ) -> EditReceipt:
        self._called("edit_message", room_id, message_id, content, idempotency)
        return self.edited

    async def stop_reply(
        self, session: Session, room_id: RoomId, message_id: MessageId, attempt: int | None
    ) -> Message:
        self._called("stop_reply", room_id, message_id, attempt)
        return reply(
            content="so far", is_streaming=False, state=MessageState.PENDING, finish_reason=FinishReason.STOPPED
        )

    async def decide_call(
        self, session: Session, room_id: RoomId, message_id: MessageId, tool_call_id: str, decision: Decision
    ) -> ToolCallPart:
        self._called("decide_call", room_id, message_id, tool_call_id, decision)
        return CALL

    async def post_result(
        self, session: Session, room_id: RoomId, message_id: MessageId, tool_call_id: str, posted: PostedResult
    ) -> ToolCallPart:
        self._called("post_result", room_id, message_id, tool_call_id, posted)
        return CALL

    async def waiting_calls(self, session: Session, limit: int, cursor: str | None) -> WaitingPage:
        self._called("waiting_calls", session.account_id, limit, cursor)
        return WaitingPage([WaitingCall(ROOM, REPLY, CALL)], "opaque")

    async def regenerate(
        self,
        session: Session,
        room_id: RoomId,
        message_id: MessageId,
        ai_persona: str | None = None,
        idempotency: Idempotency | None = None,
    ) -> AttemptReceipt:
        self._called("regenerate", room_id, message_id, ai_persona, idempotency)
        return AttemptReceipt(reply(attempt=2), self.replays)

    async def continue_reply(
        self, session: Session, room_id: RoomId, message_id: MessageId, idempotency: Idempotency | None = None
    ) -> AttemptReceipt:
        self._called("continue_reply", room_id, message_id, idempotency)
        return AttemptReceipt(reply(attempt=2, content="so far"), self.replays)

    async def variants(
        self, session: Session, room_id: RoomId, message_id: MessageId, limit: int, cursor: str | None
    ) -> MessageList:
        self._called("variants", room_id, message_id, limit, cursor)
        return MessageList([reply(attempt=1, content="first", is_streaming=False), reply(attempt=2)], None)

    async def queued_messages(self, session: Session, room_id: RoomId, limit: int, cursor: str | None) -> MessageList:
        self._called("queued_messages", room_id, limit, cursor)
        return MessageList([message(seq=3), message(seq=5)], "5")

    async def room_memory(self, session: Session, room_id: RoomId) -> RoomMemory:
        self._called("room_memory", room_id)
        return self.memory

    async def reset_memory(self, session: Session, room_id: RoomId) -> RoomMemory:
        self._called("reset_memory", room_id)
        return RoomMemory("", 0, NOW_MS, 4)

    async def usage(self, session: Session, first: date, last: date, zone: tzinfo) -> list[DailyUse]:
        self._called("usage", session.account_id, first.isoformat(), last.isoformat(), str(zone))
        return self.uses

    async def search(
        self, session: Session, query: str, room_id: RoomId | None, limit: int, cursor: str | None
    ) -> SearchPage:
        self._called("search", session.account_id, query, room_id, limit, cursor)
        return self.found

    async def budget(self, session: Session) -> list[Budget]:
        return self.standings

    async def message_state(self, session: Session, room_id: RoomId, message_id: MessageId) -> StateReport:
        self._called("message_state", room_id, message_id)
        return StateReport("PENDING", [])

    async def wait_for_reply(self, session: Session, room_id: RoomId, message_id: MessageId, seconds: float) -> Message:
        self._called("wait_for_reply", message_id, seconds)
        if self.wait_fails is not None:
            raise self.wait_fails
        return self.waited

    async def wait_for_commit(
        self, session: Session, room_id: RoomId, message_id: MessageId, seconds: float
    ) -> Message:
        self._called("wait_for_commit", message_id, seconds)
        if self.commit_fails is not None:
            raise self.commit_fails
        return message(durability=Durability.PERSISTED, state=MessageState.SENT)

    def room_events(
        self, session: Session, room_id: RoomId, after: str | None
    ) -> AbstractAsyncContextManager[Subscription]:
        self._called("room_events", room_id, after)
        return self.subscription.open()

    def reply_events(
        self, session: Session, room_id: RoomId, message_id: MessageId, after: str | None
    ) -> AbstractAsyncContextManager[Subscription]:
        self._called("reply_events", room_id, message_id, after)
        return self.subscription.open()

    def turn_events(
        self, session: Session, room_id: RoomId, receipt: SendReceipt
    ) -> AbstractAsyncContextManager[Subscription]:
        self._called("turn_events", room_id, receipt.cursor)
        return self.subscription.open()

    def account_events(self, session: Session, after: str | None) -> AbstractAsyncContextManager[Subscription]:
        self._called("account_events", after)
        return self.subscription.open()

    async def issue_ticket(self, session: Session, path: str, credential: Credential) -> StreamTicket:
        self._called("issue_ticket", session.account_id, path, credential)
        return StreamTicket("17-t", NOW_MS + 30_000)

    async def use_ticket(self, ticket: str, path: str) -> TicketHolder | None:
        self._called("use_ticket", ticket, path)
        return self.holder

    async def export(self, session: Session, room_id: RoomId) -> AsyncIterator[Message]:
        self._called("export", room_id)
        for each in self.exported:
            yield each
        if self.export_breaks is not None:
            raise self.export_breaks

    async def personas(self) -> list[Persona]:
        self._called("personas")
        return [Persona("GPT4O", "GPT-4o", "All-round", "secret prompt", "gpt-4o", 0.7, 1000)]

    async def readiness(self) -> list[DependencyHealth]:
        self._called("readiness")
        return self.healths

    async def close(self) -> None:
        self.closed = True

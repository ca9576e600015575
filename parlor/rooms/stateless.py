"""Answers outside of any room: nothing is stored, what they use is counted.

The events are those of a reply in a room, so whoever reads them needs not know the difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Protocol, Self

import msgspec

from parlor.cache.changes import Piece
from parlor.clock import Clock
from parlor.errors import ContentTooLarge, LlmError
from parlor.llm.ports import (
    ChatService,
    Completion,
    Context,
    ModelCall,
    Part,
    Persona,
    ReasoningDelta,
    TextDelta,
)
from parlor.llm.prices import ask_of
from parlor.llm.tokens import estimate_call
from parlor.llm.usage import UsageMeter
from parlor.model.access import Session
from parlor.model.budgets import Payer
from parlor.model.cursors import START
from parlor.model.ids import IdMint
from parlor.model.messages import Durability, Event, FinishReason, Message, ReplyError, SenderType
from parlor.model.parts import Said, ToolCallPart, said_of
from parlor.model.states import MessageState
from parlor.model.tools import AskedCall, ToolState
from parlor.model.wire import JsonForm, encode, message_form
from parlor.reading.budgets import Budgets
from parlor.rooms.draft import Draft
from parlor.tools.arguments import digest_of


class OpenService(ChatService, Protocol):
    """A language model of this process."""

    def chosen(self, name: str) -> Persona:
        """Returns the persona that a caller chose. Raises ``UnknownPersona``, also for Parlor's own."""

    async def close(self) -> None: ...


class StatelessPorts(msgspec.Struct, frozen=True):
    """What the calls of one process stand on."""

    open_service: Callable[[], Awaitable[OpenService]]
    budgets: Budgets
    mint: IdMint
    clock: Clock
    heartbeat: float
    context_tokens: int
    """Most tokens of a prompt, as they are estimated."""
    answer_tokens: int
    """Tokens that an answer of a persona without a limit is taken to use."""


class StatelessCalls:
    """Calls the language model for accounts; ``close`` it when done."""

    def __init__(self, ports: StatelessPorts) -> None:
        self._ports = ports
        self._service: OpenService | None = None
        self._opening = asyncio.Lock()

    def answer(self, session: Session, call: ModelCall) -> AnswerEvents:
        """The events of an answer, which begins when they are entered."""
        return AnswerEvents(self.opened, self._ports, session, call)

    async def opened(self) -> OpenService:
        """The language model, opened with the first call."""
        async with self._opening:
            if self._service is None:
                self._service = await self._ports.open_service()
        return self._service

    async def close(self) -> None:
        if self._service is not None:
            await self._service.close()


class AnswerEvents:
    """See ``parlor.gateway.Answer``; to be entered and iterated once."""

    cursor = START

    def __init__(
        self,
        opened: Callable[[], Awaitable[OpenService]],
        ports: StatelessPorts,
        session: Session,
        call: ModelCall,
    ) -> None:
        self._opened = opened
        self._paid = AsyncExitStack()
        self._ports = ports
        self._session = session
        self._call = call
        self._parts: AsyncGenerator[Part, None] | None = None
        self._draft = Draft(Said(), ports.clock)
        self._said = Said()
        """The whole, when it has ended."""
        self._meter: UsageMeter | None = None
        self._message_id = ports.mint.message_id(session.partition)
        self._room_id = ports.mint.room_id(session.partition)
        self._begun_at = ports.clock.now_ms()
        self._ended_as: FinishReason | None = None
        self._error: ReplyError | None = None

    @property
    def message(self) -> Message:
        ended, meter = self._ended_as, self._meter
        return Message(
            message_id=self._message_id,
            room_id=self._room_id,
            seq=0,
            sender_type=SenderType.AI,
            content=self._said.content,
            parts=self._said.parts,
            timestamp=self._begun_at,
            state=MessageState.COMPOSING if ended is None else MessageState.SENT,
            durability=Durability.CACHED,
            is_streaming=ended is None,
            attempt=1,
            parent_message_id=None,
            finish_reason=ended,
            usage=None if ended is None or meter is None else meter.usage,
            metadata={},
            ai_persona=self._call.persona,
            error=self._error,
        )

    async def __aenter__(self) -> Self:
        service = await self._opened()
        asked = _asked(service.chosen(self._call.persona), self._call)
        turns = self._call.prompt(asked)
        tokens, most = estimate_call(turns, self._call.tools), self._ports.context_tokens
        if tokens > most:
            raise ContentTooLarge(f"The messages have about {tokens} tokens; at most {most} are allowed")
        meter = self._meter = UsageMeter(tokens, self._draft.texts)
        payer = Payer(self._session.account_id, self._session.account_db_key, self._session.partition)
        ask = ask_of(asked, tokens, self._ports.answer_tokens)
        reserved = await self._paid.enter_async_context(self._ports.budgets.call(payer, ask, lambda: meter.usage))
        context = Context(
            turns,
            tokens,
            0,
            answer_tokens=reserved.answer_tokens,
            tools=self._call.tools,
            tool_choice=self._call.tool_choice,
            form=self._call.form,
        )
        self._parts = service.chat(asked, context)
        return self

    async def __aexit__(self, *_: object) -> None:
        async with self._paid:
            if self._parts is not None:
                await self._parts.aclose()

    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        async with aclosing(self._events()) as events:
            following = asyncio.ensure_future(anext(events))
            try:
                while True:
                    await asyncio.wait({following}, timeout=self._ports.heartbeat)
                    if not following.done():
                        yield []
                        continue
                    try:
                        event = following.result()
                    except StopAsyncIteration:
                        return
                    following = asyncio.ensure_future(anext(events))
                    yield [event]
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    async def _events(self) -> AsyncGenerator[Event, None]:
        parts, meter = self._parts, self._meter
        if parts is None or meter is None:
            raise RuntimeError("the events of an answer are iterated inside of its context")
        try:
            async for part in parts:
                if isinstance(part, TextDelta | ReasoningDelta):
                    self._draft.add(part.text, reasoning=isinstance(part, ReasoningDelta))
                    while (piece := self._draft.take()) is not None:
                        if isinstance(piece, Piece):  # Outside of rooms no tools are used.
                            yield self._delta(piece)
                    continue
                meter.take(part)
                if isinstance(part, Completion):
                    self._end(part.finish_reason, [self._called(each) for each in part.calls])
                    yield self._event("message.completed", {"message": message_form(self.message)})
                    return
            raise LlmError("The answer ended without an end")
        except LlmError as error:
            reason = self._error = ReplyError(error.code, error.detail)
            self._end(FinishReason.ERROR)
            told = {"message": message_form(self.message), "error": msgspec.structs.asdict(reason)}
            yield self._event("message.failed", told)

    def _called(self, call: AskedCall) -> ToolCallPart:
        """A call as the caller is told of it, who makes it. Raises ``LlmError``."""
        try:
            msgspec.json.decode(call.arguments, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise LlmError(f"The language model called {call.name!r} with arguments that are no JSON object") from error
        call_id, digest = f"call_{self._ports.mint.token()}", digest_of(call.name, call.arguments)
        return ToolCallPart(call_id, call.name, "", call.arguments, digest, ToolState.APPROVED)

    def _end(self, reason: FinishReason, calls: Sequence[ToolCallPart] = ()) -> None:
        said = self._draft.said()
        self._ended_as, self._said = reason, said_of([*said.shown, *calls]) if calls else said

    def _delta(self, piece: Piece) -> Event:
        about = {
            "message_id": self._message_id,
            "attempt": 1,
            "index": piece.index,
            "offset": piece.offset,
            "text": piece.text,
        }
        return self._event("message.reasoning" if piece.reasoning else "message.delta", about)

    def _event(self, kind: str, form: JsonForm) -> Event:
        return Event(START, kind, encode(form), self._message_id, 1)


def _asked(persona: Persona, call: ModelCall) -> Persona:
    """The persona with what the call asks for; never more tokens than the persona's own."""
    tokens = [limit for limit in (persona.max_tokens, call.max_tokens) if limit is not None]
    return msgspec.structs.replace(
        persona,
        temperature=persona.temperature if call.temperature is None else call.temperature,
        max_tokens=min(tokens, default=None),
    )

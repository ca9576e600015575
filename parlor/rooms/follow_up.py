"""What the LLM does in the background when a reply has ended: a title for a new room, a summary of older turns.

A room whose title is not found gets the first words of the question as a stand-in, so that it can be told apart in a
list; the end of the next reply is another chance for a title. The stand-in goes with the message that it quotes (I10),
and a title that a person gives stays.

No caller waits for this work, and it must not hold up a reply. ``reply_ended`` returns at once; a process serves at
most ``SLOTS`` rooms at a time, each in one task; a failure is logged, and the end of the next reply is another chance.
Every write carries the room's claim, so an owner that was replaced writes nothing (I3). Title and summary are refused
if a message that they may mention was deleted or edited in the meantime (I10). Each call of the LLM is bounded by the
LLM's own timeouts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec
import structlog

from parlor.cache.live import RoomAddress
from parlor.cache.summaries import SummaryCache
from parlor.errors import LlmError, ParlorError, QuotaExceeded, Unavailable
from parlor.llm import summary, title
from parlor.llm.memory import Memory
from parlor.llm.ports import ChatService, Completion, Context, PromptTurn, ReasoningDelta, TextDelta
from parlor.llm.prices import ask_of
from parlor.llm.usage import UsageMeter
from parlor.model.budgets import Payer
from parlor.model.ids import Claim, RoomId
from parlor.model.messages import FinishReason
from parlor.model.tracing import carried_request, work_for
from parlor.reading.budgets import Budgets
from parlor.settings import LlmSettings

SLOTS = 4
"""Rooms that are served at a time, so that most of the LLM's capacity is left to replies."""
FOLDS = 8
"""Folds after one reply; a room with a longer history is summarized over several replies."""
TITLE_RETRIES = 3
"""How many later replies are used to ask for a title again."""
TITLE_TURNS, TITLE_TURN_TOKENS = 8, 300
"""A title is made from this many of the newest messages, each cut to this many tokens."""
ANSWER_TOKENS = 4096
"""Reserved for an answer whose persona has no limit; those of titles and summaries have one."""
REMEMBERED = 10_000
"""Rooms whose need for a title is remembered; for any other room it is looked up again."""

_DONE = TITLE_RETRIES + 1
_COMPLETED = frozenset({FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER})

_log = structlog.get_logger(__name__)


class _Due(msgspec.Struct, frozen=True):
    """The work that is due for a room."""

    address: RoomAddress
    claim: Claim
    persona: str
    before_seq: int
    """The seq after the reply that has ended."""
    title: bool
    """Whether the room may need a title."""
    ask: bool
    """Whether the language model is asked for it, as after each complete reply."""
    fold: bool
    request_id: str
    """Of the request that asked for the reply."""


class FollowUp:
    """The background work of one process and event loop. Call ``close`` when done."""

    def __init__(
        self,
        model: ChatService,
        memory: Memory,
        summaries: SummaryCache,
        budgets: Budgets,
        settings: LlmSettings,
    ) -> None:
        """``memory`` must be the one that ``model`` builds its prompts with."""
        self._model = model
        self._memory = memory
        self._summaries = summaries
        self._budgets = budgets
        self._settings = settings
        self._slots = asyncio.Semaphore(SLOTS)
        self._due: dict[RoomId, _Due] = {}
        self._tasks: dict[RoomId, asyncio.Task[None]] = {}
        self._title_tries: dict[RoomId, int] = {}
        """How often a title was asked for, by room; ``_DONE`` if the room has one. Oldest first."""
        self._closed = False

    def reply_ended(self, address: RoomAddress, claim: Claim, persona: str, seq: int, reason: FinishReason) -> None:
        """Called when a reply has ended and its end is stored. Returns at once; the work is done in a task."""
        if self._closed or reason is FinishReason.INTERRUPTED:
            return
        room_id = address.room_id
        wants_title = self._settings.titles and self._title_tries.get(room_id, 0) < _DONE
        asks = wants_title and reason in _COMPLETED
        wants_fold = self._memory.take_crowded(room_id) and self._settings.summaries
        waiting = self._due.get(room_id)
        if waiting is not None:
            wants_title, asks = wants_title or waiting.title, asks or waiting.ask
            wants_fold = wants_fold or waiting.fold
        if not (wants_title or wants_fold):
            return
        request_id = carried_request()
        self._due[room_id] = _Due(address, claim, persona, seq + 1, wants_title, asks, wants_fold, request_id)
        if room_id not in self._tasks:
            self._tasks[room_id] = asyncio.create_task(self._serve(room_id))

    async def close(self) -> None:
        """Cancels the work in progress. It is done when the rooms' next replies end."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, room_id: RoomId) -> None:
        """Does all work that is due for a room, including what becomes due while it runs."""
        try:
            async with self._slots:
                while (due := self._due.pop(room_id, None)) is not None:
                    work_for(due.request_id)
                    if due.title:
                        await self._safely(due, "title", self._give_title)
                    if due.fold:
                        await self._safely(due, "summary", self._fold)
        finally:
            del self._tasks[room_id]

    async def _safely(self, due: _Due, what: str, work: Callable[[_Due], Awaitable[None]]) -> None:
        room_id = due.address.room_id
        try:
            await work(due)
        except (LlmError, Unavailable) as error:
            _log.warning("follow_up_failed", what=what, room_id=room_id, detail=error.detail, debug=error.debug)
        except ParlorError as error:
            # The room was deleted, lost, or taken by another owner, which does this work itself.
            _log.info("follow_up_dropped", what=what, room_id=room_id, code=error.code)
        except Exception:  # noqa: BLE001 - no caller waits for this, and other rooms must go on
            _log.exception("follow_up_faulty", what=what, room_id=room_id)

    async def _give_title(self, due: _Due) -> None:
        room_id = due.address.room_id
        version = await self._summaries.title_version(due.address)
        if version is None:
            self._count_tries(room_id, _DONE)
            return
        turns = await self._memory.latest(room_id, due.before_seq, TITLE_TURNS, TITLE_TURN_TOKENS)
        if not turns:
            return
        if not due.ask:
            await self._stand_in(due, version, turns)
            return
        self._count_tries(room_id, self._title_tries.get(room_id, 0) + 1)
        try:
            asked = title.title_context([turn for _, turn in turns])
            found = title.clean_title(await self._written(due, title.NAME, asked))
            if not found:
                raise LlmError("The language model found no title")
        except (LlmError, QuotaExceeded):
            await self._stand_in(due, version, turns)
            raise
        if await self._summaries.give_title(due.address, due.claim, version, found):
            self._count_tries(room_id, _DONE)

    async def _stand_in(self, due: _Due, version: int, turns: Sequence[tuple[int, PromptTurn]]) -> None:
        """Gives the room the first words of the oldest of these turns that a person said."""
        seq, asked = next(((seq, turn.content) for seq, turn in turns if turn.role == "user"), (0, ""))
        if asked:
            await self._summaries.give_title(due.address, due.claim, version, title.first_words(asked), quoted=seq)

    async def _fold(self, due: _Due) -> None:
        room_id, tokens = due.address.room_id, self._memory.summary_tokens
        persona = self._model.persona(due.persona)
        for _ in range(FOLDS):
            fold = await self._memory.fold(room_id, persona, due.before_seq)
            if fold is None:
                return
            known = fold.known
            answer = await self._written(due, summary.NAME, summary.summary_context(known.summary, fold.turns, tokens))
            text = summary.clean_summary(answer, tokens)
            if not text:
                raise LlmError("The language model wrote no summary")
            if not await self._summaries.set(due.address, due.claim, known.version, text, fold.through_seq):
                _log.info("summary_refused", room_id=room_id, version=known.version)
                return

    async def _written(self, due: _Due, persona: str, context: Context) -> str:
        """Returns a whole answer as one text, and counts what it used, also when it failed. Raises ``LlmError`` and
        ``QuotaExceeded``."""
        pieces: list[str] = []
        written: list[str] = []
        meter = UsageMeter(context.estimated_tokens, written)
        payer = Payer(due.address.account_id, due.address.account_db_key, due.address.partition)
        ask = ask_of(self._model.persona(persona), context.estimated_tokens, ANSWER_TOKENS)
        async with self._budgets.call(payer, ask, lambda: meter.usage) as reserved:
            context = msgspec.structs.replace(context, answer_tokens=reserved.answer_tokens)
            async with aclosing(self._model.chat(persona, context)) as parts:
                async for part in parts:
                    if isinstance(part, TextDelta | ReasoningDelta):
                        written.append(part.text)
                        if isinstance(part, TextDelta):
                            pieces.append(part.text)
                        continue
                    meter.take(part)
                    if isinstance(part, Completion):
                        return "".join(pieces)
            raise LlmError("The answer ended without an end")

    def _count_tries(self, room_id: RoomId, tries: int) -> None:
        self._title_tries.pop(room_id, None)
        self._title_tries[room_id] = tries
        if len(self._title_tries) > REMEMBERED:
            del self._title_tries[next(iter(self._title_tries))]

"""The memory of a conversation: which of a room's messages the LLM gets to read, and what becomes of the others.

Rules:

1. The system prompt always, first; at its end the running summary of older turns, when the room has one.
2. Then the newest messages behind the summary that fit into ``context_tokens`` less what the answer may take (the
   persona's ``max_tokens``, but never more than half). They are contiguous: the first one that does not fit ends it.
3. The newest message of a person is always there, whole, even when it alone is over the budget or the summary covers
   it: an answer to a part of a question would be worse than the provider's "too long". An answer that is newer and does
   not fit is left out.
4. The first turn is not an answer whose question is missing, unless nobody asked anything.
5. Left out: deleted messages, answers still being written, blank ones (an answer that failed or was stopped before
   its first word). The partial text of an answer that was stopped, interrupted or failed stays: the person has read it.
6. Consecutive turns of one role are merged with a blank line between: some models' templates demand that roles
   alternate, and two messages in a row, or a question whose answer was deleted, are ordinary here.
7. When messages do not fit any more and the summary does not have them, they are to be folded into it, and more than
   just those: down to ``KEPT`` of the budget, so that it happens once in many turns and not with each. What stays
   begins with a person's message, and the newest of these always stays.

Tokens are estimated, and corrected by what the provider counted (``tokens.py``).
"""

from __future__ import annotations

import asyncio
from math import ceil

import msgspec

from parlor.ids import RoomId
from parlor.llm.ports import Context, History, Persona, PromptTurn, Summaries
from parlor.llm.tokens import TURN_OVERHEAD, TokenRatios, cut, estimate_tokens
from parlor.model import Message, RoomMemory, SenderType
from parlor.states import MessageState

PAGE = 50
"""Messages read from the history at a time."""
SCAN_MAX = 2000
"""Messages read for one prompt at most, so that a room of deleted messages does not cost a walk to its start."""
KEPT = 0.5
"""Share of the budget that turns take after a fold. Half: then each fold has half a window of new turns to tell of."""
SUMMARY_SHARE = 0.25
"""Of ``context_tokens`` that a summary takes at most, however long it is allowed to be."""
SUMMARY_HEADING = "Summary of the conversation so far:"
_NEWEST = 2**53 - 1
"""Above every seq, and exact in a Lua number."""
_LEFT_OUT = frozenset({MessageState.COMPOSING, MessageState.DELETING, MessageState.DELETED})


def turn_of(message: Message) -> PromptTurn | None:
    """What the LLM reads of a message; None for nothing."""
    if message.state in _LEFT_OUT or message.is_streaming or not message.content.strip():
        return None
    match message.sender_type:
        case SenderType.USER:
            return PromptTurn("user", message.content)
        case SenderType.AI:
            return PromptTurn("assistant", message.content)
        case SenderType.SYSTEM:
            return PromptTurn("system", message.content)


class Fold(msgspec.Struct, frozen=True):
    """Turns that are to become part of a room's summary."""

    known: RoomMemory
    """What it starts from: the summary so far, and the version that must still hold when it is done."""
    turns: list[PromptTurn]
    """The oldest ones that the summary does not have, ascending; not empty. Long ones are cut."""
    through_seq: int
    """The summary covers the room up to here, once they are in it."""


class Memory:
    """Assembles prompts from a room's history, reading backwards from its newest message."""

    def __init__(self, history: History, summaries: Summaries, context_tokens: int, summary_tokens: int) -> None:
        self._history = history
        self._summaries = summaries
        self._context_tokens = context_tokens
        self.summary_tokens = min(summary_tokens, int(context_tokens * SUMMARY_SHARE))
        """Longest summary."""
        self.ratios = TokenRatios()
        self._crowded: set[RoomId] = set()

    async def build_prompt(self, room_id: RoomId, persona: Persona, before_seq: int | None = None) -> Context:
        """The prompt for the message at ``before_seq`` (None: after the newest). Raises what the history and the
        summaries raise."""
        before = before_seq if before_seq is not None else _NEWEST
        known, newest = await asyncio.gather(
            self._summaries.memory(room_id), self._history.before(room_id, before, PAGE)
        )
        window = self._window(persona, known, before)
        await self._fill(window, room_id, before, newest)
        if window.crowded:
            self._crowded.add(room_id)
        else:
            self._crowded.discard(room_id)
        return window.context()

    def take_crowded(self, room_id: RoomId) -> bool:
        """Whether the room's last prompt took so much of its budget that it may be time for a fold. Says it once."""
        crowded = room_id in self._crowded
        self._crowded.discard(room_id)
        return crowded

    async def fold(self, room_id: RoomId, persona: Persona, before_seq: int) -> Fold | None:
        """What is to be folded before the message at ``before_seq`` is answered; None while everything fits."""
        # The version before the messages: what is deleted after it was read is either not read or refuses the fold.
        known = await self._summaries.memory(room_id)
        window = self._window(persona, known, before_seq)
        await self._fill(window, room_id, before_seq, await self._history.before(room_id, before_seq, PAGE))
        keep_from = window.keep_from()
        if not window.context().omitted or keep_from is None:
            return None
        turns, through = await self._oldest(room_id, known, keep_from, self.ratios.of(persona.model))
        return Fold(known, turns, through) if turns else None

    async def latest(self, room_id: RoomId, before_seq: int, count: int, tokens: int) -> list[PromptTurn]:
        """The newest ``count`` messages below ``before_seq``, ascending, each cut to so many tokens."""
        page = await self._history.before(room_id, before_seq, count)
        return [PromptTurn(turn.role, cut(turn.content, tokens)) for turn in map(turn_of, page) if turn is not None]

    def _window(self, persona: Persona, known: RoomMemory, before_seq: int) -> _Window:
        # A summary that tells of the message itself, or of later ones, is not for its prompt.
        usable = known.summary != "" and known.through_seq < before_seq
        system = f"{persona.system_prompt}\n\n{SUMMARY_HEADING} {known.summary}" if usable else persona.system_prompt
        budget = self._context_tokens - min(persona.max_tokens or 0, self._context_tokens // 2)
        return _Window(system, budget, self.ratios.of(persona.model), known.through_seq if usable else 0)

    async def _fill(self, window: _Window, room_id: RoomId, before_seq: int, newest: list[Message]) -> None:
        page, scanned = newest, 0
        window.below = before_seq if page else 1
        while page:
            for message in reversed(page):
                if not window.wants(message.seq):
                    return
                window.offer(message)
                scanned += 1
            if scanned >= SCAN_MAX or not window.wants(window.below - 1):
                return
            page = await self._history.before(room_id, window.below, PAGE)
            if not page:
                window.below = 1

    async def _oldest(
        self, room_id: RoomId, known: RoomMemory, keep_from: int, ratio: float
    ) -> tuple[list[PromptTurn], int]:
        """The oldest turns that are not in the summary, as many as one call takes, and the last seq looked at."""
        # Beside them the call has its instructions, the old summary and the new one.
        budget = int(max(self._context_tokens / 2, self._context_tokens - 3 * self.summary_tokens) / ratio)
        through, scanned, spent = known.through_seq, 0, 0
        turns: list[PromptTurn] = []
        while through + 1 < keep_from and scanned < SCAN_MAX:
            page = await self._history.before(room_id, min(through + 1 + PAGE, keep_from), PAGE)
            unread = [message for message in page if message.seq > through]
            if not unread:
                break
            for message in unread:
                scanned += 1
                if message.is_streaming:
                    return turns, through
                turn = turn_of(message)
                if turn is not None:
                    turn = PromptTurn(turn.role, cut(turn.content, budget))
                    spent += TURN_OVERHEAD + estimate_tokens(turn.content)
                    if turns and spent > budget:
                        return turns, through
                    turns.append(turn)
                through = message.seq
        return turns, through


class _Window:
    """The turns chosen so far, newest first."""

    def __init__(self, system: str, budget: int, ratio: float, floor: int) -> None:
        self._system = PromptTurn("system", system)
        self._budget = budget
        self._ratio = ratio
        self._floor = floor
        """What stands at or below it is in the summary."""
        self._spent = self._cost(system)
        self._turns: list[tuple[int, PromptTurn, int]] = []
        self._left_out = 0
        self._full = False
        self._asked = False
        self.below = 1
        """The oldest seq that was looked at. Every one below it is an older message, tombstones included."""

    @property
    def crowded(self) -> bool:
        """Whether more than half of the budget is spent."""
        return self._full or self._spent * 2 > self._budget

    def wants(self, seq: int) -> bool:
        """Whether the message there can still be of use: there is room, or no person's message is in yet."""
        return seq > 0 and ((seq > self._floor and not self._full) or not self._asked)

    def offer(self, message: Message) -> None:
        self.below = message.seq
        turn = turn_of(message)
        if turn is None or (message.seq <= self._floor and turn.role != "user"):
            return
        cost = self._cost(turn.content)
        question = turn.role == "user" and not self._asked
        fits = not self._full and self._spent + cost <= self._budget
        if not fits:
            self._full = True
        if not fits and not question:
            self._left_out += 1
            return
        self._turns.append((message.seq, turn, cost))
        self._spent += cost
        self._asked = self._asked or turn.role == "user"

    def keep_from(self) -> int | None:
        """The seq of the person's message that turns begin with after a fold; None when there is none."""
        kept, found = 0, None
        for seq, turn, cost in self._turns:
            kept += cost
            if found is not None and kept > self._budget * KEPT:
                break
            if turn.role == "user":
                found = seq
        return found

    def context(self) -> Context:
        turns = self._turns[::-1]
        first = next((place for place, (_, turn, _) in enumerate(turns) if turn.role == "user"), 0)
        orphans = [cost for _, turn, cost in turns[:first] if turn.role == "assistant"]
        kept = [turn for place, (_, turn, _) in enumerate(turns) if place >= first or turn.role != "assistant"]
        return Context(
            turns=_merged([self._system, *kept]),
            estimated_tokens=self._spent - sum(orphans),
            omitted=max(self.below - 1 - self._floor, 0) + self._left_out + len(orphans),
        )

    def _cost(self, text: str) -> int:
        return ceil(self._ratio * (TURN_OVERHEAD + estimate_tokens(text)))


def _merged(turns: list[PromptTurn]) -> list[PromptTurn]:
    merged: list[PromptTurn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            merged[-1] = PromptTurn(turn.role, f"{merged[-1].content}\n\n{turn.content}")
        else:
            merged.append(turn)
    return merged

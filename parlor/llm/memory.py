"""The memory of a conversation: which of a room's messages go into the prompt, and which are folded into a summary.

Rules:

1. The system prompt comes first. It ends with the running summary of older turns, if the room has one.
2. The newest messages after the summary follow, as many as fit into ``context_tokens`` minus what the answer may take
   (the persona's ``max_tokens``, but at most half). They are contiguous: the first one that does not fit ends them.
3. The newest message of a person is always included whole, even if it alone exceeds the budget or the summary covers
   it: an answer to part of a question would be worse than the provider's "too long". A newer answer that does not fit
   is left out.
4. The first turn is never an answer without its question, unless there is no question at all.
5. Deleted messages, answers still being written, and blank ones (an answer that failed or was stopped before its first
   word) are left out, and so are the thoughts that a model writes into its answers, and its reasoning unless the
   persona's model has to be told. The partial text of an answer that
   was stopped, interrupted or failed is kept, because the person has read it.
6. Consecutive turns of one role are merged, with a blank line between them. Some models require that roles alternate,
   and two messages in a row, or a question whose answer was deleted, are ordinary here.
7. Messages that no longer fit and are not in the summary are folded into it. A fold goes down to ``KEPT`` of the
   budget, so that it happens once in many turns instead of with each one. The turns that are kept begin with a person's
   message, and always include the newest one.

8. An answer that is continued ends the prompt, as the assistant's turn: the model goes on from there. That is how
   servers of OpenAI's protocol are asked for it; what they make of it is theirs. Of a long one only the end is given,
   at most ``SAID_SHARE`` of the budget. An answer that has no word yet is asked for like any other.
9. What a person's files add stands behind the message: documents as text, images beside it. Of long documents the
   beginning is given, ``FILES_SHARE`` of the budget for those of one message, and the prompt says that they are cut. A
   file that is gone is said to be. A summary has the names of files only.

Tokens are estimated; the estimate is corrected by the provider's own counts (``tokens.py``).
"""

from __future__ import annotations

import asyncio
from math import ceil

import msgspec

from parlor.llm.ports import Attachments, Context, History, Persona, PromptTurn, Summaries
from parlor.llm.text import is_blank
from parlor.llm.thoughts import without_thoughts
from parlor.llm.tokens import IMAGE_TOKENS, TURN_OVERHEAD, TokenRatios, cut, end_of, estimate_tokens
from parlor.model.files import Attached, ShownFile
from parlor.model.ids import RoomId
from parlor.model.messages import Message, SenderType
from parlor.model.parts import FilePart, ImagePart, ReasoningPart
from parlor.model.rooms import RoomMemory
from parlor.model.states import MessageState

PAGE = 50
"""Messages that are read from the history at a time."""
SCAN_MAX = 2000
"""Most messages read for one prompt, so that a room full of deleted messages is not read to its start."""
KEPT = 0.5
"""Share of the budget that turns take after a fold, so that each fold covers half a window of new turns."""
SUMMARY_SHARE = 0.25
"""Largest share of ``context_tokens`` for a summary, whatever ``summary_tokens`` allows."""
FILES_SHARE = 0.5
"""Largest share of the budget for the texts of one message's files."""
SAID_SHARE = 0.5
"""Largest share of the budget for an answer that is continued."""
SUMMARY_HEADING = "Summary of the conversation so far:"
_NEWEST = 2**53 - 1
"""Greater than any seq, and exact as a Lua number."""
_LEFT_OUT = frozenset({MessageState.COMPOSING, MessageState.DELETING, MessageState.DELETED})


def turn_of(message: Message, attached: Attached | None = None) -> PromptTurn | None:
    """Returns a message as a turn of the prompt, with what its files add, or else with their names; None if it is left
    out."""
    named = _names(message) if attached is None else attached.text
    said = "\n\n".join(filter(None, (message.content, named)))
    if message.state in _LEFT_OUT or message.is_streaming or is_blank(said):
        return None
    match message.sender_type:
        case SenderType.USER:
            return PromptTurn("user", said, images=attached.images if attached else ())
        case SenderType.AI:
            said = without_thoughts(message.content)
            return None if is_blank(said) else PromptTurn("assistant", said)
        case SenderType.SYSTEM:
            return PromptTurn("system", message.content)


def _names(message: Message) -> str:
    files = (part for part in message.parts or () if isinstance(part, ImagePart | FilePart))
    return "\n".join(f"[{'Image' if isinstance(part, ImagePart) else 'File'}: {part.name}]" for part in files)


def reasoning_of(message: Message) -> str:
    """Returns what the model thought."""
    return "\n\n".join(part.text for part in message.parts or () if isinstance(part, ReasoningPart))


class Fold(msgspec.Struct, frozen=True):
    """Turns to fold into a room's summary."""

    known: RoomMemory
    """The summary so far. Its version must be unchanged when the new summary is written."""
    turns: list[PromptTurn]
    """The oldest turns that the summary does not cover, oldest first; never empty. Long ones are cut."""
    through_seq: int
    """The seq up to which the new summary covers the room."""


class Memory:
    """Builds prompts from a room's history, reading backwards from its newest message."""

    def __init__(
        self,
        history: History,
        summaries: Summaries,
        context_tokens: int,
        summary_tokens: int,
        attachments: Attachments | None = None,
    ) -> None:
        """Without ``attachments`` files are only named."""
        self._history = history
        self._summaries = summaries
        self._attachments = attachments
        self._context_tokens = context_tokens
        self.summary_tokens = min(summary_tokens, int(context_tokens * SUMMARY_SHARE))
        """The most tokens that a summary may have."""
        self.ratios = TokenRatios()
        self._crowded: set[RoomId] = set()

    async def build_prompt(
        self, room_id: RoomId, persona: Persona, before_seq: int | None = None, said: str = ""
    ) -> Context:
        """Returns the prompt for the message at ``before_seq`` (None: after the newest), which says ``said`` already.
        Raises what the history and the summaries raise."""
        before = before_seq if before_seq is not None else _NEWEST
        known, newest = await asyncio.gather(
            self._summaries.memory(room_id), self._history.before(room_id, before, PAGE)
        )
        window = self._window(persona, known, before)
        window.end_with(said)
        await self._fill(window, room_id, before, newest)
        if window.crowded:
            self._crowded.add(room_id)
        else:
            self._crowded.discard(room_id)
        return window.context()

    def take_crowded(self, room_id: RoomId) -> bool:
        """Returns whether the room's last prompt used so much of its budget that a fold may be due, and resets that."""
        crowded = room_id in self._crowded
        self._crowded.discard(room_id)
        return crowded

    async def fold(self, room_id: RoomId, persona: Persona, before_seq: int) -> Fold | None:
        """Returns what to fold before the message at ``before_seq`` is answered; None while everything fits."""
        # Read the version before the messages: a message that is deleted from here on changes the version, so the
        # summary that mentions it is refused.
        known = await self._summaries.memory(room_id)
        window = self._window(persona, known, before_seq)
        await self._fill(window, room_id, before_seq, await self._history.before(room_id, before_seq, PAGE))
        keep_from = window.keep_from()
        if not window.context().omitted or keep_from is None:
            return None
        turns, through = await self._oldest(room_id, known, keep_from, self.ratios.of(persona.model))
        return Fold(known, turns, through) if turns else None

    async def latest(self, room_id: RoomId, before_seq: int, count: int, tokens: int) -> list[tuple[int, PromptTurn]]:
        """Returns the newest ``count`` messages below ``before_seq``, oldest first, each with its seq and cut to
        ``tokens``."""
        page = await self._history.before(room_id, before_seq, count)
        turns = [(message.seq, turn_of(message)) for message in page]
        return [(seq, PromptTurn(turn.role, cut(turn.content, tokens))) for seq, turn in turns if turn is not None]

    def _window(self, persona: Persona, known: RoomMemory, before_seq: int) -> _Window:
        # A summary that covers the message itself, or later ones, is not used in its prompt.
        usable = known.summary != "" and known.through_seq < before_seq
        system = f"{persona.system_prompt}\n\n{SUMMARY_HEADING} {known.summary}" if usable else persona.system_prompt
        budget = self._context_tokens - min(persona.max_tokens or 0, self._context_tokens // 2)
        window = _Window(system, budget, self.ratios.of(persona.model), known.through_seq if usable else 0)
        window.reasons = persona.send_reasoning
        return window

    async def _fill(self, window: _Window, room_id: RoomId, before_seq: int, newest: list[Message]) -> None:
        page, scanned = newest, 0
        window.below = before_seq if page else 1
        while page:
            for message in reversed(page):
                if not window.wants(message.seq):
                    return
                window.offer(message, await self._attached(message, window.file_tokens))
                scanned += 1
            if scanned >= SCAN_MAX or not window.wants(window.below - 1):
                return
            page = await self._history.before(room_id, window.below, PAGE)
            if not page:
                window.below = 1

    async def _attached(self, message: Message, tokens: int) -> Attached | None:
        if self._attachments is None or not message.parts or message.state in _LEFT_OUT:
            return None
        if not any(isinstance(part, ImagePart | FilePart) for part in message.parts):
            return None
        return await self._attachments.load(message, tokens)

    async def _oldest(
        self, room_id: RoomId, known: RoomMemory, keep_from: int, ratio: float
    ) -> tuple[list[PromptTurn], int]:
        """Returns the oldest turns that are not in the summary, as many as fit one call, and the last seq they
        cover."""
        # The call also holds its instructions, the old summary and the new one.
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
    """Chooses the turns of one prompt, newest first."""

    def __init__(self, system: str, budget: int, ratio: float, floor: int) -> None:
        self._system = PromptTurn("system", system)
        self._budget = budget
        self._ratio = ratio
        self._floor = floor
        """The summary covers the messages up to this seq."""
        self._spent = self._cost(system)
        self._turns: list[tuple[int, PromptTurn, int]] = []
        self._end: list[PromptTurn] = []
        self._said = 0
        self._files: tuple[ShownFile, ...] = ()
        self._left_out = 0
        self._full = False
        self._asked = False
        self.reasons = False
        """Whether answers come with what the model thought before them."""
        self.below = 1
        """The oldest seq that was read. Every seq below it is a message that was not read, or a tombstone."""

    @property
    def crowded(self) -> bool:
        """Whether more than half of the budget is spent."""
        return self._full or self._spent * 2 > self._budget

    def end_with(self, said: str) -> None:
        """Ends the prompt with what the answer says already. Called before any turn is offered."""
        self._said = len(said)
        # Of an answer that has nothing but thoughts yet, the thoughts go on.
        said = without_thoughts(said) or said
        if said.strip():
            room = int(self._budget * SAID_SHARE / self._ratio) - TURN_OVERHEAD
            turn = PromptTurn("assistant", end_of(said, max(1, room)))
            self._end = [turn]
            self._spent += self._cost(turn.content)

    def wants(self, seq: int) -> bool:
        """Returns whether the message at ``seq`` can still be used: there is room, or no person's message was found
        yet."""
        return seq > 0 and ((seq > self._floor and not self._full) or not self._asked)

    @property
    def file_tokens(self) -> int:
        """What the texts of one message's files may take."""
        return int(self._budget * FILES_SHARE / self._ratio)

    def offer(self, message: Message, attached: Attached | None = None) -> None:
        """Takes the next older message if it belongs in the prompt and fits."""
        self.below = message.seq
        turn = turn_of(message, attached)
        if turn is None or (message.seq <= self._floor and turn.role != "user"):
            return
        if self.reasons:
            turn = PromptTurn(turn.role, turn.content, reasoning_of(message), turn.images)
        cost = self._cost(turn.content + turn.reasoning) + IMAGE_TOKENS * len(turn.images)
        question = turn.role == "user" and not self._asked
        fits = not self._full and self._spent + cost <= self._budget
        if not fits:
            self._full = True
        if not fits and not question:
            self._left_out += 1
            return
        self._turns.append((message.seq, turn, cost))
        self._files = (attached.files if attached else ()) + self._files
        self._spent += cost
        self._asked = self._asked or turn.role == "user"

    def keep_from(self) -> int | None:
        """Returns the seq of the person's message that the turns begin with after a fold; None if there is none."""
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
        first = next((index for index, (_, turn, _) in enumerate(turns) if turn.role == "user"), 0)
        orphans = [cost for _, turn, cost in turns[:first] if turn.role == "assistant"]
        kept = [turn for index, (_, turn, _) in enumerate(turns) if index >= first or turn.role != "assistant"]
        return Context(
            turns=_merged([self._system, *kept, *self._end]),
            estimated_tokens=self._spent - sum(orphans),
            omitted=max(self.below - 1 - self._floor, 0) + self._left_out + len(orphans),
            files=self._files,
            said=self._said,
        )

    def _cost(self, text: str) -> int:
        return ceil(self._ratio * (TURN_OVERHEAD + estimate_tokens(text)))


def _merged(turns: list[PromptTurn]) -> list[PromptTurn]:
    merged: list[PromptTurn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            before = merged[-1]
            reasoning = "\n\n".join(filter(None, (before.reasoning, turn.reasoning)))
            content = f"{before.content}\n\n{turn.content}"
            merged[-1] = PromptTurn(turn.role, content, reasoning, before.images + turn.images)
        else:
            merged.append(turn)
    return merged

"""The memory of a conversation: which of a room's messages the LLM gets to read.

Rules:

1. The system prompt always, first.
2. Then the newest messages that fit into ``context_tokens`` less what the answer may take (the persona's
   ``max_tokens``, but never more than half). They are contiguous: the first one that does not fit ends it.
3. The newest message of a person is always there, whole, even when it alone is over the budget: an answer to a part
   of a question would be worse than the provider's "too long". An answer that is newer and does not fit is left out.
4. The first turn is not an answer whose question is missing, unless nobody asked anything.
5. Left out: deleted messages, answers still being written, blank ones (an answer that failed or was stopped before
   its first word). The partial text of an answer that was stopped, interrupted or failed stays: the person has read it.
6. Consecutive turns of one role are merged with a blank line between: some models' templates demand that roles
   alternate, and two messages in a row, or a question whose answer was deleted, are ordinary here.

Tokens are estimated: a quarter of the UTF-8 bytes, rounded up, plus ``TURN_OVERHEAD`` a message. English text has
about four bytes a token; other scripts have more bytes for each character and fewer characters for each token, so
bytes are the steadier measure. What a call really took is the provider's ``usage``.
"""

from __future__ import annotations

from parlor.ids import RoomId
from parlor.llm.ports import Context, History, Persona, PromptTurn
from parlor.model import Message, SenderType
from parlor.states import MessageState

TURN_OVERHEAD = 4
"""Tokens for a message's role and delimiters (OpenAI's cookbook counts 3, plus 1 for a name)."""
PAGE = 50
"""Messages read from the history at a time."""
SCAN_MAX = 2000
"""Messages read for one prompt at most, so that a room of deleted messages does not cost a walk to its start."""
_NEWEST = 2**53 - 1
"""Above every seq, and exact in a Lua number."""
_LEFT_OUT = frozenset({MessageState.COMPOSING, MessageState.DELETING, MessageState.DELETED})


def estimate_tokens(text: str) -> int:
    """Tokens of a text, about; see the module's docstring."""
    return (len(text.encode("utf-8", "surrogatepass")) + 3) // 4


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


class Memory:
    """Assembles prompts from a room's history, reading backwards from its newest message."""

    def __init__(self, history: History, context_tokens: int) -> None:
        self._history = history
        self._context_tokens = context_tokens

    async def assemble(self, room_id: RoomId, persona: Persona, before_seq: int | None = None) -> Context:
        """The prompt for the message at ``before_seq`` (None: after the newest). Raises what the history raises."""
        window = _Window(self._context_tokens, persona)
        below, scanned = before_seq if before_seq is not None else _NEWEST, 0
        while below > 1 and scanned < SCAN_MAX and window.wants_more():
            page = await self._history.before(room_id, below, PAGE)
            if not page:
                below = 1
                break
            for message in reversed(page):
                below = message.seq
                scanned += 1
                if (turn := turn_of(message)) is not None:
                    window.offer(turn)
        # Every seq below the oldest one read is an older message, tombstones included.
        return window.context(unread=max(below - 1, 0))


class _Window:
    """The turns chosen so far, newest first."""

    def __init__(self, context_tokens: int, persona: Persona) -> None:
        self._system = PromptTurn("system", persona.system_prompt)
        self._spent = TURN_OVERHEAD + estimate_tokens(persona.system_prompt)
        self._budget = context_tokens - min(persona.max_tokens or 0, context_tokens // 2)
        self._turns: list[tuple[PromptTurn, int]] = []
        self._left_out = 0
        self._full = False
        self._asked = False

    def wants_more(self) -> bool:
        """Whether an older message can still be of use: there is room, or no person's message is in yet."""
        return not self._full or not self._asked

    def offer(self, turn: PromptTurn) -> None:
        cost = TURN_OVERHEAD + estimate_tokens(turn.content)
        question = turn.role == "user" and not self._asked
        fits = not self._full and self._spent + cost <= self._budget
        if not fits:
            self._full = True
        if not fits and not question:
            self._left_out += 1
            return
        self._turns.append((turn, cost))
        self._spent += cost
        self._asked = self._asked or turn.role == "user"

    def context(self, unread: int) -> Context:
        turns = self._turns[::-1]
        first = next((place for place, (turn, _) in enumerate(turns) if turn.role == "user"), 0)
        orphans = [cost for turn, cost in turns[:first] if turn.role == "assistant"]
        kept = [turn for place, (turn, _) in enumerate(turns) if place >= first or turn.role != "assistant"]
        return Context(
            turns=_merged([self._system, *kept]),
            estimated_tokens=self._spent - sum(orphans),
            omitted=unread + self._left_out + len(orphans),
        )


def _merged(turns: list[PromptTurn]) -> list[PromptTurn]:
    merged: list[PromptTurn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            merged[-1] = PromptTurn(turn.role, f"{merged[-1].content}\n\n{turn.content}")
        else:
            merged.append(turn)
    return merged

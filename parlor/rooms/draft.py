"""What a reply says while it is written: part by part, and how much of it is in Redis.

Text and reasoning come in pieces. A new part begins where the kind changes; the part before it has then ended, and
reasoning knows how long it took.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from msgspec import structs

from parlor.cache.changes import Dispatch, Opening, PartChange, Piece
from parlor.clock import Clock
from parlor.model.parts import (
    OPEN,
    Layout,
    Part,
    ReasoningPart,
    ReasoningSpan,
    Said,
    TextPart,
    TextSpan,
    ToolCallPart,
    said_of,
)
from parlor.model.tools import TOOL_TRANSITIONS, ToolResult, ToolState

NOT_SENT = "The reply ended before the call was sent"
"""The result of a call that was allowed, and that its owner did not send."""


class _Growing:
    """A part that the model writes."""

    def __init__(self, began: float, *, reasoning: bool, text: str = "") -> None:
        self.began = began
        self.reasoning = reasoning
        self.pieces = [text]
        self.duration_ms: int | None = None

    def shown(self) -> TextPart | ReasoningPart:
        text = "".join(self.pieces)
        return ReasoningPart(text, self.duration_ms) if self.reasoning else TextPart(text)


class Draft:
    """One attempt's. ``kept`` is what it begins with: to be written first, by its ``opening``."""

    def __init__(self, kept: Said, clock: Clock, changes: int = 0) -> None:
        """``changes`` is above the numbers of the attempt's changes so far, if it has waited for people."""
        self._clock = clock
        self._parts: list[Part | _Growing] = list(kept.shown)
        if self._parts and isinstance(last := self._parts[-1], TextPart):
            # It goes on.
            self._parts[-1] = _Growing(clock.monotonic(), reasoning=False, text=last.text)
        self._known = len(self._parts)
        """How many parts Redis knows."""
        thoughts = sum(len(part.text) for part in self._parts if isinstance(part, ReasoningPart))
        self._offsets = {False: len(kept.content), True: thoughts}
        """Written characters of texts, and of reasoning."""
        self._unwritten: deque[tuple[int, str | ToolCallPart]] = deque()
        """Indexes of parts, and what was added to each, or the whole of a call, in order."""
        self.texts: list[str] = []
        """What the model has written in this attempt, piece by piece."""
        self._changes = changes
        """How many calls appeared or changed, as far as that was taken."""
        self._dispatches: dict[str, tuple[Dispatch, ToolCallPart]] = {}
        """Of calls whose sending is to be written; what each call was before."""
        self._unsent: set[str] = set()
        """Calls that nobody has sent: this owner is about to."""
        self._taken = {at: part for at, part in enumerate(kept.shown) if isinstance(part, ToolCallPart)}
        """The calls as Redis has them, by their indexes, as far as they were taken."""

    def __bool__(self) -> bool:
        """Whether there is something to write."""
        return bool(self._unwritten)

    def add(self, text: str, *, reasoning: bool) -> None:
        """Takes the next piece."""
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, _Growing) or last.reasoning != reasoning:
            self._end_last()
            last = _Growing(self._clock.monotonic(), reasoning=reasoning)
            self._parts.append(last)
        last.pieces.append(text)
        self.texts.append(text)
        self._unwritten.append((len(self._parts) - 1, text))

    def put_call(self, call: ToolCallPart, dispatch: Dispatch | None = None) -> None:
        """Takes a call of a tool: a new one, or one that is here and has changed; ``dispatch`` when it is about to be
        sent. Raises ``ValueError`` for a change that is not in the table of states."""
        at = next((at for at, part in enumerate(self._parts) if _is_call(part, call.tool_call_id)), None)
        if at is None:
            self._end_last()
            at = len(self._parts)
            self._parts.append(call)
        else:
            was = self._parts[at]
            if isinstance(was, ToolCallPart) and call.state not in {was.state, *TOOL_TRANSITIONS[was.state]}:
                raise ValueError(f"a call that is {was.state} does not become {call.state}")
            if dispatch is not None and isinstance(was, ToolCallPart):
                self._dispatches[call.tool_call_id] = dispatch, was
                if was.state is ToolState.APPROVED:
                    self._unsent.add(call.tool_call_id)
            self._parts[at] = call
        self._unwritten.append((at, call))

    def sends(self, tool_call_id: str) -> None:
        """The call leaves now: only its tool can say what becomes of it."""
        self._unsent.discard(tool_call_id)

    def withdraw(self) -> None:
        """Takes back every sending of which nothing was taken to be written: the reply ends, and nothing is sent."""
        for index, added in list(self._unwritten):
            if isinstance(added, ToolCallPart) and added.state is ToolState.RUNNING:
                self._unwritten.remove((index, added))
                _, self._parts[index] = self._dispatches.pop(added.tool_call_id)

    def parked(self, calls: Sequence[ToolCallPart]) -> list[tuple[int, Part]]:
        """Takes the calls of a step that is recorded as a whole, by who parks the reply. Returns them with their
        indexes; the reasoning before them too, which ends here."""
        self._end_last()
        first = len(self._parts)
        before = self._parts[-1] if self._parts else None
        told: list[tuple[int, Part]] = []
        if isinstance(before, _Growing) and before.reasoning:
            told.append((first - 1, before.shown()))
        self._parts += calls
        return [*told, *enumerate(calls, first)]

    @property
    def shown(self) -> list[Part]:
        """What there is so far."""
        return [part.shown() if isinstance(part, _Growing) else part for part in self._parts]

    def opening(self) -> Opening:
        """What the attempt begins with."""
        parts = self.shown
        drafted = "".join(part.text for part in parts if isinstance(part, TextPart | ReasoningPart))
        plain = len(parts) < 2 and all(isinstance(part, TextPart) for part in parts)
        return Opening(drafted, None if plain else self._layout(len(parts) - 1), parts)

    def take(self) -> Piece | PartChange | None:
        """Returns what is to be written next, with neighbours in one part joined; None when there is nothing. It counts
        as written from now on."""
        if not self._unwritten:
            return None
        index, added = self._unwritten.popleft()
        if isinstance(added, ToolCallPart):
            return self._change(index, added)
        texts = [added]
        while self._unwritten and self._unwritten[0][0] == index and isinstance(text := self._unwritten[0][1], str):
            texts.append(text)
            self._unwritten.popleft()
        return self._piece(index, "".join(texts))

    def said(self) -> Said:
        """Returns the whole. Reasoning that goes on ends here; so do calls, of which nobody hears any more."""
        self._end_last()
        failed = ToolResult(NOT_SENT, is_error=True)
        parts = self.shown
        for at, part in enumerate(parts):
            if isinstance(part, ToolCallPart) and part.state is ToolState.RUNNING and part.tool_call_id in self._unsent:
                parts[at] = structs.replace(part, state=ToolState.FAILED, result=failed)
        return said_of(ended_calls(parts))

    def _change(self, index: int, call: ToolCallPart) -> PartChange:
        begins, self._known = index >= self._known, max(self._known, index + 1)
        before = self._parts[index - 1] if index else None
        ended = before.shown() if begins and isinstance(before, _Growing) and before.reasoning else None
        self._changes += 1
        self._taken[index] = call
        dispatch, _ = self._dispatches.pop(call.tool_call_id) if call.state is ToolState.RUNNING else (None, None)
        return PartChange(self._changes, index, call, self._layout(self._known - 1), ended, dispatch)

    def _end_last(self) -> None:
        last = self._parts[-1] if self._parts else None
        if isinstance(last, _Growing) and last.duration_ms is None:
            last.duration_ms = round((self._clock.monotonic() - last.began) * 1000)

    def _piece(self, index: int, text: str) -> Piece:
        part, before = self._parts[index], self._parts[index - 1] if index else None
        reasoning = isinstance(part, _Growing) and part.reasoning
        begins, self._known = index >= self._known, max(self._known, index + 1)
        piece = Piece(
            index=index,
            reasoning=reasoning,
            offset=self._offsets[reasoning],
            at=sum(self._offsets.values()),
            text=text,
            layout=self._layout(index) if begins and (index or reasoning) else None,
            ended=before.shown() if begins and isinstance(before, _Growing) and before.reasoning else None,
        )
        self._offsets[reasoning] += len(text)
        return piece

    def _layout(self, last: int) -> Layout:
        """The parts up to this one, which goes on to the draft's end."""
        spans: list[TextSpan | ReasoningSpan | ToolCallPart] = []
        for index, each in enumerate(self._parts[: last + 1]):
            part = each.shown() if isinstance(each, _Growing) else self._taken.get(index, each)
            grows = index == last and isinstance(each, _Growing)
            if isinstance(part, ToolCallPart):
                spans.append(part)
            elif isinstance(part, TextPart):
                spans.append(TextSpan(OPEN if grows else len(part.text)))
            elif isinstance(part, ReasoningPart):
                spans.append(ReasoningSpan(OPEN if grows else len(part.text), None if grows else part.duration_ms))
        return tuple(spans)


def ended_calls(parts: Sequence[Part]) -> list[Part]:
    """The same parts of a reply that has ended: what was not sent is cancelled, what became of the rest is unknown."""
    ends = dict.fromkeys((ToolState.WAITING, ToolState.APPROVED), ToolState.CANCELLED)
    ends[ToolState.RUNNING] = ToolState.UNKNOWN
    return [
        structs.replace(part, state=ends.get(part.state, part.state)) if isinstance(part, ToolCallPart) else part
        for part in parts
    ]


def inherited(live: Said, kept: Said) -> Said:
    """What the next owner of a reply begins with: everything up to the last call of a tool in what it says so far
    (``live``), or what its attempts begin with (``kept``) when no call appeared or changed since."""
    parts = live.shown
    calls = [at for at, part in enumerate(parts) if isinstance(part, ToolCallPart)]
    if [parts[at] for at in calls] == [part for part in kept.shown if isinstance(part, ToolCallPart)]:
        return kept
    return said_of(parts[: calls[-1] + 1]) if calls else kept


def _is_call(part: Part | _Growing, tool_call_id: str) -> bool:
    return isinstance(part, ToolCallPart) and part.tool_call_id == tool_call_id

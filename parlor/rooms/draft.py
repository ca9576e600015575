"""What a reply says while it is written: part by part, and how much of it is in Redis.

Text and reasoning come in pieces. A new part begins where the kind changes; the part before it has then ended, and
reasoning knows how long it took.
"""

from __future__ import annotations

from parlor.cache.changes import Opening, Piece
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
    said_of,
)


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

    def __init__(self, kept: Said, clock: Clock) -> None:
        self._clock = clock
        self._parts: list[Part | _Growing] = list(kept.shown)
        if self._parts and isinstance(last := self._parts[-1], TextPart):
            # It goes on.
            self._parts[-1] = _Growing(clock.monotonic(), reasoning=False, text=last.text)
        self._known = len(self._parts)
        """How many parts Redis knows."""
        self._offsets = {False: len(kept.content), True: kept.characters - len(kept.content)}
        """Written characters of texts, and of reasoning."""
        self._unwritten: list[tuple[int, str]] = []
        """Indexes of parts, and what was added to each, in order."""
        self.texts: list[str] = []
        """What the model has written in this attempt, piece by piece."""

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
        self._unwritten.append((len(self._parts) - 1, text))
        self.texts.append(text)

    def opening(self) -> Opening:
        """What the attempt begins with."""
        parts = [part.shown() if isinstance(part, _Growing) else part for part in self._parts]
        drafted = "".join(part.text for part in parts if isinstance(part, TextPart | ReasoningPart))
        plain = len(parts) < 2 and all(isinstance(part, TextPart) for part in parts)
        return Opening(drafted, None if plain else self._layout(len(parts) - 1), parts)

    def take(self) -> list[Piece]:
        """Returns what is to be written, with neighbours in one part joined. It counts as written from now on."""
        joined: list[tuple[int, list[str]]] = []
        for index, text in self._unwritten:
            if not joined or joined[-1][0] != index:
                joined.append((index, []))
            joined[-1][1].append(text)
        self._unwritten.clear()
        return [self._piece(index, "".join(texts)) for index, texts in joined]

    def said(self) -> Said:
        """Returns the whole. Reasoning that goes on ends here."""
        self._end_last()
        return said_of([part.shown() if isinstance(part, _Growing) else part for part in self._parts])

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
        spans: list[TextSpan | ReasoningSpan] = []
        for index, each in enumerate(self._parts[: last + 1]):
            part = each.shown() if isinstance(each, _Growing) else each
            grows = index == last and isinstance(each, _Growing)
            if isinstance(part, TextPart):
                spans.append(TextSpan(OPEN if grows else len(part.text)))
            elif isinstance(part, ReasoningPart):
                spans.append(ReasoningSpan(OPEN if grows else len(part.text), None if grows else part.duration_ms))
        return tuple(spans)

"""A reply put together from its events: what it says so far is exactly what the server has."""

from __future__ import annotations

import msgspec

from parlor.client.models import Event, JsonObject, Message, Part, ReasoningPart, TextPart, convert, part_of

ENDS = ("message.completed", "message.stopped", "message.failed")
DELETED = ("message.deleted", "room.deleted")


class Delta(msgspec.Struct, frozen=True):
    """What is new in a reply."""

    type: str
    """``text`` and ``reasoning`` add ``text``; ``part``: ``part`` is new or has changed; ``reset``: forget all of it,
    the reply begins anew."""
    text: str = ""
    part: Part | None = None
    attempt: int = 0


class _Piece(msgspec.Struct, frozen=True):
    offset: int
    text: str
    index: int = 0


class _ChangedPart(msgspec.Struct, frozen=True):
    index: int
    part: JsonObject


class Gap(Exception):
    """An event does not join on to those before it: the reply has to be read from its start."""


class Fold:
    """One reply. It takes events in order; those that it has had, and those of earlier attempts, change nothing."""

    def __init__(self, message_id: str, attempt: int = 0) -> None:
        self.message_id = message_id
        self.attempt = attempt
        self.text = ""
        self.reasoning = ""
        self.parts: dict[int, Part] = {}
        """By their places in the message, those that came whole."""
        self._thoughts: dict[int, str] = {}
        self.message: Message | None = None
        """The whole message, when it has ended."""
        self.is_deleted = False

    def has_ended(self) -> bool:
        return self.message is not None or self.is_deleted

    def apply(self, event: Event) -> list[Delta]:
        """Takes one event in; returns what it changes. Raises ``Gap``, ``BadAnswer``."""
        data = event.data
        if self.has_ended():
            return []
        if event.type in ENDS:
            return self.end(event.message)
        if event.type == "room.deleted" or (event.type == "message.deleted" and self._is_mine(data.get("message_id"))):
            self.is_deleted = True
            return []
        attempt = data.get("attempt")
        if not self._is_mine(data.get("message_id")) or not isinstance(attempt, int) or attempt < self.attempt:
            return []
        return [*self._begin(attempt), *self._grow(event)]

    def _grow(self, event: Event) -> list[Delta]:
        match event.type:
            case "message.delta":
                fresh = _join(self.text, convert(event.data, _Piece))
                self.text += fresh
            case "message.reasoning":
                piece = convert(event.data, _Piece)
                fresh = _join(self.reasoning, piece)
                self._thoughts[piece.index] = self._thoughts.get(piece.index, "") + fresh
                self.reasoning += fresh
            case "message.part":
                changed = convert(event.data, _ChangedPart)
                part = part_of(changed.part)
                if self.parts.get(changed.index) == part:
                    return []
                self.parts[changed.index] = part
                return [*self._thought(changed.index, part), Delta("part", part=part, attempt=self.attempt)]
            case _:
                return []
        kind = "text" if event.type == "message.delta" else "reasoning"
        return [Delta(kind, fresh, attempt=self.attempt)] if fresh else []

    def _thought(self, index: int, part: Part) -> list[Delta]:
        """Reasoning may come whole without its pieces: what an earlier attempt thought, and this one goes on from."""
        if not isinstance(part, ReasoningPart):
            return []
        before = self.reasoning
        self._thoughts[index] = part.text
        self.reasoning = "".join(self._thoughts[at] for at in sorted(self._thoughts))
        fresh = self.reasoning[len(before) :] if self.reasoning.startswith(before) else ""
        return [Delta("reasoning", fresh, attempt=self.attempt)] if fresh else []

    def end(self, message: Message | None) -> list[Delta]:
        """Takes the whole message in, which says how it ended."""
        if message is None or not self._is_mine(message.message_id) or message.attempt < self.attempt:
            return []
        deltas = self._begin(message.attempt)
        thoughts = "".join(part.text for part in message.parts if isinstance(part, ReasoningPart))
        if not message.content.startswith(self.text) or not thoughts.startswith(self.reasoning):
            deltas += self._forget()
        grown = ("reasoning", thoughts[len(self.reasoning) :]), ("text", message.content[len(self.text) :])
        deltas += [Delta(kind, fresh, attempt=self.attempt) for kind, fresh in grown if fresh]
        self.text, self.reasoning, self.message = message.content, thoughts, message
        # What became of calls as the reply ended, and what a log that was cut did not tell.
        for index, part in enumerate(message.parts):
            if not isinstance(part, TextPart | ReasoningPart) and self.parts.get(index) != part:
                self.parts[index] = part
                deltas.append(Delta("part", part=part, attempt=self.attempt))
        return deltas

    def restart(self) -> list[Delta]:
        """Forgets everything, before the reply is read from its start."""
        return self._forget()

    def _begin(self, attempt: int) -> list[Delta]:
        """Another attempt than the one so far: the text begins anew."""
        if attempt <= self.attempt:
            return []
        self.attempt = attempt
        return self._forget()

    def _forget(self) -> list[Delta]:
        had = bool(self.text or self.reasoning or self.parts)
        self.text = self.reasoning = ""
        self.parts = {}
        self._thoughts = {}
        return [Delta("reset", attempt=self.attempt)] if had else []

    def _is_mine(self, message_id: object) -> bool:
        return message_id == self.message_id


def _join(known: str, piece: _Piece) -> str:
    """What of the piece comes behind ``known``. Offsets count code points, as ``len`` does. Raises ``Gap``."""
    if piece.offset > len(known):
        raise Gap
    return piece.text[len(known) - piece.offset :]

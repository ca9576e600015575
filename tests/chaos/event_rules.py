"""The checker's rules about the event streams of one room; their numbers are explained in ``tests.chaos.checker``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise

from parlor.model.cursors import EPOCH
from tests.chaos.history import Heard, Kind, Operation
from tests.chaos.violation import Violation

ENDS = frozenset({"message.completed", "message.stopped", "message.failed"})


class EventRules:
    """``done``: the room's acknowledged operations, in the order of invocation; ``gone``: messages that may have been
    deleted; ``room_gone``: whether the room may have been."""

    def __init__(self, room: str, done: list[Operation], gone: frozenset[str], *, room_gone: bool) -> None:
        self._room = room
        self._streams = [operation for operation in done if operation.kind is Kind.EVENTS]
        self._continues = [operation for operation in done if operation.kind is Kind.CONTINUE]
        self._pages = [operation for operation in done if operation.kind is Kind.READ_PAGE]
        heard = [event for stream in self._streams for event in stream.response.heard]
        self._gone = gone | {event.message_id for event in heard if event.type == "message.deleted"}
        self._room_gone = room_gone

    def violations(self) -> Iterator[Violation]:
        yield from self._ends()
        yield from self._in_order()
        yield from self._pages_and_events()
        yield from self._continued()

    def _ends(self) -> Iterator[Violation]:
        ends: defaultdict[tuple[str, int], dict[str, Operation]] = defaultdict(dict)
        for stream in self._streams:
            for heard in stream.response.heard:
                if heard.type in ENDS:
                    ends[heard.message_id, heard.attempt][heard.cursor] = stream
        for (message_id, attempt), at in ends.items():
            if len(at) > 1:
                yield self._wrong("C5", f"attempt {attempt} of {message_id} ended {len(at)} times", *at.values())

    def _continued(self) -> Iterator[Violation]:
        """The end of the attempt, and its first piece, begin with what the answer to the continue had."""
        for operation in self._continues:
            for begun in operation.response.messages:
                for stream in self._streams:
                    for heard in stream.response.heard:
                        about = (heard.message_id, heard.attempt) == (begun.message_id, begun.attempt)
                        first = heard.type == "message.delta" and heard.offset == 0
                        kept = begun.content[: len(heard.text)] if first else begun.content
                        if about and (first or heard.type in ENDS) and not heard.text.startswith(kept):
                            what = f"attempt {heard.attempt} of {heard.message_id} does not begin with what was kept"
                            yield self._wrong("C15", what, operation, stream)

    def _in_order(self) -> Iterator[Violation]:
        every: dict[tuple[int, int, int], Heard] = {}
        for stream in self._streams:
            cursors = [_cursor(heard.cursor) for heard in stream.response.heard]
            if any(later <= earlier for earlier, later in pairwise(cursors)):
                yield self._wrong("C12", "events are repeated, or go back", stream)
            for cursor, heard in zip(cursors, stream.response.heard, strict=True):
                # What is told of a room is looked up when it is read, and not told at all once it is gone.
                if not heard.type.startswith("room.") and every.setdefault(cursor, heard) != heard:
                    yield self._wrong("C12", f"two events have the cursor {heard.cursor}", stream)
            yield from self._deltas(stream)
            yield from self._thoughts(stream)
        for stream in self._streams:
            yield from self._missed(stream, every)

    def _missed(self, stream: Operation, every: Mapping[tuple[int, int, int], Heard]) -> Iterator[Violation]:
        """Between where a stream began and its last event, it has all events that any stream has, but for what was
        said in messages that were deleted meanwhile."""
        got = {_cursor(event.cursor) for event in stream.response.heard}
        if got:
            begin = _cursor(stream.request.after) if stream.request.after else min(got)
            missed = [
                at
                for at, event in every.items()
                if begin < at <= max(got) and at not in got and not self._may_be_hidden(event)
            ]
            if missed:
                yield self._wrong("C12", f"{len(missed)} events were missed, the first at {min(missed)}", stream)

    def _may_be_hidden(self, event: Heard) -> bool:
        return event.type != "message.deleted" and (self._room_gone or event.message_id in self._gone)

    def _deltas(self, stream: Operation) -> Iterator[Violation]:
        texts: dict[tuple[str, int], str | None] = {}
        for heard in stream.response.heard:
            key = heard.message_id, heard.attempt
            if heard.type == "message.delta":
                so_far = texts.get(key, "" if heard.offset == 0 else None)
                if so_far is not None and heard.offset != len(so_far):
                    yield self._wrong("C12", f"a piece of {heard.message_id} begins at {heard.offset}", stream)
                texts[key] = so_far + heard.text if so_far is not None else None
            elif heard.type in ENDS and texts.get(key) is not None and texts[key] != heard.text:
                yield self._wrong("C12", f"the pieces of {heard.message_id} are not its text", stream)

    def _thoughts(self, stream: Operation) -> Iterator[Violation]:
        """The same of reasoning, whose parts are told whole when they have ended, or stand when an attempt begins."""
        thoughts: dict[tuple[str, int], str | None] = {}
        in_pieces = set[tuple[str, int]]()
        for heard in stream.response.heard:
            key = heard.message_id, heard.attempt
            if heard.type == "message.reset":
                thoughts[key] = ""
            elif heard.type == "message.reasoning":
                so_far = thoughts.get(key, "" if heard.offset == 0 else None)
                if so_far is not None and heard.offset != len(so_far):
                    yield self._wrong("C12", f"a thought of {heard.message_id} begins at {heard.offset}", stream)
                thoughts[key] = so_far + heard.text if so_far is not None else None
                in_pieces.add(key)
            elif heard.type == "message.part" and heard.text:
                thoughts[key] = _with_part(thoughts.get(key), heard.text, in_pieces=key in in_pieces)
                in_pieces.discard(key)
            elif heard.type in ENDS and thoughts.get(key) is not None and thoughts[key] != heard.thought:
                yield self._wrong("C12", f"the pieces of {heard.message_id} are not what it thought", stream)

    def _pages_and_events(self) -> Iterator[Violation]:
        """A page's cursor: what was created up to it is on the page or before it, the rest comes behind it."""
        created = {
            _cursor(heard.cursor): heard.seq
            for stream in self._streams
            for heard in stream.response.heard
            if heard.type == "message.created"
        }
        for page in self._pages:
            if page.request.before or page.response.cursor == "0-0":
                continue
            cursor = _cursor(page.response.cursor)
            last = max((seen.seq for seen in page.response.messages), default=0)
            wrong = [seq for at, seq in created.items() if (seq > last) != (at > cursor)]
            if wrong:
                yield self._wrong("C12", f"page up to seq {last}, cursor {page.response.cursor}, but {wrong}", page)

    def _wrong(self, rule: str, what: str, *operations: Operation) -> Violation:
        return Violation(rule, self._room, what, [operation.id for operation in operations])


def _with_part(so_far: str | None, part: str, *, in_pieces: bool) -> str | None:
    """What was thought so far, with a part that is told whole. Two parts may be the same: whether this one was told in
    pieces before decides."""
    return so_far if so_far is None or (in_pieces and so_far.endswith(part)) else so_far + part


def _cursor(text: str) -> tuple[int, int, int]:
    """To compare: a log that began anew because Redis was lost is behind the one before, whatever the clocks say."""
    ms, _, number = text.partition("-")
    return int(number) // EPOCH, int(ms), int(number)

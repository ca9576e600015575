"""Replies that are begun at the same time, one reader each: of Parlor, of a relay, or of the model itself.

Each read of the socket is kept with its time and looked at when all is over, so that the reader costs little while the
servers work. Tokens of the demo model that are stamped (``stamp=1``) say when they were sent, by this machine's clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec

from parlor_bench.event_stream import Chunks

ANSWER_SECONDS = 120.0
_RECONNECT = "stream.reconnect"
_ENDS = ("message.stopped", "message.failed", "message.deleted")


class Answered(msgspec.Struct, frozen=True):
    """What came of the replies of one run."""

    replies: int
    first_ms: list[float]
    """Until the first text of each reply that had one, sorted."""
    delays_ms: list[float]
    """Of each stamped token, sorted."""
    tokens: int
    seconds: float
    """From the first request to the last byte."""
    lost: int
    """Tokens that did not come, or not in their place."""
    failed: int
    """Replies that were not completed."""
    refused: int
    """Requests that were answered with an error."""
    cut: int = 0
    """Streams that ended with ``stream.reconnect``, which this reader does not: the rest of them is not counted."""

    @property
    def errors(self) -> int:
        """Replies of which not all was read, though nothing was lost."""
        return self.refused + self.failed + self.cut

    @property
    def per_second(self) -> float:
        """Tokens."""
        return self.tokens / self.seconds if self.seconds else 0.0


class Replies(msgspec.Struct, frozen=True, tag=True):
    """A load for a process of its own (``parlor_bench.worker``): a request and a connection for each reply."""

    host: str
    port: int
    requests: list[bytes]
    tokens: int
    """How many each reply has."""
    within: float
    """Seconds over which the replies are begun."""

    async def run(self) -> Answered:
        opened = [await asyncio.open_connection(self.host, self.port) for _ in self.requests]
        began = time.perf_counter()
        pause = self.within / len(self.requests)
        answers = await asyncio.gather(
            *(
                _ask(*connection, request, began + number * pause)
                for number, (connection, request) in enumerate(zip(opened, self.requests, strict=True))
            )
        )
        return summed([read(answer, self.tokens) for answer in answers], time.perf_counter() - began)


class Answer(msgspec.Struct, frozen=True):
    """The bytes of one answer, as they came."""

    asked: float
    """``time.time()`` of the request, like the times of the pieces."""
    pieces: list[tuple[float, bytes]]


class Reply(msgspec.Struct, frozen=True):
    first_ms: float | None
    delays_ms: list[float]
    tokens: int
    lost: int
    failed: bool
    refused: bool
    cut: bool = False


class _Choice(msgspec.Struct, frozen=True):
    delta: _Piece


class _Message(msgspec.Struct, frozen=True):
    content: str = ""


class _Piece(msgspec.Struct, frozen=True):
    """The data of any event that has text: ours, a relay's, or a chunk of the model."""

    text: str | None = None
    content: str | None = None
    offset: int | None = None
    choices: list[_Choice] = []
    message: _Message | None = None

    @property
    def said(self) -> str:
        return self.text or self.content or "".join(choice.delta.said for choice in self.choices)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, due: float) -> Answer:
    try:
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        asked = time.time()
        writer.write(request)
        pieces = []
        async with asyncio.timeout(ANSWER_SECONDS):
            while data := await reader.read(65536):
                pieces.append((time.time(), data))
        return Answer(asked, pieces)
    finally:
        writer.close()


def read(answer: Answer, tokens: int) -> Reply:
    """What an answer says; ``tokens`` is how many it should have."""
    if not answer.pieces or answer.pieces[0][1][9:12] not in (b"200", b"201"):
        return Reply(None, [], 0, 0, failed=False, refused=True)
    text: list[str] = []
    first, delays, lost, kinds, position = None, list[float](), 0, set[str](), (0, 0)
    for at, event, data in _events(answer.pieces):
        kind = event.get("event", "delta")
        kinds.add(kind)
        # The cursor of a stream's last event is that of the event before it.
        position, lost = _following(position, None if kind == _RECONNECT else event.get("id"), lost)
        if not kind.endswith("delta"):
            if kind == "message.completed" and data.message is not None:
                lost += data.message.content != "".join(text)
            continue
        if not data.said:
            continue
        if first is None:
            first = (at - answer.asked) * 1000
        lost += data.offset is not None and data.offset != sum(map(len, text))
        text.append(data.said)
        delays += [at * 1000 - int(word) for word in data.said.split() if word.isdigit()]
    said = len("".join(text).split())
    failed, cut = not kinds.isdisjoint(_ENDS), _RECONNECT in kinds
    missing = 0 if failed or cut else max(0, tokens - said)
    return Reply(first, delays, said, lost + missing, failed=failed, refused=False, cut=cut)


def summed(replies: Sequence[Reply], seconds: float) -> Answered:
    return Answered(
        replies=len(replies),
        first_ms=sorted(reply.first_ms for reply in replies if reply.first_ms is not None),
        delays_ms=sorted(delay for reply in replies for delay in reply.delays_ms),
        tokens=sum(reply.tokens for reply in replies),
        seconds=seconds,
        lost=sum(reply.lost for reply in replies),
        failed=sum(reply.failed for reply in replies),
        refused=sum(reply.refused for reply in replies),
        cut=sum(reply.cut for reply in replies),
    )


def _events(pieces: Sequence[tuple[float, bytes]]) -> list[tuple[float, dict[str, str], _Piece]]:
    """Each event with the time at which its last byte came."""
    (at, start), *more = pieces
    head, _, body = start.partition(b"\r\n\r\n")
    chunks = Chunks() if b"transfer-encoding: chunked" in head.lower() else None
    found, rest = [], b""
    for now, data in ((at, body), *more):
        *blocks, rest = (rest + (chunks.feed(data) if chunks else data)).split(b"\n\n")
        for block in blocks:
            fields = dict(line.partition(": ")[::2] for line in block.decode().split("\n") if line[:1] not in ("", ":"))
            if fields.get("data", "[DONE]") != "[DONE]":
                found.append((now, fields, msgspec.json.decode(fields["data"], type=_Piece)))
    return found


def _following(last: tuple[int, int], cursor: str | None, lost: int) -> tuple[tuple[int, int], int]:
    """The position of an event, and one more that is lost when it does not follow the last one's."""
    if cursor is None:
        return last, lost
    first, _, second = cursor.partition("-")
    position = int(first), int(second)
    return position, lost + (position <= last)

"""Random changes of streams, and what has to hold for each wherever it is cut.

``python -m tests.unit.llm.stream_fuzz 20000`` tries that many; the unit tests try a few hundred.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from random import Random
from typing import TypeVar

import msgspec

from parlor.errors import LlmError
from parlor.llm.answer import AnswerParser
from tests.unit.llm.bodies import text_of
from tests.unit.llm.dialects import DIALECTS, Dialect, Frame, event, frames

T = TypeVar("T")

PIECES = [
    *("Hello", " world", ", ", ".", " ", "\n\n", "\t", "é", "日本語", "👩‍👩‍👧", "🙂", "\u2028", "\u0085", "\x7f"),
    *("```py\n", "data: x\n\n", "[DONE]", '"quoted"', "\\", "</think>", "<b>", "{}", '{"choices":[]}', "<think>"),
]
ODD = [None, 0, -1, 1.5, 1e300, "", "x", True, [], {}, [None], {"a": {"b": [1]}}, 2**70]
SIDE_FIELDS = ("id", "created", "usage", "system_fingerprint", "service_tier", "x_groq", "provider", "object")


class Stream(msgspec.Struct, frozen=True):
    """A body, and what is known of it."""

    body: bytes
    text: str | None
    """Of the answer, up to the first event that cannot be read; None when it is not known."""
    whole: bool
    """Whether the answer is whole when nothing is cut off; meaningless for an unknown text."""


class Broken(AssertionError):
    """Something that has to hold does not."""


def make_stream(seed: int) -> Stream:
    """The stream of this number: a dialect, an answer, and up to four changes."""
    random = Random(seed)
    dialect = DIALECTS[seed % len(DIALECTS)]
    pieces = ["Well", *random.choices(PIECES, k=random.randrange(4))]
    made = frames(dialect, pieces, random.choices(["hm", "so"], k=random.randrange(3)))
    for change in random.choices(CHANGES, k=random.randrange(5)):
        made = change(random, dialect, made)
    text, whole = "".join(frame.text for frame in made), True
    kind = random.randrange(5)
    if kind == 0:
        at = random.randrange(1 + max(number for number, frame in enumerate(made) if frame.text))
        made.insert(at, Frame(random.choice(FAULTS)))
        text, whole = "".join(frame.text for frame in made[:at]), False
    body = random.choice(FRAMINGS)(b"".join(frame.data for frame in made))
    if kind == 1:
        return Stream(_damaged(random, body), None, whole=False)
    if kind == 2:
        return Stream(_in_one_piece(random, text), text, whole=True)
    return Stream(body, text, whole)


def check(stream: Stream) -> None:
    """Feeds a stream byte by byte and ends it behind each. Raises ``Broken``, or what the parser should not raise."""
    answer, text, longest, wholes = AnswerParser(), "", "", list[str]()
    whole = False
    for at in range(len(stream.body)):
        said, failed = _fed(answer, stream.body[at : at + 1])
        text += said
        rest, whole = ("", False) if failed else _ended(_fork(answer))
        longest = max(longest, text + rest, key=len)
        if whole:
            wholes.append(text + rest)
        if stream.text is not None and not stream.text.startswith(text + rest):
            raise Broken(f"after {at + 1} bytes {text + rest!r} is not the beginning of {stream.text!r}")
        if failed:
            break
    if any(found != longest for found in wholes):
        raise Broken(f"an answer that was cut off looks whole: {wholes[0]!r}, but {longest!r} was sent")
    if stream.text is not None and (whole, longest) != (stream.whole, stream.text):
        raise Broken(f"whole: {whole}, {longest!r}; should be {stream.whole}, {stream.text!r}")


def check_reads(stream: Stream, size: int) -> None:
    """How a stream is split into reads makes no difference."""
    if _read(stream.body, size) != _read(stream.body, 1):
        raise Broken(f"reads of {size} bytes give another answer")


def _read(body: bytes, size: int) -> tuple[str, bool]:
    answer, text = AnswerParser(), ""
    for start in range(0, len(body), size):
        said, failed = _fed(answer, body[start : start + size])
        text += said
        if failed:
            return text, False
    rest, whole = _ended(answer)
    return text + rest, whole


def _fed(answer: AnswerParser, read: bytes) -> tuple[str, bool]:
    text = ""
    try:
        text = text_of(answer.feed(read))
        answer.check()
    except LlmError:
        return text, True
    return text, False


def _ended(answer: AnswerParser) -> tuple[str, bool]:
    text = ""
    try:
        text = text_of(answer.close())
        answer.check()
        answer.completion()
    except LlmError:
        return text, False
    return text, True


def _fork(answer: AnswerParser) -> AnswerParser:
    """A copy, to be ended. There is one for each byte, and ``deepcopy`` takes fifty times as long."""
    twin = _twin(answer)
    twin._spoken = _twin(answer._spoken)
    if answer._body is not None:
        twin._body = _twin(answer._body)
        own = vars(twin._body)
        own.update([(name, value.copy()) for name, value in own.items() if isinstance(value, list)])
    return twin


def _twin(original: T) -> T:
    twin: T = object.__new__(type(original))
    vars(twin).update(vars(original))
    return twin


# Changes that leave the answer as it is, or change it in a way that is known

Change = Callable[[Random, Dialect, list[Frame]], list[Frame]]


def _beats(random: Random, dialect: Dialect, made: list[Frame]) -> list[Frame]:
    beats = [dialect.beat, b"data:\n\n", b"data: \n\n", b"event: ping\n\n", b"\n", b": x\n", b"data: null\n\n"]
    made = made.copy()
    for _ in range(random.randrange(1, 4)):
        made.insert(random.randrange(len(made) + 1), Frame(random.choice(beats)))
    return made


def _side_fields(random: Random, dialect: Dialect, made: list[Frame]) -> list[Frame]:
    def changed(chunk: dict[str, object]) -> dict[str, object]:
        return {**chunk, random.choice(SIDE_FIELDS): random.choice(ODD), "new": random.choice(ODD)}

    return _rewritten(random, dialect, made, changed)


def _escapes(random: Random, dialect: Dialect, made: list[Frame]) -> list[Frame]:
    def escaped(frame: Frame) -> Frame:
        chunk = _chunk_of(dialect, frame)
        if chunk is None or random.randrange(2):
            return frame
        lines = json.dumps(chunk, indent=random.choice([None, None, 1])).encode().split(b"\n")
        return Frame(b"".join(dialect.field + line + b"\n" for line in lines) + b"\n", frame.text)

    return [escaped(frame) for frame in made]


def _parts(random: Random, dialect: Dialect, made: list[Frame]) -> list[Frame]:
    def changed(chunk: dict[str, object]) -> dict[str, object]:
        for choice in chunk.get("choices") or []:  # type: ignore[attr-defined]
            text = choice["delta"].get("content")
            if isinstance(text, str):
                choice["delta"]["content"] = [{"type": "text", "text": text}] if random.randrange(2) else [text]
        return chunk

    return _rewritten(random, dialect, made, changed)


def _early_reasons(random: Random, dialect: Dialect, made: list[Frame]) -> list[Frame]:
    """Before the text each chunk may say that the model has stopped; with the text come reasons that say nothing."""
    first = next(number for number, frame in enumerate(made) if frame.text)
    early, later = random.choice([None, "stop"]), random.choice(["", "null", 5, {}, "thinking"])

    def changed(number: int, frame: Frame) -> Frame:
        chunk = _chunk_of(dialect, frame)
        if chunk is None or not chunk.get("choices") or (number > first and not frame.text):
            return frame
        for choice in chunk["choices"]:  # type: ignore[attr-defined]
            choice["finish_reason"] = early if number < first else later
        return Frame(event(dialect, chunk), frame.text)

    return [changed(number, frame) for number, frame in enumerate(made)]


def _other_choice(random: Random, dialect: Dialect, made: list[Frame]) -> list[Frame]:
    other = {"choices": [{"index": 1, "delta": {"content": "OTHER"}, "finish_reason": random.choice([None, "stop"])}]}
    return _with(random, made, Frame(event(dialect, other)))


def _twice(random: Random, dialect: Dialect, made: list[Frame]) -> list[Frame]:
    spoken = [number for number, frame in enumerate(made) if frame.text and rb"\ud" not in frame.data]
    at = random.choice(spoken)
    return [*made[:at], made[at], *made[at:]]


def _no_done(random: Random, dialect: Dialect, made: list[Frame]) -> list[Frame]:
    return [frame for frame in made if b"[DONE]\n\n" not in frame.data or frame.text]


def _bad_utf8(random: Random, dialect: Dialect, made: list[Frame]) -> list[Frame]:
    chunk = event(dialect, dialect.piece("@"))
    bad, text = random.choice(
        [(b"\xff", "\ufffd"), (b"\xe6\xb1", "\ufffd"), (rb"\ud83d", "\ufffd"), (b"\\u0000", "\ufffd")]
    )
    return _with(random, made, Frame(chunk.replace(b"@", bad + b"."), text + "."))


def _split_pair(random: Random, dialect: Dialect, made: list[Frame]) -> list[Frame]:
    chunk = event(dialect, dialect.piece("@"))
    pair = [Frame(chunk.replace(b"@", rb"\ud83d")), Frame(chunk.replace(b"@", rb"\ude42"), "🙂")]
    at = next(number for number, frame in enumerate(made) if frame.text)
    return [*made[: at + 1], *pair, *made[at + 1 :]]


def _with(random: Random, made: list[Frame], frame: Frame) -> list[Frame]:
    """Between the first and the last event with text, so that no reason stands before it."""
    spoken = [number for number, found in enumerate(made) if found.text]
    at = random.randint(spoken[0], spoken[-1])
    # Halves of a surrogate pair stay together.
    while at and rb"\ud83d" in made[at - 1].data and not made[at - 1].text:
        at -= 1
    return [*made[:at], frame, *made[at:]]


def _rewritten(
    random: Random, dialect: Dialect, made: list[Frame], change: Callable[[dict[str, object]], dict[str, object]]
) -> list[Frame]:
    def rewritten(frame: Frame) -> Frame:
        chunk = _chunk_of(dialect, frame)
        return frame if chunk is None or random.randrange(2) else Frame(event(dialect, change(chunk)), frame.text)

    return [rewritten(frame) for frame in made]


def _chunk_of(dialect: Dialect, frame: Frame) -> dict[str, object] | None:
    """The chunk of an event that is on one line and has no halves of surrogate pairs, which JSON could not write."""
    data = frame.data.removeprefix(dialect.field)
    if data == frame.data or rb"\ud" in data:
        return None
    try:
        chunk = json.loads(data)
    except ValueError:
        return None
    return chunk if isinstance(chunk, dict) else None


CHANGES: list[Change] = [
    *(_beats, _side_fields, _escapes, _parts, _early_reasons, _other_choice, _twice, _no_done, _bad_utf8),
    _split_pair,
]

FAULTS = [
    b'data: {"error":{"message":"down","code":500}}\n\n',
    b'data: {"object":"error","message":"down"}\n\n',
    b"event: error\ndata: down\n\n",
    b"error: {}\n\n",
    b'{"error":"down"}\n\n',
    b"data: garbage\n\n",
    b'data: {"choices":[{"delta":{"content":\n\n',
    b'data: {"choices":[{"delta":{"content":7}}]}\n\n',
    b"data: [1]\n\n",
]
"""Events that end an answer as an error."""

FRAMINGS: list[Callable[[bytes], bytes]] = [
    lambda body: body,
    lambda body: body.replace(b"\n", b"\r\n"),
    lambda body: body.replace(b"\n", b"\r"),
    lambda body: b"\xef\xbb\xbf" + body,
    lambda body: b"\n\n" + body,
]


def _in_one_piece(random: Random, text: str) -> bytes:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": random.choice(["stop", "eos_token", None])}
    whole = {"object": "chat.completion", "choices": [choice], "usage": random.choice(ODD)}
    return json.dumps(whole, ensure_ascii=bool(random.randrange(2)), indent=random.choice([None, 2])).encode()


def _damaged(random: Random, body: bytes) -> bytes:
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(body))
        match random.randrange(4):
            case 0:
                body = body[:at] + bytes([random.randrange(256)]) + body[at + 1 :]
            case 1:
                body = body[:at] + body[at + random.randrange(1, 40) :]
            case 2:
                body = body[:at] + random.randbytes(random.randrange(1, 8)) + body[at:]
            case _:
                body = body[:at] + body[max(0, at - random.randrange(1, 40)) :]
    return body


def main(count: int) -> int:
    """Tries streams 0 to ``count``; returns how many broke something."""
    broken = cuts = 0
    for seed in range(count):
        stream = make_stream(seed)
        cuts += len(stream.body)
        try:
            check(stream)
            check_reads(stream, Random(seed).randrange(2, 200))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next stream is tried too
            broken += 1
            print(f"stream {seed}: {type(error).__name__}: {error}")
    print(f"{count} streams, cut in {cuts} places: {broken} broke something")
    return broken


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])) > 0)

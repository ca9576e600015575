"""Both clients' folds of every recorded reply, cut at every byte and resumed: the message that is stored."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest

from api.sse import frame
from parlor.client.fold import Fold
from parlor.client.models import Event, ToolCall
from parlor.client.sse import EventParser
from tests.servers import skip_or_fail
from tests.unit.recorded_replies import SCRIPTS, RecordedReply

pytestmark = pytest.mark.unit

PROGRAM = Path(__file__).with_name("folds.mjs")
Json: TypeAlias = dict[str, Any]


class Resumption(NamedTuple):
    known: int
    """Events that the reader had when its stream was cut."""
    body: bytes
    """The rest, as the server tells it behind the last of these."""


def resumptions(reply: RecordedReply) -> list[Resumption]:
    """A cut behind each event, and each state that the log may be in when the reader comes back."""
    found: dict[Resumption, None] = {}
    for known in range(len(reply.events) + 1):
        before = {event.cursor for event in reply.events[:known]}
        for there in range(known, len(reply.events) + 1):
            rest = [event for event in reply.seen_after(there) if event.cursor not in before]
            found[Resumption(known, b"".join(map(frame, rest)))] = None
        # Of a log that was cut.
        found[Resumption(known, frame(reply.events[-1]))] = None
    return list(found)


def calls(parts: Iterable[Any]) -> dict[str, str]:
    return {part.tool_call_id: part.state for part in parts if isinstance(part, ToolCall)}


def folded(reply: RecordedReply, *streams: Iterable[Event]) -> Json:
    """What an application shows that takes the deltas, and what the fold has."""
    fold = Fold(reply.reply_id)
    shown: Json = {"text": "", "reasoning": "", "calls": {}}
    for event in (event for stream in streams for event in stream):
        for delta in fold.apply(event):
            match delta.type:
                case "reset":
                    shown = {"text": "", "reasoning": "", "calls": {}}
                case "part":
                    shown["calls"] |= calls([delta.part])
                case kind:
                    shown[kind] += delta.text
    kept = {"text": fold.text, "reasoning": fold.reasoning, "calls": calls(fold.parts.values())}
    return {"shown": shown, "kept": kept, "has_ended": fold.has_ended(), "is_deleted": fold.is_deleted}


def stored(reply: RecordedReply) -> Json:
    parts = reply.form["parts"]
    return {
        "text": reply.form["content"],
        "reasoning": "".join(part["text"] for part in parts if part["type"] == "reasoning"),
        "calls": {part["tool_call_id"]: part["state"] for part in parts if part["type"] == "tool_call"},
    }


@pytest.fixture(scope="module")
def in_javascript(replies: dict[str, RecordedReply]) -> dict[str, Json]:
    """What clients/js makes of each reply, in one process."""
    node = shutil.which("node")
    if node is None:
        skip_or_fail("not installed: node")
    cases = [
        {
            "message_id": reply.reply_id,
            "frames": [frame(event).decode() for event in reply.events],
            "resumptions": [{"known": each.known, "body": each.body.decode()} for each in resumptions(reply)],
        }
        for reply in replies.values()
    ]
    given = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run([node, PROGRAM], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(replies, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", SCRIPTS)
def test_cut_at_every_byte_and_resumed_they_fold_to_what_is_stored(
    replies: dict[str, RecordedReply], name: str
) -> None:
    reply = replies[name]
    parser, events = EventParser(), list[Event]()
    ends = list(accumulate(len(frame(event)) for event in reply.events))
    for at, byte in enumerate(b"".join(map(frame, reply.events)), 1):
        events += parser.feed(bytes([byte]))
        whole = [event.cursor for event, end in zip(reply.events, ends, strict=True) if end <= at]
        assert [event.id for event in events] == whole
        assert parser.cursor == (whole[-1] if whole else None)
    for known, body in resumptions(reply):
        found = folded(reply, events[:known], EventParser().feed(body))
        assert (found["has_ended"], found["is_deleted"]) == (True, reply.is_deleted)
        if not reply.is_deleted:
            assert found["shown"] == found["kept"] == stored(reply), f"cut behind {known} events"


@pytest.mark.parametrize("name", SCRIPTS)
def test_both_clients_agree(replies: dict[str, RecordedReply], in_javascript: dict[str, Json], name: str) -> None:
    reply = replies[name]
    ends = list(accumulate(len(frame(event)) for event in reply.events))
    expected = [sum(end <= at for end in ends) for at in range(1, ends[-1] + 1)]
    assert in_javascript[name]["ends"] == expected
    events = EventParser().feed(b"".join(map(frame, reply.events)))
    ways = resumptions(reply)
    assert len(ways) > len(reply.events)
    ours = [folded(reply, events[:known], EventParser().feed(body)) for known, body in ways]
    assert in_javascript[name]["seen"] == ours

"""Recorded replies through the npm package ``ai``: cut anywhere and resumed, they are the message that is stored."""

from __future__ import annotations

import os
import shutil
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from api.dialects.ai_sdk import UiMessageFrames
from tests.javascript import HERE, INSTALL_S, output, packages
from tests.unit.memory_store import make_templates
from tests.unit.recorded_replies import SCRIPTS, RecordedReply, recorded

pytestmark = [pytest.mark.contract, pytest.mark.timeout(INSTALL_S + 120)]

EVERY_BYTE = ("thoughtful",)
"""Replies whose streams are cut at every byte; those of the others, in and behind each event."""
FINISH = {"stop": ["stop"], "length": ["length"], "stopped": ["abort"]}


class Case(NamedTuple):
    name: str
    reply: RecordedReply
    pieces: list[bytes]
    cuts: list[int]
    is_lost: bool
    """Whether text would have to be taken back."""


def case(name: str, reply: RecordedReply, view: int) -> Case:
    events = reply.views()[view]
    frames = UiMessageFrames(reply.reply_id)
    pieces = [frames.opening, *(frames.write([event]) for event in events), frames.end("1-1", "")]
    ends = list(accumulate(map(len, pieces)))
    cuts = range(ends[-1]) if name in EVERY_BYTE else sorted({at for end in ends for at in (end - 3, end)} - {ends[-1]})
    return Case(name, reply, pieces, list(cuts), is_lost=view == 0 and reply.resets)


def stored(reply: RecordedReply) -> list[list[str]]:
    """The parts that the protocol shows."""
    return [[part["type"], part["text"]] for part in reply.form["parts"] if part["type"] in ("text", "reasoning")]


async def test_cut_anywhere_and_resumed_they_show_what_is_stored(tmp_path: Path) -> None:
    place = await packages()
    shutil.copy(HERE / "ui_messages.mjs", place)
    templates = await make_templates(tmp_path)
    replies = {name: await recorded(templates, script) for name, script in SCRIPTS.items()}
    cases = [case(name, reply, view) for name, reply in replies.items() for view in range(len(reply.views()))]
    given = "".join(
        msgspec.json.encode({"body": b"".join(c.pieces).decode(), "cuts": c.cuts}).decode() + "\n" for c in cases
    )
    program = str(place / "ui_messages.mjs")
    env = {"PATH": os.environ["PATH"]}
    printed = await output("node", program, cwd=place, env=env, given=given, seconds=100)
    for each, line in zip(cases, printed.splitlines(), strict=True):
        check(each, msgspec.json.decode(line))
    assert {each.name for each in cases if each.is_lost} == {"begun_anew", "taken_over_with_tools"}


def check(each: Case, found: dict[str, Any]) -> None:
    reply, whole = each.reply, found["whole"]
    assert found["slow"] == whole, each.name
    if reply.is_deleted:
        assert whole["errors"] == ["message-not-found: The reply was deleted"]
    elif each.is_lost:
        assert whole["errors"] == ["message-reset: The reply began anew; load it again"]
    else:
        reason = str(reply.message.finish_reason)
        errors = [] if reason in FINISH else ["llm-error: tired"]
        assert (each.name, whole["parts"]) == (each.name, stored(reply))
        assert (whole["id"], whole["ends"], whole["errors"]) == (reply.reply_id, FINISH.get(reason, []), errors)
    for cut in found["cut"]:
        # What was read is a beginning of the whole. It does not say that it ended, unless only [DONE] is missing.
        assert (cut["errors"], cut["ends"]) in (([], []), (whole["errors"], whole["ends"]))
        told = "".join(text for kind, text in cut["parts"] if kind == "text")
        assert "".join(text for kind, text in whole["parts"] if kind == "text").startswith(told)
